"""Do something to a module when it is imported, and leave it alone if it never is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]


def when_imported(name: str, action: Action) -> None:
    """Call ``action`` with a module: now if it is imported, otherwise right after it will be.

    :param name: the module's full name; it need not be installed.
    :param action: what to do.
    """
    if name in sys.modules:
        action(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Watch(name, action))


def replace(module: Any, name: str, replacement: Any) -> None:
    """Replace a function in its module and, if it is there already, in its package.

    :param module: where the function is defined.
    :param name: what it is called.
    :param replacement: what to call instead.
    """
    setattr(module, name, replacement)
    package = sys.modules.get(module.__name__.partition(".")[0])
    if hasattr(package, name):
        setattr(package, name, replacement)


class _Watch(MetaPathFinder):
    """Finds one module, once, by asking all the other finders."""

    def __init__(self, name: str, action: Action) -> None:
        self._name = name
        self._action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenAct(spec.loader, self._action)
        return spec


class _ThenAct(Loader):
    """Loads a module as its own loader does, then acts on it."""

    def __init__(self, loader: Loader, action: Action) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # What is read off the module later, such as its resources, comes from the real loader.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._action(module)
