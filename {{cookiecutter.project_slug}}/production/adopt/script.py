"""Runs an app's own start, in the background of the worker, until it hands the app over."""

from __future__ import annotations

import asyncio
import importlib
import os
import runpy
import shlex
import sys
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from production.adopt.gate import Gate
from production.adopt.handover import Handover
from production.adopt.start import Start, Way
from production.refusal import ConfigurationError

log = structlog.get_logger(__name__)

# What Flask's command would find by itself, were it not for the layer's wsgi.py.
FLASK_DEFAULTS = ("wsgi.py", "app.py")


def launch(start: Start, project: Path, handover: Handover, gate: Gate) -> None:
    """Start the app as its owner does, in a thread of the async mode, and return at once.

    :param start: how it is started.
    :param project: the project's directory.
    :param handover: who is told of the app, or of its failure.
    :param gate: what holds back the work that the start begins.
    """
    _prepare_process(start, project)
    threading.Thread(
        target=_run, args=(start, handover, gate), name="adopted app", daemon=True
    ).start()


def _prepare_process(start: Start, project: Path) -> None:
    """Give the process the directory, environment, arguments and import path that are expected."""
    os.chdir(project / start.directory)
    os.environ.update(start.environment)
    here = str(Path.cwd())
    if start.way is Way.SCRIPT:
        _import_first(str(Path(start.target).resolve().parent))
        sys.argv = [start.target, *start.arguments]
    else:
        _import_first(here)
        sys.argv = [start.target, *start.arguments]
    for entry in reversed(start.environment.get("PYTHONPATH", "").split(os.pathsep)):
        if entry:
            sys.path.insert(1, str(Path(entry).resolve()))
    if (source := Path("src")).is_dir():
        sys.path.append(str(source.resolve()))
    if not start.by_flask:
        # Werkzeug's reloader says so to the process that serves, and apps start their loops only there.
        os.environ["WERKZEUG_RUN_MAIN"] = "true"
    elif not start.flask_app:
        from flask.cli import load_dotenv

        load_dotenv()
        os.environ.setdefault("FLASK_APP", _flask_default())


def _flask_default() -> str:
    own, fallback = FLASK_DEFAULTS
    path = Path(own)
    is_theirs = path.is_file() and b"from production.adopt import adopt" not in path.read_bytes()
    return own if is_theirs else fallback


def _import_first(directory: str) -> None:
    """Put a directory where Python puts that of the script that it runs."""
    if directory in sys.path:
        sys.path.remove(directory)
    sys.path.insert(0, directory)


def _run(start: Start, handover: Handover, gate: Gate) -> None:
    gate.count_as_start()
    _give_event_loop()
    try:
        before = set(threading.enumerate())
        if start.way is Way.IMPORT:
            handover.give(_imported(start), f"{start.target}:{start.attribute}")
            return
        if start.way is Way.SCRIPT:
            _run_script(Path(start.target))
        else:
            runpy.run_module(start.target, run_name="__main__", alter_sys=True)
        # A script ends when the threads have that it does not call daemons.
        for thread in set(threading.enumerate()) - before:
            if not thread.daemon:
                thread.join()
        handover.fail(
            ConfigurationError(
                f"{described(start)} ended without serving its app: EXISTING_APP has to start it, "
                "by socketio.run(app) or another call that serves, or name it as module:app."
            )
        )
    except BaseException as error:
        _report(start, handover, error)


def _give_event_loop() -> None:
    """Let ``asyncio.get_event_loop()`` find a loop, as it does in the main thread of a script.

    Since Python 3.14 it finds none there either.
    """
    if sys.version_info < (3, 14):
        asyncio.set_event_loop(asyncio.new_event_loop())


def _run_script(path: Path) -> None:
    """Run a script as Python itself does.

    Unlike :mod:`runpy`, it leaves ``sys.argv`` as it was typed, names the file by its absolute path,
    and the module stays ``__main__`` when the script has ended and its threads go on.
    """
    if path.is_dir():
        runpy.run_path(str(path), run_name="__main__")
        return
    absolute = os.path.abspath(path)  # noqa: PTH100  symbolic links are kept
    loader = SourceFileLoader("__main__", absolute)
    module = ModuleType("__main__")
    module.__file__ = absolute
    module.__loader__ = loader
    sys.modules["__main__"] = module
    exec(loader.source_to_code(loader.get_data(absolute), absolute), vars(module))  # noqa: S102


def _imported(start: Start) -> Any:
    """Import an app, or call its factory if it is one."""
    module = importlib.import_module(start.target)
    try:
        found = getattr(module, start.attribute)
    except AttributeError:
        raise ConfigurationError(
            f"EXISTING_APP is {described(start)}, but the module {start.target} has no {start.attribute}."
        ) from None
    if start.call is not None:
        positional, named = start.call
        found = found(*positional, **named)
    elif not hasattr(found, "wsgi_app") and _is_factory(found):
        found = found()
    return _first_of_tuple(found)


def _is_factory(found: Any) -> bool:
    """Tell a factory from a WSGI application, which is called with two arguments."""
    return callable(found) and hasattr(found, "__code__") and found.__code__.co_argcount != 2


def _first_of_tuple(found: Any) -> Any:
    """Pick the app out of ``return app, socketio``, in whichever order."""
    if isinstance(found, tuple):
        return next((part for part in found if hasattr(part, "wsgi_app")), found[0])
    return found


def _report(start: Start, handover: Handover, error: BaseException) -> None:
    """Refuse to serve an app that failed before it was handed over; afterwards, log it."""
    if handover.done:
        if not isinstance(error, SystemExit):
            log.error("the app's own start failed after it had handed the app over", exc_info=error)
    elif isinstance(error, ConfigurationError):
        handover.fail(error)
    elif isinstance(error, SystemExit):
        handover.fail(
            ConfigurationError(
                f"{described(start)} exited with {error.code!r} before it served its app."
            )
        )
    else:
        log.error("the app's own start failed", exc_info=error)
        handover.fail(
            ConfigurationError(
                f"{described(start)} failed before it served its app: "
                f"{type(error).__name__}: {error}."
            )
        )


def described(start: Start) -> str:
    """Write how an app is started, for a sentence."""
    if start.way is Way.IMPORT:
        call = "()" if start.call is not None else ""
        return f"{start.target}:{start.attribute}{call}"
    flag = ["-m"] if start.way is Way.MODULE else []
    return shlex.join(["python", *flag, start.target, *start.arguments])
