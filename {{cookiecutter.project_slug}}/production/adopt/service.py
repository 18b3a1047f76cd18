"""From the app as it hands itself over to what gunicorn serves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask
from flask_socketio import SocketIO

import production
from production import bootstrap
from production.adopt.alone import one_start_at_a_time
from production.adopt.courtesies import extend_courtesies
from production.adopt.gate import Gate, hold_back
from production.adopt.handover import Handover, intercept_servers, keep_the_patch
from production.adopt.options import Binding, intercept_init_app
from production.adopt.other_modes import check_calls
from production.adopt.script import described, launch
from production.adopt.secret_key import settle_secret
from production.adopt.signals import keep_gunicorns_handlers
from production.adopt.start import Start, UnknownStart, parse
from production.adopt.turn import StartContest
from production.http import upgrades
from production.realtime.errors import answer_error
from production.realtime.server import Server
from production.refusal import ConfigurationError
from production.settings import PROJECT_ROOT, Settings

log = structlog.get_logger(__name__)

SHARE_OF_WORKER_TIMEOUT = 0.8
"""When to give up on a start: before gunicorn takes the worker for dead and says nothing of why."""


class WrappedApp:
    """A WSGI application with a Flask app inside, known by its extensions as that is.

    :param application: what the app's own start serves.
    :param app: the Flask app inside.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], app: Flask) -> None:
        self._application = application
        self.extensions = app.extensions

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Hand a request on."""
        return self._application(environ, start_response)


def serve(existing_app: str, settings: Settings) -> Any:
    """Start an app, wait until it hands itself over, and put the layer around it.

    :param existing_app: how it is started.
    :param settings: the settings of the process.
    :return: a WSGI application.
    :raises ConfigurationError: if it cannot be started, or not be served safely.
    """
    try:
        start = parse(existing_app)
    except UnknownStart as fault:
        raise ConfigurationError(f"EXISTING_APP {existing_app!r} {fault}.") from None
    bootstrap.check_releases()
    bootstrap.check_patch(settings.async_mode)

    handover = Handover()
    binding = intercept_init_app(settings)
    intercept_servers(handover)
    keep_the_patch(settings.async_mode)
    keep_gunicorns_handlers()
    extend_courtesies(settings.async_mode)
    gate = _gate(settings)
    application = _started(start, handover, gate, settings)
    app, socketio = _find_app(start, application, binding)
    _check_server(start, socketio, settings)
    _hear_ourselves()
    _settle_configuration(app, settings)
    if socketio.default_exception_handler is None:
        socketio.on_error_default(answer_error)
    if settings.upgrade_insecure_requests:
        upgrades.init_app(app)
    production.surround(app, socketio, settings, adopted=True)
    if settings.several_processes:
        StartContest(app, gate).begin()
    log.info("an existing app is served", start=described(start), taken_from=handover.taken_from)
    return app if application is app else WrappedApp(application, app)


def _gate(settings: Settings) -> Gate:
    """Return what holds back the work that the start begins, open where there is one process."""
    gate = Gate()
    if settings.several_processes:
        hold_back(gate, settings.async_mode)
    else:
        gate.open()
    return gate


def _started(start: Start, handover: Handover, gate: Gate, settings: Settings) -> Any:
    """Start the app and return what it hands over."""
    patience = settings.worker_timeout * SHARE_OF_WORKER_TIMEOUT
    deadline = time.monotonic() + patience
    with one_start_at_a_time(PROJECT_ROOT, patience / 2):
        launch(start, PROJECT_ROOT, handover, gate)
        arrived = handover.wait(deadline - time.monotonic())
    check_calls(settings.async_mode)
    if not arrived:
        raise ConfigurationError(_too_late(start, gate, patience))
    if handover.failure is not None:
        raise handover.failure
    return handover.app


def _too_late(start: Start, gate: Gate, patience: float) -> str:
    """Say that no app came, and what to do."""
    advice = (
        "EXISTING_APP has to make a call that serves, such as socketio.run(app); if it needs longer "
        "to get there, raise WORKER_TIMEOUT."
    )
    if not gate.is_open:
        advice += (
            " One that waits for a thread or task of its own waits for ever where that runs in one "
            "of several workers only: set WEB_CONCURRENCY=1 and leave out -w."
        )
    return f"{described(start)} did not serve its app within {patience:g} s: {advice}"


def _find_app(start: Start, application: Any, binding: Binding) -> tuple[Flask, SocketIO]:
    """Return the Flask app in what is served, with its Flask-SocketIO object."""
    app = application
    if not isinstance(app, Flask):
        if not callable(application):
            raise ConfigurationError(
                f"{described(start)} is of type {type(application).__name__}, which is no WSGI application."
            )
        # Middleware around it: the app inside is the one that was given its SocketIO object last.
        app = binding.apps[-1] if binding.apps else None
    socketio = app.extensions.get("socketio") if app is not None else None
    if app is None or socketio is None:
        raise ConfigurationError(
            f"{described(start)} serves an app without Flask-SocketIO: there is nothing to adopt, "
            "any WSGI server will do."
        )
    if len(binding.objects) > 1:
        log.warning(
            "there are several SocketIO objects: the one in app.extensions is served",
            objects=len(binding.objects),
            served=binding.objects.index(socketio) + 1 if socketio in binding.objects else None,
        )
    return app, socketio


def _check_server(start: Start, socketio: SocketIO, settings: Settings) -> None:
    """Make sure that what the layer decides is what came of it."""
    server = socketio.server
    if not isinstance(server, Server) or server.async_mode != settings.async_mode:
        mode = getattr(server, "async_mode", None)
        raise ConfigurationError(
            f"{described(start)} makes a {type(server).__name__} in the mode {mode} that the layer does "
            f"not know, instead of one in {settings.async_mode}: let SocketIO.init_app() make it."
        )


def _hear_ourselves() -> None:
    """Undo what ``logging.config.dictConfig`` of the app does by default to loggers that exist."""
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.startswith(("production", "gunicorn")):
            logger.disabled = False


def _settle_configuration(app: Flask, settings: Settings) -> None:
    """Decide what of the app's configuration is not safe to serve with."""
    if app.debug:
        app.debug = False
        log.info("an option of the app is overridden", option="DEBUG", old="True", new="False")
    settle_secret(app, settings)
    if (
        app.config["MAX_CONTENT_LENGTH"] is None
        and "max_request_bytes" in settings.model_fields_set
    ):
        app.config["MAX_CONTENT_LENGTH"] = settings.max_request_bytes
