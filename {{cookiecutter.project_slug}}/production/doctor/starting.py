"""What certainly runs when an app is started, as far as its files tell.

What stands behind a condition, or in a ``try`` that handles errors, may run or not: it is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from production.doctor.modules import Function, Module, is_main_guard
from production.doctor.project import Project

Line = tuple[str, int]
"""A file's path relative to the project's folder, and a line of it."""


@dataclass(frozen=True)
class Entry:
    """Where an app is started.

    :param path: the file, relative to the project's folder, with forward slashes.
    :param is_script: whether it runs as ``__main__``.
    :param factory: the function in it that is called for the app; empty if none is.
    """

    path: str
    is_script: bool = False
    factory: str = ""


def lines_that_run(project: Project, entry: Entry) -> set[Line]:
    """Return the lines that run before the app serves, whatever the circumstances.

    :param project: the project.
    :param entry: where it is started.
    """
    return set(_Run(project, entry).lines())


class _Run:
    """Follows a start through a project: imports, and calls of functions that a name tells.

    :param project: the project.
    :param entry: where it begins.
    """

    def __init__(self, project: Project, entry: Entry) -> None:
        self._project = project
        self._entry = entry
        self._by_name = {module.name: module for module in project.modules}
        self._seen: set[ast.AST] = set()
        self._waiting: list[tuple[Module, list[ast.stmt]]] = []

    def lines(self) -> Iterator[Line]:
        start = next((m for m in self._project.modules if m.source.path == self._entry.path), None)
        if start is None:
            return
        self._run(start, start.tree)
        self._run_function(start, ast.Name(self._entry.factory))
        while self._waiting:
            module, body = self._waiting.pop()
            for node in self._nodes(module, body):
                if hasattr(node, "lineno"):
                    yield module.source.path, node.lineno
                if isinstance(node, ast.Import | ast.ImportFrom):
                    self._run_imports(module, node)
                elif isinstance(node, ast.Call):
                    self._run_function(module, node.func)

    def _run(self, module: Module, part: ast.Module | Function) -> None:
        if part not in self._seen:
            self._seen.add(part)
            self._waiting.append((module, part.body))

    def _run_imports(self, module: Module, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            origin = module.origin(node)
            names = [f"{origin}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                found = self._module_named(".".join(parts[:end]))
                if found is not None:
                    self._run(found, found.tree)

    def _module_named(self, dotted: str) -> Module | None:
        """Find a module where Python would: beside what is started, in the folder, or in ``src``."""
        beside = self._entry.path.rpartition("/")[0].replace("/", ".")
        for root in (beside, "", "src"):
            found = self._by_name.get(f"{root}.{dotted}" if root else dotted)
            if found is not None:
                return found
        return None

    def _run_function(self, module: Module, called: ast.expr) -> None:
        """Follow a call of a function that is named, or reached through an imported module."""
        if isinstance(called, ast.Attribute) and not self._project.imported_module(
            module, called.value
        ):
            return
        found = self._project.resolve(module, called, called)
        # Names alone may lead to a file that only has the name of what is imported.
        if found is not None and found[0].tree in self._seen:
            self._run(*found)

    def _nodes(self, module: Module, body: list[ast.stmt]) -> Iterator[ast.AST]:
        """Yield every node of some statements that is evaluated when they run, in that order."""
        as_script = self._entry.is_script and module.source.path == self._entry.path
        waiting: list[ast.AST] = list(reversed(body))
        while waiting:
            node = waiting.pop()
            runs: Iterable[ast.AST] = ()
            match node:
                case ast.If() if as_script and is_main_guard(node):
                    runs = node.body
                case ast.If() | ast.IfExp():
                    runs = [node.test]
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    runs = node.decorator_list
                case ast.Try(handlers=[_, *_]) | ast.Lambda():
                    pass
                case ast.With() if any("suppress" in ast.unparse(one) for one in node.items):
                    pass
                case _:
                    yield node
                    runs = ast.iter_child_nodes(node)
            waiting += reversed(list(runs))
