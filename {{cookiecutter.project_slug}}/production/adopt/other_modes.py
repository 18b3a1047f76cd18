"""Refuses an app that calls the library of another mode than the one it is served in.

A green thread of eventlet never runs where gevent or threads serve, and its sleep blocks them. What
the layer takes over anyway, such as a monkey patch or the library's own server, does no harm.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from production.adopt.call_sites import is_library
from production.doctor.modules import Module
from production.doctor.sources import Kind, Source, decode
from production.modes import AsyncMode
from production.refusal import ConfigurationError
from production.settings import PROJECT_ROOT

GREEN = (AsyncMode.EVENTLET, AsyncMode.GEVENT)

HARMLESS = (
    "eventlet.hubs.use_hub",
    "eventlet.listen",
    "eventlet.monkey_patch",
    "eventlet.patcher.",
    "eventlet.wrap_ssl",
    "eventlet.wsgi.server",
    "gevent.monkey.",
    "gevent.pywsgi.WSGIServer",
)
"""Calls that the layer takes over in every mode, or that change nothing in another."""


def check_calls(mode: AsyncMode) -> None:
    """Refuse an app whose modules, as far as they are loaded, call the other library only.

    One that calls both chooses by itself.

    :param mode: what the process serves in.
    :raises ConfigurationError: naming a call, its file and line, and the mode that it is made for.
    """
    loaded = [library for library in GREEN if library in sys.modules]
    if set(loaded) <= {mode}:
        return
    calls: dict[AsyncMode, str] = {}
    for module in _modules_of_the_app():
        for library, call in _calls(module):
            calls.setdefault(library, call)
    if len(calls) == 1 and mode not in calls:
        ((library, call),) = calls.items()
        raise ConfigurationError(
            f"The app calls {call}, which works where {library} serves and nowhere else: set "
            f"ASYNC_MODE={library}, for which {library} has to be installed, or use what "
            "Flask-SocketIO offers for every mode, such as socketio.start_background_task() and "
            "socketio.sleep()."
        )


def _modules_of_the_app() -> Iterator[Module]:
    for loaded in list(sys.modules.values()):
        path = getattr(loaded, "__file__", None)
        name = str(getattr(loaded, "__name__", "")).partition(".")[0]
        if not path or not path.endswith(".py") or name == "production" or is_library(path):
            continue
        module = _parsed(Path(path))
        if module is not None:
            yield module


def _parsed(path: Path) -> Module | None:
    """Read a module, if its text names one of the libraries at all."""
    try:
        text, _ = decode(path.read_bytes(), python=True)
        if text is None or not any(library in text for library in GREEN):
            return None
        shown = path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path
        return Module(Source(shown.as_posix(), Kind.PYTHON, text))
    except (OSError, SyntaxError):
        return None


def _calls(module: Module) -> Iterator[tuple[AsyncMode, str]]:
    """Yield the calls of a library of green threads, and the classes made from one of its own."""
    used = [call.func for call in module.calls]
    used += [base for one in module.classes for base in one.bases]
    for node in sorted(used, key=_line):
        name = module.dotted(node)
        library = name.partition(".")[0]
        if library in GREEN and "." in name and not name.startswith(HARMLESS):
            yield AsyncMode(library), f"{name} in {module.source.path}:{_line(node)}"


def _line(node: ast.expr) -> int:
    return node.lineno
