"""What an app passes to ``SocketIO(…)`` and ``init_app(…)``, and what the layer makes of it.

How sessions are served is the layer's business; what they are used for is the app's.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import structlog

from production.realtime.manager import LocalManager
from production.realtime.misdirected import DEFAULT_CHANNEL
from production.realtime.origins import origin_policy
from production.realtime.packets import StrictPacket
from production.realtime.queue import QueueManager
from production.refusal import ConfigurationError
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

# The schemes whose queue upstream's Redis client, and so the layer's, speaks to.
REDIS = ("redis://", "rediss://")


def layer_options(given: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the options that win over the app's.

    :param given: what the app passed.
    :param settings: the settings of the process.
    """
    chosen = server_options(settings)
    chosen["serializer"] = _serializer_of_the_app(given.get("serializer", "default"))
    if not settings.allowed_origins:
        chosen["cors_allowed_origins"] = _origins_of_the_app(given.get("cors_allowed_origins"))
    chosen["client_manager"] = _queue_of_the_app(given, settings) or chosen["client_manager"]
    return chosen


def _origins_of_the_app(given: Any) -> Any:
    """Keep the origins that the app allows, and its own pages, which upstream would then refuse."""
    if given is None:
        return origin_policy([])
    if allows_everyone(given):
        log.warning(
            "the app lets pages of any origin use its visitors' sessions: name those that may in "
            "ALLOWED_ORIGINS",
            cors_allowed_origins=given,
        )
        return given
    if isinstance(given, str):
        return origin_policy([given])
    return given if callable(given) else origin_policy(list(given))


def allows_everyone(origins: Any) -> bool:
    """Tell whether what an app passes for ``cors_allowed_origins`` lets the pages of anyone in."""
    is_list = isinstance(origins, list | tuple)
    return bool(origins == "*" or (is_list and (not origins or "*" in origins)))


def safe_options(given: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what a new service passes without origins that its settings would refuse, and say so.

    :param given: what it passes.
    :param settings: the settings of the process.
    """
    if settings.in_development or not allows_everyone(given.get("cors_allowed_origins")):
        return given
    name = "cors_allowed_origins"
    _tell(log.warning, name, given[name], settings.allowed_origins)
    return {**given, name: None}


def _serializer_of_the_app(named: Any) -> Any:
    """Return what reads and writes packets, which the app's clients have to speak too."""
    if named == "default":
        return StrictPacket
    if named != "msgpack":
        return named
    try:
        return importlib.import_module("production.realtime.msgpack_packets").StrictMsgPackPacket
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The app asks for serializer='msgpack', whose package is not installed: add msgpack to "
            "its requirements."
        ) from error


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


def log_overrides(given: dict[str, Any], chosen: dict[str, Any], settings: Settings) -> None:
    """Say in the log what :func:`overrides` lists."""
    for name, old, new in overrides(given, chosen, settings):
        _tell(log.info, name, old, new)


def _tell(write: Callable[..., None], name: str, old: Any, new: Any) -> None:
    message = "an option of the app is overridden"
    write(message, option=name, old=str(old), new=str(new), setting=SETTINGS[name])


def server_options(settings: Settings) -> dict[str, Any]:
    """Return what Flask-SocketIO is configured with.

    :param settings: the settings of the process.
    """
    return {
        "async_mode": str(settings.async_mode),
        "client_manager": _manager(settings),
        "serializer": StrictPacket,
        # Each session's inbox starts the handlers, see production/realtime/inbox.py.
        "async_handlers": False,
        "transports": [str(transport) for transport in settings.transports],
        "cors_allowed_origins": origin_policy(settings.allowed_origins),
        "ping_interval": settings.ping_interval,
        "ping_timeout": settings.ping_timeout,
        "max_http_buffer_size": settings.max_message_bytes,
        "max_attachments": settings.max_attachments,
        "connect_timeout": settings.connect_timeout,
        "max_sessions": settings.max_sessions,
        "sessions_per_address": settings.most_sessions_per_address,
        "handshakes_per_address": settings.handshakes_per_address,
        "max_queued_messages": settings.max_queued_messages,
        "max_queued_bytes": settings.max_queued_bytes,
        "logger": logging.getLogger("socketio"),
        "engineio_logger": logging.getLogger("engineio"),
    }


def _manager(settings: Settings) -> Any:
    if settings.redis_url is None:
        return LocalManager()
    return queue_manager(settings.redis_url.get_secret_value(), settings)


def queue_manager(url: str, settings: Settings, channel: str | None = None) -> QueueManager:
    """Return a manager that speaks to other processes through a queue.

    :param url: where the queue is.
    :param settings: the settings of the process.
    :param channel: what other processes call the channel, where that is theirs to say.
    """
    return QueueManager(
        url,
        service=settings.service_name,
        backlog=settings.queue_backlog,
        backlog_seconds=settings.queue_backlog_seconds,
        channel=channel,
    )
