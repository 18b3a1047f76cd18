"""Clients of Redis or Valkey, and what becomes of them in a failover.

A client is *stale* once the server that it was made for is no longer the primary: another part of the
process has heard so from a Sentinel, or was refused a write by a server that has become a replica. It
then fails whatever it is asked, so that everything that uses the queue moves at once, also what only
reads or waits. :class:`QueueClient` replaces a stale client; what :func:`connect` returns is
replaced by its owner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from redis import ConnectionError as RedisConnectionError
from redis import ConnectionPool, Redis, RedisCluster, RedisError
from redis.cluster import ClusterNode
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import (
    ClusterError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)

from production.realtime.connection_options import once, to_data
from production.realtime.queue_url import Address, Form, parse
from production.realtime.sentinels import SentinelPool

T = TypeVar("T")

QUEUE_ERRORS = (RedisError, RedisClusterException, OSError)
"""What a client raises when the queue cannot be reached, does not answer in time, or refuses."""


def connect(url: str, **options: Any) -> Any:
    """Return a client for a URL; it connects when it is used, but in a cluster at once.

    No command is tried twice: who may wait for another try, and how long, is the caller's to know.

    :param url: see :mod:`production.realtime.queue_url`.
    :param options: for redis-py's connections, instead of those given here; the URL's own win.
    :return: a :class:`redis.Redis` or :class:`redis.RedisCluster`; safe in threads and after a fork.
    :raises ValueError: one sentence about a URL that is none.
    """
    address = parse(url)
    merged = to_data(address, options)
    if address.form is Form.CLUSTER:
        nodes = [ClusterNode(*node) for node in address.nodes]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, retry=once(), ssl=address.tls, **merged)
    if address.form is Form.SENTINEL:
        return Redis.from_pool(SentinelPool(address, merged))
    return Redis.from_pool(_SinglePool(_demotions[url], address, merged))


class QueueClient:
    """The client of one part of the process: made when it is needed, and anew when it is stale.

    :param url: where the queue is.
    :param options: as for :func:`connect`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._client: Any = None

    def ask(self, call: Callable[[Any], T]) -> T:
        """Ask the queue, and once more with a new client if the one that there was is stale.

        For what may be done twice: reads, writes of a state, and messages whose receivers know them
        again by their ids. Whoever calls waits at most twice as long as one try may take.

        :param call: what to do with a client.
        :raises RedisError: or another of :data:`QUEUE_ERRORS`, if that failed too.
        """
        try:
            return self.ask_once(call)
        except QUEUE_ERRORS as error:
            if not is_stale(error):
                raise
        return self.ask_once(call)

    def ask_once(self, call: Callable[[Any], T]) -> T:
        """Ask the queue; after a failure the next who asks is given a new client.

        :param call: what to do with a client.
        :raises RedisError: or another of :data:`QUEUE_ERRORS`, if that failed.
        """
        client = self._client
        if client is None:
            client = self._client = connect(self._url, **self._options)
        try:
            return call(client)
        except Exception as error:
            # Another thread may have replaced it already.
            if self._client is client and (not isinstance(error, RedisError) or is_stale(error)):
                self.drop()
            raise

    def drop(self) -> None:
        """Have a new client made by whoever asks next."""
        client, self._client = self._client, None
        if client is not None:
            _close_what_nobody_uses(client)


def _close_what_nobody_uses(client: Any) -> None:
    """Close the idle connections of a client that is given up.

    Under those that other threads wait on, they would have no error of the queue, but one of a file that
    is closed. These end with their client.
    """
    clients = [client]
    if isinstance(client, RedisCluster):
        nodes = client.get_nodes()  # type: ignore[no-untyped-call]
        clients = [node.redis_connection for node in nodes if node.redis_connection]
    for each in clients:
        each.connection_pool.disconnect(inuse_connections=False)


def is_stale(error: Exception) -> bool:
    """Tell whether another client may succeed where one has failed with an error.

    What a server says of the command itself another one would say too.

    :param error: one of :data:`QUEUE_ERRORS`.
    """
    if isinstance(error, ResponseError):
        return isinstance(error, ReadOnlyError | MovedError | ClusterError)
    return True


def make_sure_of(client: Any) -> None:
    """Make sure that a client is not stale; for those who only wait for what comes.

    :param client: what :func:`connect` returned.
    :raises ConnectionError: redis-py's, if it is.
    """
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, _SinglePool | SentinelPool):
        pool.make_sure()


def leads(client: Any) -> bool:
    """Tell whether the server that a client has used is the primary beyond doubt.

    With Sentinels it is if more than half of those in the URL say so: then no two servers can be at
    the same time, whatever lies between them. A primary of a cluster that has lost the others refuses
    to write by itself. Of a single server it is known that it has not refused to write.

    :param client: what :func:`connect` returned, after it was used.
    """
    pool = getattr(client, "connection_pool", None)
    return pool.leads() if isinstance(pool, SentinelPool) else True


def publishing_pipeline(client: Any, channel: str) -> Any:
    """Return a pipeline whose commands publish on one channel, in order.

    Any node of a cluster takes what is published, but redis-py has no pipeline for it: this one is
    that of the node which holds the slot of the channel's name.

    :param client: what :func:`connect` returned.
    :param channel: the channel.
    """
    if isinstance(client, RedisCluster):
        node = client.get_node_from_key(channel)  # type: ignore[no-untyped-call]
        client = client.get_redis_connection(node)
    return client.pipeline(transaction=False)


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


# One server


class _Demotions:
    """How often a server that had become a replica has refused this process a write."""

    def __init__(self) -> None:
        self.count = 0


_demotions: defaultdict[str, _Demotions] = defaultdict(_Demotions)
"""By URL, for all clients of this process."""


class _HearsDemotion:
    """A connection that notes if its server does not take writes any more."""

    def __init__(self, *, demotions: _Demotions, **options: Any) -> None:
        super().__init__(**options)
        self._demotions = demotions

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)  # type: ignore[misc]
        except ReadOnlyError:
            self._demotions.count += 1
            raise


class _Plain(_HearsDemotion, Connection):
    pass


class _Tls(_HearsDemotion, SSLConnection):
    pass


class _Unix(_HearsDemotion, UnixDomainSocketConnection):
    pass


class _SinglePool(ConnectionPool):
    """Connections to one server, until it becomes a replica: the name may lead to another by then.

    :param demotions: what has become of that server.
    :param address: what the URL says.
    :param options: for the connections.
    """

    def __init__(self, demotions: _Demotions, address: Address, options: dict[str, Any]) -> None:
        kind = _Unix if "path" in options else _Tls if address.tls else _Plain
        super().__init__(connection_class=kind, demotions=demotions, **options)
        self._heard = demotions
        self._made_after = demotions.count

    def make_sure(self) -> None:
        """Make sure that the server has not become a replica.

        :raises ConnectionError: redis-py's, if it has.
        """
        if self._heard.count != self._made_after:
            raise RedisConnectionError("the server has become a replica")

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection, if the server has not become a replica."""
        self.make_sure()
        return super().get_connection(*arguments, **options)
