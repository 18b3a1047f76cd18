"""The options of all connections to Redis or Valkey, and to Sentinels; those of the URL win."""

from __future__ import annotations

import socket
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from production.realtime.queue_url import Address

OPTIONS: dict[str, Any] = {
    # Within a data centre a connection takes milliseconds. Whoever waits longer for a server that is
    # gone finds out later that it is back.
    "socket_connect_timeout": 1.0,
    # The longest wait for an answer. A subscription is read with a time-out of its own, see
    # queue.py: no message for some time is no fault of the connection.
    "socket_timeout": 2.0,
    # A connection that has been silent for longer is asked for a PONG before it is used, so that
    # what a firewall forgot is found before a command is lost to it.
    "health_check_interval": 15,
}

TCP_OPTIONS: dict[str, Any] = {
    # A peer that vanished without a FIN is found by the kernel after 15 + 3 * 5 s of silence, also
    # where nothing is being asked. Linux's own default is more than two hours.
    "socket_keepalive": True,
    "socket_keepalive_options": {
        option: value
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if (option := getattr(socket, name, None)) is not None
    },
}

SENTINEL_OPTIONS: dict[str, Any] = {
    # One that does not answer is left out soon: there are others, and the lease of a turn waits.
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.5,
}


def to_data(address: Address, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options for connections to servers with the data, all but TLS itself.

    :param address: what the URL says.
    :param options: instead of those given here.
    """
    tcp = {} if "path" in address.options else TCP_OPTIONS
    return {**OPTIONS, **tcp, **options, **address.options}


def to_sentinels(address: Address) -> dict[str, Any]:
    """Return the options for connections to Sentinels: TLS and time-outs are those of the URL.

    The user and the password of the servers with the data are not theirs.

    :param address: what the URL says.
    """
    shared = {
        option: value
        for option, value in address.options.items()
        if option.startswith(("socket_", "ssl_"))
    }
    own = dict(address.to_sentinels)
    return {**TCP_OPTIONS, **SENTINEL_OPTIONS, **shared, **own, "ssl": address.tls, "retry": once()}


def once() -> Retry:
    """Return redis-py's way to say that nothing is tried again."""
    return Retry(NoBackoff(), 0)
