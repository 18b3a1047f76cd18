"""A lease has one holder at a time, whatever becomes of the queue that keeps it."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from failover import Cluster, Watched, running_cluster, running_sentinels
from production.realtime.lease import EXPIRY, HELD, Lease, NotHeld, NotYet, Unproven, now
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, connect
from queues import Valkey, running
from waiting import eventually

LEASE = 1.5
"""Seconds."""


class Turn(NamedTuple):
    """From when until when a contender believed that it held the lease."""

    begun: float
    over: float
    fence: int


class Contender:
    """Takes the lease whenever it can, keeps it as long as it can, and writes down when.

    :param url: where the queue is.
    :param key: the name of the lease.
    """

    def __init__(self, url: str, key: str) -> None:
        self._queue = QueueClient(url)
        self._lease = Lease(key, LEASE)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.turns: list[Turn] = []
        self.until = 0.0
        self._thread.start()

    @property
    def holds(self) -> bool:
        return now() < self.until

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LEASE / 20):
            with contextlib.suppress(NotYet, *QUEUE_ERRORS):
                until = self._queue.ask(self._lease.take)
                if until is not None:
                    self._hold(until)
                    self._lease.forget()

    def _hold(self, until: float) -> None:
        begun, self.until = now(), until
        try:
            while self.holds and not self._ended.wait(LEASE / 20):
                with contextlib.suppress(*QUEUE_ERRORS):
                    renewed = self._queue.ask(self._lease.renew)
                    # What was over once stays over, as in the product.
                    self.until = renewed if self.holds else self.until
        except NotHeld:
            self.until = min(self.until, now())
        finally:
            self.turns.append(Turn(begun, self.until, self._lease.fence))


@contextlib.contextmanager
def contenders(url: str, key: str) -> Iterator[list[Contender]]:
    """Let three contenders compete until the block ends, and make sure that no two held it at once."""
    competing = [Contender(url, key) for _ in range(3)]
    try:
        yield competing
    finally:
        for contender in competing:
            contender.end()
    turns = sorted(turn for contender in competing for turn in contender.turns)
    for before, after in itertools.pairwise(turns):
        assert before.over <= after.begun
        assert before.fence < after.fence


def holder(competing: list[Contender]) -> Contender | None:
    """The one that holds the lease, if one does."""
    holding = [contender for contender in competing if contender.holds]
    assert len(holding) <= 1
    return holding[0] if holding else None


def begun(competing: list[Contender]) -> int:
    """How many turns are over, or under way."""
    return sum(len(each.turns) for each in competing) + (holder(competing) is not None)


class Queue(NamedTuple):
    """A queue, and what can happen to it."""

    url: str
    do: Callable[[], object]


def restart(valkey: Valkey) -> None:
    valkey.kill()
    valkey.start()


def freeze_for_long(valkey: Valkey) -> None:
    """Freeze it for longer than the lease; what it was asked meanwhile it does afterwards."""
    valkey.freeze()
    time.sleep(LEASE)
    valkey.thaw()


def flush(valkey: Valkey) -> None:
    with valkey.client as client:
        client.flushall()


def take_away(valkey: Valkey) -> None:
    """Give the lease to somebody else."""
    with valkey.client as client:
        client.set("lease", "another", xx=True, px=int(LEASE * 1000))


@pytest.mark.parametrize("fault", [restart, freeze_for_long, flush, take_away])
def test_one_holds_it_whatever_becomes_of_a_single_server(
    tmp_path: Path, fault: Callable[[Valkey], None]
) -> None:
    with running(tmp_path) as valkey, contenders(valkey.url, "lease") as competing:
        eventually(lambda: holder(competing), "one holds it")
        fault(valkey)
        eventually(lambda: holder(competing), "one holds it again")
        before = begun(competing)
        leaving = eventually(lambda: holder(competing), "one holds it")
        assert leaving
        leaving.end()
        eventually(lambda: begun(competing) > before, "another takes over")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run a primary, replicas and Sentinels."""
    with running_sentinels(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_one_holds_it_through_a_planned_switch(watched: Watched) -> None:
    eventually(watched.is_whole, "all is well")
    with contenders(watched.url, "switched") as competing:
        eventually(lambda: holder(competing), "one holds it")
        before = watched.primary
        watched.switch()
        eventually(lambda: watched.primary is not before, "the Sentinels have switched")
        with watched.primary.client as client:
            eventually(
                lambda: client.get("switched") and holder(competing), "one holds it over there"
            )


def test_one_holds_it_when_the_primary_dies_before_a_replica_knows(watched: Watched) -> None:
    eventually(watched.is_whole, "all is well")
    primary = watched.primary
    replicas = [server for server in watched.servers if server is not primary]
    with contenders(watched.url, "killed") as competing:
        # What is not there by then is lost with the primary.
        for replica in replicas:
            replica.freeze()
        eventually(lambda: holder(competing), "one holds it")
        primary.kill()
        for replica in replicas:
            replica.thaw()
        eventually(lambda: watched.primary is not primary, "a replica has taken over")
        before = begun(competing)
        with watched.primary.client as client:
            eventually(
                lambda: client.get("killed") and holder(competing), "one holds it over there"
            )
        assert begun(competing) >= before
    primary.start()


def test_who_hears_a_minority_of_the_sentinels_neither_begins_nor_goes_on(
    watched: Watched,
) -> None:
    eventually(watched.is_whole, "all is well")
    queue, lease = QueueClient(watched.url), Lease("minority", LEASE)

    def takes() -> bool:
        with contextlib.suppress(NotYet):
            return queue.ask(lease.take) is not None
        return False

    eventually(takes, "it is taken")
    away = watched.sentinels[1:]
    for sentinel in away:
        sentinel.kill()
    try:
        with pytest.raises(Unproven):
            queue.ask(lease.renew)
        with pytest.raises(Unproven):
            queue.ask(Lease("another", LEASE).take)
    finally:
        for sentinel in away:
            sentinel.start()


@pytest.mark.parametrize("planned", [True, False])
def test_one_holds_it_when_a_cluster_fails_over(cluster: Cluster, planned: bool) -> None:
    eventually(cluster.is_whole, "all is well")
    key = f"{{lease}}:{planned}"
    owner = cluster.owner_of(key)
    with contenders(cluster.url, key) as competing:
        eventually(lambda: holder(competing), "one holds it")
        if planned:
            cluster.switch(key)
        else:
            owner.kill()
        eventually(lambda: cluster.owner_of(key) is not owner, "another server owns it")
        with connect(cluster.url) as client:
            eventually(lambda: client.get(key) and holder(competing), "one holds it there")
    if not planned:
        owner.start()


def test_a_turn_is_over_before_another_may_begin() -> None:
    assert HELD < EXPIRY


def test_nobody_begins_at_once_where_nobody_is_known_to_have_ended(tmp_path: Path) -> None:
    with running(tmp_path) as valkey, redis.Redis(port=valkey.port) as client:
        lease = Lease("new", LEASE)
        with pytest.raises(NotYet):
            lease.take(client)
        assert client.pttl("new") <= LEASE * EXPIRY * 1000
        with pytest.raises(NotHeld):
            lease.renew(client)
        client.delete("new")
        # Known from now on: who ends makes room at once.
        until = lease.take(client)
        assert until
        assert until <= now() + LEASE * HELD
        assert Lease("new", LEASE).take(client) is None
        lease.release(client)
        assert Lease("new", LEASE).take(client)
