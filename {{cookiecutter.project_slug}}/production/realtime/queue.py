"""The message queue: how emits of one process reach the clients of another."""

from __future__ import annotations

from typing import Any

import socketio

from production.realtime.manager import ConnectedOnly

QUEUE_TIMEOUT = 2.0
"""Seconds to wait for a connection to the queue."""


class QueueManager(ConnectedOnly, socketio.RedisManager):  # type: ignore[misc]
    """Publishes to Redis or Valkey and delivers to the clients of this process.

    :param url: where the queue is.
    :param channel: the service's name, so that two services on one queue never mix.
    """

    def __init__(self, url: str, *, channel: str) -> None:
        super().__init__(
            url,
            channel=channel,
            redis_options={
                "socket_connect_timeout": QUEUE_TIMEOUT,
                "socket_keepalive": True,
                "health_check_interval": 10,
            },
        )

    def ping(self) -> None:
        """Ask the queue whether it answers.

        :raises redis.RedisError: if it does not.
        """
        connection: Any = self.redis
        connection.ping()
