"""What other programs emit on the channels that stock names, which all services of a server share.

Without a ``channel``, Flask-SocketIO's ``SocketIO(message_queue=...)`` and python-socketio's managers
publish there. Who listened to it would hear other services, too; who does not has to be told.
"""

from __future__ import annotations

from typing import Any

import structlog
from redis.exceptions import NoPermissionError

from production.realtime.redis_connection import QUEUE_ERRORS, connect

log = structlog.get_logger(__name__)

DEFAULT_CHANNEL = "flask-socketio"
"""Flask-SocketIO's default."""

STOCK_CHANNELS = (DEFAULT_CHANNEL, "socketio")
"""With that of python-socketio's own managers."""

LOOK = 10.0
"""Seconds between two looks at whether the connection still stands, and between two tries to make one."""


def tell_once(server: Any, url: str, channel: str) -> None:
    """Write into the log, once, that something is emitted which no client of this service hears.

    :param server: the Socket.IO server, which knows how its async mode sleeps.
    :param url: where the queue is.
    :param channel: where this service listens.
    """
    while True:
        try:
            heard_on = _await_message(url)
        except NoPermissionError:
            # Nobody emits where this user of the queue may not even listen, or it is not for us.
            return
        except QUEUE_ERRORS:
            # Those who need the queue say so.
            server.sleep(LOOK)
        else:
            log.warning(
                "what a program emits reaches no client: let it use production.realtime.emitter, or give "
                "this service's channel to its SocketIO or manager",
                emitted_on=heard_on,
                channel=channel,
            )
            return


def _await_message(url: str) -> str:
    client = connect(url, health_check_interval=LOOK)
    try:
        with client.pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(*STOCK_CHANNELS)
            while True:
                received = subscription.get_message(timeout=LOOK)
                if received is not None:
                    heard_on: bytes = received["channel"]
                    return heard_on.decode()
                subscription.check_health()
    finally:
        client.close()
