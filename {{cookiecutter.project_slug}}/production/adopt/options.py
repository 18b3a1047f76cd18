"""What the app passes to ``SocketIO(…)`` and ``init_app(…)``, and what the layer makes of it.

How sessions are served is the layer's business; what they are used for is the app's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask
from flask_socketio import SocketIO

from production.adopt.courtesies import keep_earlier_handlers
from production.realtime.origins import origin_policy
from production.realtime.server import Server, queue_manager, server_options, serving_class
from production.settings import Settings

log = structlog.get_logger(__name__)

# The setting by which the owner changes what the layer decides. What has none is the layer's alone.
SETTINGS = {
    "async_mode": "ASYNC_MODE",
    "ping_interval": "PING_INTERVAL",
    "ping_timeout": "PING_TIMEOUT",
    "max_http_buffer_size": "MAX_MESSAGE_BYTES",
    "transports": "TRANSPORTS",
    "cors_allowed_origins": "ALLOWED_ORIGINS",
    "logger": "LOG_LEVEL",
    "engineio_logger": "LOG_LEVEL",
}

DEFAULT_CHANNEL = "flask-socketio"

# The schemes whose queue upstream's Redis client, and so the layer's, speaks to.
REDIS = ("redis://", "rediss://")


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
        _log_overrides(given, chosen, settings)
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


def layer_options(given: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the options that win over the app's.

    :param given: what the app passed.
    :param settings: the settings of the process.
    """
    chosen = server_options(settings)
    if given.get("serializer", "default") != "default":
        # The app's clients speak it too.
        del chosen["serializer"]
    if not settings.allowed_origins:
        chosen["cors_allowed_origins"] = _origins_of_the_app(given.get("cors_allowed_origins"))
    chosen["client_manager"] = _queue_of_the_app(given, settings) or chosen["client_manager"]
    chosen["client_manager"].greets_by_broadcast = True
    return chosen


def _origins_of_the_app(given: Any) -> Any:
    """Keep the origins that the app allows, and its own pages, which upstream would then refuse."""
    if given is None:
        return origin_policy([])
    if given == [] or given == "*" or (isinstance(given, list | tuple) and "*" in given):
        log.warning(
            "the app lets pages of any origin use its visitors' sessions: name those that may in "
            "ALLOWED_ORIGINS",
            cors_allowed_origins=given,
        )
        return given
    if isinstance(given, str):
        return origin_policy([given])
    return given if callable(given) else origin_policy(list(given))


def _queue_of_the_app(given: dict[str, Any], settings: Settings) -> Any:
    """Return a manager for the app's own message queue, which its other processes emit to."""
    url = given.get("message_queue")
    if not url:
        manager = given.get("client_manager")
        return None if getattr(manager, "write_only", True) else manager
    channel = given.get("channel", DEFAULT_CHANNEL)
    if not url.startswith(REDIS):
        return _other_manager(url)(url, channel=channel)
    return queue_manager(url, settings, channel=channel)


def _other_manager(url: str) -> Callable[..., Any]:
    """Choose the manager as upstream does for what is no Redis."""
    import socketio

    if url.startswith("kafka://"):
        return socketio.KafkaManager  # type: ignore[no-any-return]
    if url.startswith("zmq"):
        return socketio.ZmqManager  # type: ignore[no-any-return]
    return socketio.KombuManager  # type: ignore[no-any-return]


def overrides(
    given: dict[str, Any], chosen: dict[str, Any], settings: Settings
) -> list[tuple[str, Any, Any]]:
    """List what the app passed and the layer decides otherwise: option, old value, new value.

    :param given: what the app passed.
    :param chosen: what :func:`layer_options` returned for it.
    :param settings: the settings of the process.
    """
    # What reads better than the objects that upstream is given.
    shown = {**chosen, "logger": settings.log_level, "engineio_logger": settings.log_level}
    decided = (
        set(SETTINGS) if settings.allowed_origins else set(SETTINGS) - {"cors_allowed_origins"}
    )
    shown["cors_allowed_origins"] = settings.allowed_origins
    return [
        (name, given[name], shown[name])
        for name in SETTINGS
        if name in decided and name in given and not _agree(name, given[name], shown[name])
    ]


def _agree(name: str, old: Any, new: Any) -> bool:
    if old is None:
        return True
    if name in {"logger", "engineio_logger"}:
        return old is False
    if name == "cors_allowed_origins":
        return bool(([old] if isinstance(old, str) else old) == new)
    if name == "transports":
        return set([old] if isinstance(old, str) else old) == set(new)
    return bool(old == new)


def _log_overrides(given: dict[str, Any], chosen: dict[str, Any], settings: Settings) -> None:
    for name, old, new in overrides(given, chosen, settings):
        log.info(
            "an option of the app is overridden",
            option=name,
            old=str(old),
            new=str(new),
            setting=SETTINGS[name],
        )
