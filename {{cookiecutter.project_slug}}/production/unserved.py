"""An app in a process that serves nobody: ``flask shell``, a migration, a script, a worker of Celery.

All of these may use the app, in every async mode, and emit to the clients of the service. Only gunicorn may serve it:
another server would take WebSockets for requests, and nothing would keep one client from stopping it.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask

from production.bootstrap import patched_for
from production.realtime.emitter import Emitter
from production.realtime.manager import LocalManager
from production.realtime.queue import QueueManager
from production.settings import AdminUi, Settings
from production.state import ServiceState

log = structlog.get_logger(__name__)

MADE_BY_SERVERS = frozenset({"SERVER_SOFTWARE", "uwsgi.version"})
"""What the environment of a request has that came to a server; the requests of Flask's test client have none."""

SENTENCE = (
    "This app is served by gunicorn only: start it with `make run` or `gunicorn`, whose gunicorn.conf.py "
    "chooses the worker that its async mode needs."
)


class CommandManager(LocalManager):
    """Sends what is emitted to the clients of the service; this process has none but test clients.

    :param emitter: what reaches them, if there is a message queue.
    """

    def __init__(self, emitter: Emitter | None) -> None:
        super().__init__()
        self._emitter = emitter

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        """Emit to the clients of the service.

        :raises EmitError: if the queue did not take it.
        :raises Unsendable: if clients could not read it.
        """
        super().emit(event, data, namespace, room, skip_sid, callback, to, **options)
        if self._emitter is not None:
            self._emitter.emit(event, data, to=to or room, namespace=namespace)
        elif namespace not in self.rooms:
            log.warning(
                "no client hears what is emitted here: a process that serves nobody needs REDIS_URL",
                emitted=event,
            )


def emitter_for(settings: Settings) -> Emitter | None:
    """Return what emits to the clients of a service, if it has a message queue.

    :param settings: the settings of the service.
    """
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    return Emitter(url, settings.service_name, settings.max_attachments)


def settings_for_commands(settings: Settings) -> Settings:
    """Return settings for a process that serves nobody: its sockets are as they are, and no task is started.

    :param settings: the settings of the service.
    """
    without = {"redis_url": None, "admin_ui": AdminUi.OFF, "traces_endpoint": ""}
    return settings.model_copy(update={"async_mode": patched_for(), **without})


def be_used_only(app: Flask) -> None:
    """Let the app do no work of the service, and answer no requests but those of test clients.

    :param app: the app, with the layer around it.
    """
    app.extensions["production"].serves = False
    inner = app.wsgi_app

    def refusing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if MADE_BY_SERVERS.isdisjoint(environ):
            return inner(environ, start_response)
        log.critical(SENTENCE, server=environ.get("SERVER_SOFTWARE"))
        status = HTTPStatus.SERVICE_UNAVAILABLE
        body = f"{SENTENCE}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    app.wsgi_app = refusing  # type: ignore[method-assign]


def leave_service(state: ServiceState) -> None:
    """Let an app that was served do no work of the service any more, in a process that was forked.

    :param state: the process that it was forked from.
    """
    state.serves = False
    server = state.socketio.server
    if isinstance(server.manager, QueueManager):
        manager = CommandManager(server.manager.emitter(state.settings.max_attachments))
    elif isinstance(server.manager, LocalManager):
        manager = CommandManager(None)
    else:
        # An adopted app's queue of another kind, which publishes by itself.
        return
    manager.set_server(server)
    server.manager = manager
