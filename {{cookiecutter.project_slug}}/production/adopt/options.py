"""Lets what an app passes to ``SocketIO(…)`` and ``init_app(…)`` make a server of the layer."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_socketio import SocketIO

from production.adopt.courtesies import keep_earlier_handlers
from production.realtime.attaching import serving_class
from production.realtime.options import layer_options, log_overrides
from production.realtime.server import Server
from production.settings import Settings


class Binding:
    """The apps that were given a Socket.IO server, in the order in which they were."""

    def __init__(self) -> None:
        self.apps: list[Flask] = []
        self.objects: list[SocketIO] = []


def intercept_init_app(settings: Settings) -> Binding:
    """Let every ``SocketIO`` object that is given an app serve it as the layer does.

    Only ``init_app`` is intercepted, which the constructor calls too. One without an app, as
    ``SocketIO(message_queue=…)`` in a Celery worker, only writes and stays as it is.

    :param settings: the settings of the process.
    :return: what will have been bound.
    """
    init_app = SocketIO.init_app
    binding = Binding()

    def init_app_as_served(self: Any, app: Flask | None, **options: Any) -> None:
        if app is None:
            init_app(self, app, **options)
            return
        earlier = self.server
        given = {**self.server_options, **options}
        chosen = layer_options(given, settings)
        log_overrides(given, chosen, settings)
        chosen["client_manager"].greets_by_broadcast = True
        # Upstream would make a queue of its own from these; the manager is made already.
        for name in ("client_manager", "channel"):
            self.server_options.pop(name, None)
            options.pop(name, None)
        with serving_class(Server):
            init_app(self, app, **{**options, **chosen})
        keep_earlier_handlers(self, earlier)
        binding.apps.append(app)
        binding.objects.append(self)

    SocketIO.init_app = init_app_as_served
    return binding
