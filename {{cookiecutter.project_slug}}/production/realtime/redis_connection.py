"""Connections to Redis or Valkey: which URLs there are, and the options that matter.

One server       ``redis://``, ``rediss://`` (TLS), ``unix:///path``; ``valkey://`` and ``valkeys://``
                 are the same, since both servers speak one protocol
Sentinel         ``redis+sentinel://host1:26379,host2:26379/0/mymaster``, as python-socketio writes it:
                 the database, then the name of the master; the other order is understood too
Cluster          ``redis+cluster://host1:6379,host2:6379``: some of the nodes, they name the others

``+sentinel`` and ``+cluster`` go behind any scheme but ``unix``; behind ``rediss`` and ``valkeys`` all
connections use TLS. What follows ``?`` are options of redis-py's connections, which win over those
given here: ``rediss://host/0?ssl_ca_certs=/etc/ca.pem``, ``?socket_connect_timeout=5``.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import ConnectionPool, Redis, RedisCluster, RedisError
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import SSLConnection, parse_url
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

QUEUE_ERRORS = (RedisError, RedisClusterException, OSError)
"""What a client raises when the queue cannot be reached, does not answer in time, or refuses."""

SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "unix": "unix",
}
"""The schemes, and what redis-py calls them."""

EXAMPLES = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, "
    "redis+sentinel://host1:26379,host2:26379/0/mymaster or redis+cluster://host1:6379,host2:6379"
)

REDIS_PORT = 6379
SENTINEL_PORT = 26379

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


class Form(StrEnum):
    """How servers are found and how many there are."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Address:
    """What a URL says.

    :param form: how the servers are found.
    :param nodes: hosts and ports to ask for the others; none where there is a single server.
    :param master: the name of the master, with Sentinel.
    :param options: for the connections.
    """

    form: Form
    nodes: tuple[tuple[str, int], ...]
    master: str
    options: dict[str, Any]

    @property
    def database(self) -> int:
        """The number of the database; channels know none, see :func:`name`."""
        return int(self.options.get("db", 0))


def connect(url: str, **options: Any) -> Any:
    """Return a client for a URL; it connects when it is used, but in a cluster at once.

    No command is tried twice: who may wait for another try, and how long, is the caller's to know.

    :param url: see the module.
    :param options: for redis-py's connections, instead of those given here; the URL's own win.
    :return: a :class:`redis.Redis` or :class:`redis.RedisCluster`; safe in threads and after a fork.
    :raises ValueError: one sentence about a URL that is none.
    """
    address = parse(url)
    merged = _connection_options(address, options)
    if address.form is Form.CLUSTER:
        nodes = [ClusterNode(*node) for node in address.nodes]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, retry=_once(), **merged)
    if address.form is Form.SENTINEL:
        return _from_sentinel(address, merged)
    return Redis.from_pool(ConnectionPool(**merged))


def check_url(url: str) -> None:
    """Make sure that a URL and its options can be used, without connecting.

    :raises ValueError: one sentence that does not repeat the URL, which may hold a password.
    """
    address = parse(url)
    try:
        ConnectionPool(**_connection_options(address, {}, tls_as_class=True)).make_connection()
    except (TypeError, ValueError, RedisError) as error:
        # Python's sentence names the option behind the name of an internal function.
        raise ValueError(f"has an option that redis-py refuses: {_tail(error)}") from None


def name(service: str, *parts: str, url: str | None = None) -> str:
    """Return a key or a channel that belongs to a service.

    Two services on one server never mix, and in a cluster all names of a service are on one node,
    so that one pipeline or script may use several.

    :param service: the service's name.
    :param parts: what it is for.
    :param url: to name the database too: for channels, which all databases of a server share.
    """
    database = () if url is None else (str(parse(url).database),)
    return ":".join(("production", f"{{{service}}}", *parts, *database))


def parse(url: str) -> Address:
    """Read a URL.

    :raises ValueError: one sentence that does not repeat the URL, which may hold a password.
    """
    scheme, separator, _ = url.partition("://")
    plain, _, suffix = scheme.lower().partition("+")
    forms = {"": Form.SINGLE, "sentinel": Form.SENTINEL, "cluster": Form.CLUSTER}
    form = forms.get(suffix)
    if not separator or plain not in SCHEMES or form is None:
        raise ValueError(f"is no URL of Redis or Valkey: write {EXAMPLES}")
    if plain == "unix":
        return _parse_unix(url, form)
    parts = urlsplit(url)
    if parts.fragment:
        raise ValueError("contains #, which has to be written as %23 in a password")
    credentials, at, hosts = parts.netloc.rpartition("@")
    port = SENTINEL_PORT if form is Form.SENTINEL else REDIS_PORT
    nodes = tuple(_host_and_port(host, port) for host in hosts.split(","))
    if form is Form.SINGLE and len(nodes) > 1:
        raise ValueError(f"names several hosts: write {EXAMPLES}")
    database, master = _database_and_master(parts.path, form)
    query = f"?{parts.query}" if parts.query else ""
    options = _parse_options(f"{SCHEMES[plain]}://{credentials}{at}any-host{database}{query}")
    if form is Form.SINGLE:
        options["host"], options["port"] = nodes[0]
        return Address(form, (), "", options)
    del options["host"]
    options["ssl"] = options.pop("connection_class", None) is not None
    if form is Form.CLUSTER and options.pop("db", 0):
        raise ValueError("names a database, and in a cluster there is only 0: leave it out")
    return Address(form, nodes, master, options)


def _parse_unix(url: str, form: Form) -> Address:
    if form is not Form.SINGLE:
        raise ValueError(f"asks for a {form} behind a unix socket: write {EXAMPLES}")
    options = _parse_options(url)
    if not options.get("path"):
        raise ValueError("names no socket: write unix:///path/to/socket")
    return Address(form, (), "", options)


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return unquote(parts.hostname or "localhost"), parts.port or default_port
    except ValueError:
        # Python's own sentence would repeat what may be a part of the password.
        raise ValueError(
            "names a host or port that is none; special characters in a password have to be "
            "percent-encoded"
        ) from None


def _parse_options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    return options


def _database_and_master(path: str, form: Form) -> tuple[str, str]:
    """Return the database, as a path, and the name of the master, wherever each stands."""
    segments = [unquote(segment) for segment in path.split("/") if segment]
    numbers = [segment for segment in segments if segment.isdecimal()]
    names = [segment for segment in segments if not segment.isdecimal()]
    if form is Form.SENTINEL:
        if len(names) != 1 or len(numbers) > 1:
            raise ValueError("names no master: write redis+sentinel://host1,host2/0/mymaster")
    elif names or len(numbers) > 1:
        raise ValueError("has a path that is no database: write a number, as in redis://host/0")
    return (f"/{numbers[0]}" if numbers else ""), "".join(names)


def _connection_options(
    address: Address, options: dict[str, Any], *, tls_as_class: bool = False
) -> dict[str, Any]:
    tcp = {} if "path" in address.options else TCP_OPTIONS
    merged = {**OPTIONS, **tcp, **options, **address.options}
    if tls_as_class and merged.pop("ssl", False):
        merged["connection_class"] = SSLConnection
    if not merged.get("ssl", True):
        del merged["ssl"]
    return merged


def _from_sentinel(address: Address, options: dict[str, Any]) -> Any:
    # To the sentinels themselves the same time-outs and TLS apply, not the master's credentials.
    to_sentinels = {
        option: value for option, value in options.items() if option.startswith(("socket_", "ssl"))
    }
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(address.nodes), sentinel_kwargs={**to_sentinels, "retry": _once()}, **options
    )
    return sentinel.master_for(address.master)  # type: ignore[no-untyped-call]


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _tail(error: Exception) -> str:
    return str(error).rpartition("__init__() ")[2]
