"""What a service has to be allowed in Redis or Valkey, tried at the start.

All keys of a service begin with ``production:{<SERVICE_NAME>}:``, and so do its channels, but for that
of an adopted app. The commands are tried on keys of their own, which expire. A queue that cannot be
reached is not judged: the service waits for it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from redis import AuthenticationError, Redis
from redis import ConnectionError as RedisConnectionError
from redis import TimeoutError as RedisTimeoutError
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from production.realtime.connection_options import to_data, to_sentinels
from production.realtime.queue_messages import NOTICE
from production.realtime.queue_url import Address, Form, parse
from production.realtime.redis_connection import QUEUE_ERRORS, connect, name
from production.refusal import ConfigurationError

EXPIRY = 10
"""Seconds after which what was tried is gone."""

COMMANDS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "string": (
        ("SET", ..., "tried"),
        ("GET", ...),
        ("PEXPIRE", ..., EXPIRY * 1000),
        ("DEL", ...),
    ),
    "hash": (
        ("HSET", ..., "field", 1),
        ("HGET", ..., "field"),
        ("HGETALL", ...),
        ("HLEN", ...),
        ("EXPIRE", ..., EXPIRY),
        ("HDEL", ..., "field"),
    ),
    "sorted": (
        ("ZADD", ..., 1, "member"),
        ("ZRANGE", ..., 0, 0),
        ("EXPIRE", ..., EXPIRY),
        ("ZREMRANGEBYSCORE", ..., 2, 2),
        ("ZREM", ..., "member"),
    ),
    "list": (
        ("RPUSH", ..., "item"),
        ("LINDEX", ..., 0),
        ("LLEN", ...),
        ("EXPIRE", ..., EXPIRY),
        ("LPOP", ...),
    ),
    "stream": (
        ("XADD", ..., "*", "field", 1),
        ("EXPIRE", ..., EXPIRY),
        ("XRANGE", ..., "-", "+", "COUNT", 1),
        ("XREAD", "COUNT", 1, "STREAMS", ..., 0),
        ("XDEL", ..., "0-1"),
        ("DEL", ...),
    ),
}
"""What is done with keys, by their type; ``...`` stands for the key."""

KEYLESS = (("PING",), ("TIME",), ("INFO", "server"))


def check_queue(url: str, service: str, channel: str) -> None:
    """Make sure that a queue is what its URL says, and that the service is let do what it does.

    :param url: the service's ``REDIS_URL``.
    :param service: the service's name.
    :param channel: on which its processes tell each other of their emits.
    :raises ConfigurationError: in one sentence, if not.
    """
    address = parse(url)
    lacking: list[str] = []
    # Away, or about to be: that is no fault of the configuration.
    with contextlib.suppress(*QUEUE_ERRORS):
        try:
            _check_form(url, address)
            with closing(connect(url)) as client:
                lacking = _lacking(client, service, channel)
        except AuthenticationError:
            raise ConfigurationError(
                "REDIS_URL names no user and password that the queue takes: write "
                "redis://user:password@host, with special characters percent-encoded."
            ) from None
    if lacking:
        _refuse_rights(lacking, service, channel)


def _check_form(url: str, address: Address) -> None:
    """Make sure that the servers are of the kind that the URL says.

    :raises ConfigurationError: if not.
    """
    if address.form is Form.SENTINEL:
        _check_sentinels(address)
        return
    if address.form is Form.CLUSTER:
        if _is_in_cluster(_some_node(address)) is False:
            raise ConfigurationError(
                "REDIS_URL says +cluster, and the server is in none: leave +cluster out."
            )
    elif _is_in_cluster(connect(url)) is True:
        raise ConfigurationError(
            "REDIS_URL leads to a node of a cluster, which has a part of the keys only: write "
            "redis+cluster:// or rediss+cluster://."
        )


def _is_in_cluster(client: Any) -> bool | None:
    """Tell whether a server is a node of a cluster; nothing if it does not say."""
    with closing(client):
        try:
            return bool(client.info("cluster")["cluster_enabled"])
        except NoPermissionError:
            # That is said together with the other rights that are lacking.
            return None


def _some_node(address: Address) -> Any:
    """Return a client of a node that can be reached.

    :raises ConnectionError: redis-py's, if there is none.
    """
    for host, port in address.nodes:
        client = Redis(host=host, port=port, ssl=address.tls, **to_data(address, {}))
        with contextlib.suppress(RedisConnectionError, RedisTimeoutError):
            client.ping()
            return client
    raise RedisConnectionError


def _check_sentinels(address: Address) -> None:
    """Make sure that a Sentinel that can be reached lets us ask, and knows the name of the master.

    :raises ConfigurationError: if not.
    """
    knows: list[bool] = []
    for host, port in address.nodes:
        with closing(Redis(host=host, port=port, **to_sentinels(address))) as sentinel:
            try:
                knows.append(bool(sentinel.sentinel_get_master_addr_by_name(address.master)))
            except AuthenticationError:
                raise ConfigurationError(
                    "REDIS_URL gives no password that the Sentinels take: add "
                    "?sentinel_password=, and sentinel_username= if they have users."
                ) from None
            except ResponseError as error:
                raise ConfigurationError(
                    f"REDIS_URL says +sentinel, and {host}:{port} answers: {error}."
                ) from None
            except QUEUE_ERRORS:
                continue
    if knows and not any(knows):
        raise ConfigurationError(
            f"REDIS_URL names the master {address.master}, and its Sentinels watch none of that name."
        )


def _lacking(client: Any, service: str, channel: str) -> list[str]:
    """Return the commands that the server does not let this user do."""
    lacking: list[str] = []

    def attempt(command: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except NoPermissionError:
            lacking.append(command)
        except NoScriptError:
            pass

    for keyless in KEYLESS:
        attempt(keyless[0], partial(client.execute_command, *keyless))
    for kind, commands in COMMANDS.items():
        key = name(service, "tried", kind, secrets.token_hex(4))
        for command in commands:
            words = [key if word is ... else word for word in command]
            attempt(str(command[0]), partial(client.execute_command, *words))
    key = name(service, "tried")
    attempt("SCRIPT|LOAD", partial(client.script_load, "return 0"))
    # No script has this name; whoever may not run one is told so first.
    attempt("EVALSHA", partial(client.evalsha, "0" * 40, 1, key))
    # Nobody listens for this topic: see queue.py.
    notice = json.dumps({"method": NOTICE, "topic": "rights are tried"})
    attempt("PUBLISH", partial(client.publish, channel, notice))
    attempt("SUBSCRIBE", partial(_subscribe, client, channel))
    return list(dict.fromkeys(lacking))


def _subscribe(client: Any, channel: str) -> None:
    with client.pubsub() as subscription:
        subscription.subscribe(channel)
        subscription.get_message(timeout=1.0)


def _refuse_rights(lacking: list[str], service: str, channel: str) -> None:
    """Say what is not allowed, and what to grant.

    :raises ConfigurationError: always.
    """
    channels = name(service, "*") if channel.startswith(name(service, "")) else channel
    grants = " ".join(f"+{command.lower()}" for command in lacking)
    raise ConfigurationError(
        f"The queue does not let the user of REDIS_URL {', '.join(lacking)}: grant it `{grants}`, "
        f"on the keys `~{name(service, '*')}` and the channels `&{channels}`."
    )
