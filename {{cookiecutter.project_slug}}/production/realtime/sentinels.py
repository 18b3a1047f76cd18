"""Sentinels: which server is the primary, and hearing at once when another one becomes it.

A planned switch leaves the old primary up, and it acknowledges writes that are about to be lost for
some ten seconds. So a process listens to what the Sentinels announce, and all of its clients are
stale as soon as one of them knows better.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import structlog
from redis import ConnectionError as RedisConnectionError
from redis import Redis, RedisError
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from production.realtime.connection_options import to_sentinels
from production.realtime.queue_url import Address

log = structlog.get_logger(__name__)

ANNOUNCEMENTS = ("+switch-master", "+promoted-slave")
"""What Sentinels announce: that they have agreed on another primary; before that, to those who
listen to the Sentinel that leads the failover, that the replica it has chosen has become one."""

LOOK = 5.0
"""Seconds without an announcement, after which the Sentinels are asked all the same."""

RETRY_AFTER = (0.5, 1.5)
"""Seconds, drawn at random, until the next try to listen to a Sentinel that could not be reached."""

ServerAddress = tuple[str, int]


class Known:
    """What this process knows of the primary of one set-up of Sentinels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = 0
        self.primary: ServerAddress | None = None

    def learn(self, epoch: int, primary: ServerAddress, *, agreed: bool) -> ServerAddress:
        """Take over what Sentinels say; a change makes all clients of another primary stale.

        What is older than what is known counts only if most of them agree on it, as after they were
        set up anew: one that was cut off does not know better.

        :param epoch: the number of the agreement on that primary.
        :param primary: where it is.
        :param agreed: whether most Sentinels say so now.
        :return: where the primary is by all that is known.
        """
        with self._lock:
            before = self.primary
            if before is not None and epoch < self._epoch and not agreed:
                return before
            self._epoch, self.primary = epoch, primary
        if before not in {None, primary}:
            log.warning("the message queue has another primary", host=primary[0], port=primary[1])
        return primary


_known: defaultdict[tuple[Any, ...], Known] = defaultdict(Known)


def known_of(address: Address) -> Known:
    """Return what this process knows of the primary, one object for all its clients."""
    return _known[address.nodes, address.master]


class Sentinels(Sentinel):
    """The Sentinels of a URL.

    :param address: what the URL says.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            list(address.nodes), sentinel_kwargs=to_sentinels(address)
        )
        self._known = known_of(address)

    def discover_master(self, service_name: str) -> ServerAddress:
        """Return where the primary is, by the Sentinel whose knowledge is the newest.

        Each agreement among Sentinels has a higher number than the one before: config-epoch in
        the documentation of Sentinel. The Sentinel that leads a failover knows it first.

        :raises MasterNotFoundError: if none answers.
        """
        answers = list(self._answers(service_name))
        if not answers:
            raise MasterNotFoundError(f"no Sentinel says where {service_name!r} is")
        epoch, primary = max(answers)
        agreed = self._are_most([found for _, found in answers].count(primary))
        return self._known.learn(epoch, primary, agreed=agreed)

    def agree_on(self, service_name: str, primary: ServerAddress | None) -> bool:
        """Tell whether more than half of the Sentinels say that a server is the primary.

        :param service_name: the name of the set-up.
        :param primary: where the server is.
        """
        count = 0
        for _, found in self._answers(service_name):
            count += found == primary
            if self._are_most(count):
                return True
        return False

    def _answers(self, service_name: str) -> Iterator[tuple[int, ServerAddress]]:
        """Yield what the Sentinels know: the number of an agreement, and the primary by it."""
        for sentinel in self.sentinels:
            # One may be away, or was not told of this name.
            with contextlib.suppress(RedisError, OSError, TypeError):
                state: Any = sentinel.sentinel_master(service_name)
                found: Any = sentinel.sentinel_get_master_addr_by_name(service_name)
                host, port = found
                yield state["config-epoch"], (host.decode(), port)

    def _are_most(self, count: int) -> bool:
        return 2 * count > len(self.sentinels)


class SentinelPool(SentinelConnectionPool):
    """Connections to the primary, until the Sentinels name another one.

    :param address: what the URL says.
    :param options: for the connections.
    """

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self._sentinels = Sentinels(address)
        super().__init__(  # type: ignore[no-untyped-call]
            address.master, self._sentinels, ssl=address.tls, **options
        )
        self._known = known_of(address)
        self._made_for: ServerAddress | None = None

    def make_sure(self) -> None:
        """Make sure that no Sentinel has named another primary.

        :raises ConnectionError: redis-py's, if one has.
        """
        if self._made_for not in {None, self._known.primary}:
            raise RedisConnectionError("another server is the primary")

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection, if no Sentinel has named another primary."""
        self.make_sure()
        connection = super().get_connection(*arguments, **options)
        self._made_for = self._made_for or self.master_address
        if self._made_for != self.master_address:
            # redis-py has connected anew, and to another server, without a word.
            self.release(connection)
            raise RedisConnectionError("another server is the primary")
        return connection

    def leads(self) -> bool:
        """Tell whether more than half of the Sentinels say that the primary of this pool is it."""
        return self._sentinels.agree_on(self.service_name, self.master_address)


def listen(server: Any, address: Address) -> None:
    """Listen to each Sentinel of a URL, in the background, for as long as the process runs.

    :param server: a Socket.IO server, which knows how its async mode starts a task and sleeps.
    :param address: what the URL says.
    """
    for node in address.nodes:
        server.start_background_task(_listen_to, server, node, address)


def _listen_to(server: Any, node: ServerAddress, address: Address) -> None:
    sentinels = Sentinels(address)
    while True:
        try:
            with (
                closing(Redis(*node, **to_sentinels(address))) as sentinel,
                sentinel.pubsub() as subscription,  # type: ignore[no-untyped-call]
            ):
                subscription.subscribe(*ANNOUNCEMENTS)
                while True:
                    # At the beginning as well: what was announced before is past.
                    sentinels.discover_master(address.master)
                    _wait_for_announcement(subscription, address.master)
        except (RedisError, OSError):
            server.sleep(random.uniform(*RETRY_AFTER))  # noqa: S311


def _wait_for_announcement(subscription: Any, master: str) -> None:
    """Return when something of a set-up is announced, or after a while."""
    while message := subscription.get_message(timeout=LOOK):
        if message["type"] == "message" and master in message["data"].decode().split():
            return
