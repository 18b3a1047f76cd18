"""Where an app's own start hands the app over: every call that would serve it and never return."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import flask.cli
import flask_socketio
import structlog
import werkzeug
import werkzeug.serving
from flask import Flask

from production.adopt.late import replace, when_imported
from production.adopt.serving import stands_for_a_server
from production.modes import AsyncMode

log = structlog.get_logger(__name__)

# What eventlet.listen() meets on the port that gunicorn, or another service, already listens on.
PORT_IS_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


SECONDS_FOR_ANOTHER = 1.0
"""How long an app without Flask-SocketIO is held back: the one with it may be served next."""


class Handover:
    """Takes the app from whichever call comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self.app: Any = None
        self.taken_from = ""
        self.failure: BaseException | None = None

    def take(self, app: Any, taken_from: str, **asked_for: Any) -> NoReturn:
        """Take an app and never return, as the call that serves it never does.

        :param app: what was to be served.
        :param taken_from: the call, for the log.
        :param asked_for: its host and port, which the settings decide.
        """
        if isinstance(app, Flask) and "socketio" not in app.extensions:
            self._settled.wait(SECONDS_FOR_ANOTHER)
        if self.give(app, taken_from):
            log.info("the app was handed over", call=taken_from, ignored=asked_for, setting="BIND")
        else:
            log.warning(
                "a second server was asked for and is not started: only one app is served",
                call=taken_from,
                ignored=asked_for,
            )
        while True:
            threading.Event().wait()

    def give(self, app: Any, taken_from: str) -> bool:
        """Hand over an app, unless another one came first; tell whether it is the one."""
        with self._lock:
            if self._settled.is_set():
                return False
            self.app, self.taken_from = app, taken_from
            self._settled.set()
            return True

    def fail(self, error: BaseException) -> None:
        """Say that no app will come.

        :param error: why; what it is raised as is what the caller of :meth:`wait` sees.
        """
        with self._lock:
            if not self._settled.is_set():
                self.failure = error
                self._settled.set()

    @property
    def done(self) -> bool:
        """Whether an app, or a failure, has come."""
        return self._settled.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until an app or a failure has come; tell whether one has."""
        return self._settled.wait(seconds)


def intercept_servers(handover: Handover) -> None:
    """Let every call that would serve an app hand it over instead, for as long as the process lives.

    :param handover: who takes the app.
    """

    @stands_for_a_server
    def run_socketio(self: Any, app: Any, host: Any = None, port: Any = None, **_: Any) -> NoReturn:
        handover.take(app, "socketio.run()", host=host, port=port)

    @stands_for_a_server
    def run_flask(self: Flask, host: Any = None, port: Any = None, *_: Any, **__: Any) -> None:
        # Flask's own command imports the module and ignores a call of run() in it.
        if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
            handover.take(self, "app.run()", host=host, port=port)

    @stands_for_a_server
    def run_simple(hostname: Any, port: Any, application: Any, *_: Any, **__: Any) -> NoReturn:
        handover.take(application, "run_simple()", host=hostname, port=port)

    flask_socketio.SocketIO.run = run_socketio
    Flask.run = run_flask  # type: ignore[method-assign]
    # Flask's command has a name of its own for it.
    for module in (werkzeug, werkzeug.serving, flask.cli):
        module.run_simple = run_simple  # type: ignore[attr-defined]
    when_imported("eventlet.wsgi", lambda module: _intercept_eventlet(module, handover))
    when_imported("eventlet.convenience", _lend_a_port)
    when_imported("gevent.pywsgi", lambda module: _intercept_gevent(module, handover))
    when_imported("waitress", lambda module: _intercept_waitress(module, handover))


def _intercept_eventlet(module: Any, handover: Handover) -> None:
    @stands_for_a_server
    def server(sock: Any, site: Any, *_: Any, **__: Any) -> NoReturn:
        # Otherwise clients of that port would wait for an answer that nobody gives.
        sock.close()
        handover.take(site, "eventlet.wsgi.server()")

    module.server = server


def _lend_a_port(module: Any) -> None:
    """Let ``eventlet.listen()`` return a socket where gunicorn has taken the port already."""
    listen = module.listen

    def listen_somewhere(addr: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return listen(addr, *arguments, **options)
        except OSError as error:
            if error.errno not in PORT_IS_TAKEN:
                raise
            log.info("eventlet.listen() was given another port: BIND decides", asked_for=repr(addr))
            return listen(("127.0.0.1", 0))

    replace(module, "listen", listen_somewhere)


def _intercept_gevent(module: Any, handover: Handover) -> None:
    @stands_for_a_server
    def serve_forever(self: Any, *_: Any, **__: Any) -> NoReturn:
        handover.take(self.application, "WSGIServer.serve_forever()", address=repr(self.address))

    module.WSGIServer.serve_forever = serve_forever


def _intercept_waitress(module: Any, handover: Handover) -> None:
    @stands_for_a_server
    def serve(app: Any, *_: Any, **__: Any) -> NoReturn:
        handover.take(app, "waitress.serve()")

    module.serve = serve


def keep_the_patch(mode: AsyncMode) -> None:
    """Ignore monkey patches of the app: the process is patched for its mode, or not at all.

    :param mode: what the process serves in.
    """

    def ignore(call: str) -> Callable[..., Any]:
        def patch(*_: Any, **__: Any) -> bool:
            log.info(
                "a monkey patch of the app is ignored: the worker has patched", call=call, mode=mode
            )
            return True

        return patch

    when_imported(
        "eventlet.patcher",
        lambda module: replace(module, "monkey_patch", ignore("eventlet.monkey_patch()")),
    )

    def leave_gevent_alone(module: Any) -> None:
        for name in [name for name in vars(module) if name.startswith("patch_")]:
            replace(module, name, ignore(f"monkey.{name}()"))

    when_imported("gevent.monkey", leave_gevent_alone)
