"""Failovers, one after the other, under load: for minutes, and so only when asked for.

python -m pytest tests/long_failovers.py
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baking import ASYNC_MODES, Bake
from books import Books
from failover import Cluster, Watched, running_cluster, running_sentinels
from queues import Valkey, running
from rawclient import RawWebSocket, http, open_websocket
from routed import wait_for_workers, worker_of
from served import serve
from test_failover import (
    APPS,
    KEY,
    Talk,
    all_workers,
    is_well,
    make_sure_that_nothing_is_lost_without_a_word,
    service,
    somebody_works,
)
from waiting import PATIENCE, eventually

ROUNDS = int(os.environ.get("ROUNDS", "2"))
TALKERS = 4
MESSAGES = 8000


class Failing:
    """A queue that fails over when it is told to.

    :param queue: the servers.
    """

    def __init__(self, queue: Watched | Cluster) -> None:
        self._queue = queue
        self.url = queue.url

    def primary(self) -> Valkey:
        """The server that has the service's keys."""
        if isinstance(self._queue, Cluster):
            return self._queue.owner_of(KEY)
        return self._queue.primary

    def switch(self) -> None:
        """Switch as an operator does, and wait until another server has the keys."""
        before = self.primary()
        if isinstance(self._queue, Cluster):
            self._queue.switch(KEY)
        else:
            self._queue.switch()
        eventually(lambda: self.primary() is not before, "another server has the keys")
        self._settle()

    def kill(self, behind: float = 0) -> None:
        """Kill the server that has the keys, and bring it back as a replica.

        :param behind: for how many seconds its replicas have heard nothing by then.
        """
        before = self.primary()
        if behind:
            with before.client as client:
                client.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
                client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            time.sleep(behind)
        before.kill()
        eventually(lambda: self.primary() is not before, "another server has the keys")
        before.start()
        self._settle()

    def restore(self) -> None:
        """Kill all servers, and start them with what they had 0.2 s before."""
        primary = self.primary()
        with primary.client as client:
            client.save()
        time.sleep(0.2)
        for server in self._queue.servers:
            server.kill()
        primary.start()
        for server in self._queue.servers:
            if server is not primary:
                server.start()
        self._settle()

    def empty(self) -> None:
        """Delete everything."""
        with self.primary().client as client:
            client.flushall()

    def _settle(self) -> None:
        eventually(self._queue.is_whole, "the servers have found each other again")


FAULTS: dict[str, Callable[[Failing], None]] = {
    "a planned switch": Failing.switch,
    "kill -9": Failing.kill,
    "a replica that is 0.1 s behind": lambda failing: failing.kill(0.1),
    "a replica that is 0.2 s behind": lambda failing: failing.kill(0.2),
    "an older dump": Failing.restore,
    "nothing": Failing.empty,
}


@contextlib.contextmanager
def behind_sentinels(directory: Path) -> Iterator[Failing]:
    with running_sentinels(directory) as watched:
        yield Failing(watched)


@contextlib.contextmanager
def in_a_cluster(directory: Path) -> Iterator[Failing]:
    with running_cluster(directory) as cluster:
        yield Failing(cluster)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["eventlet", "threading"])
@pytest.mark.parametrize("queue", [behind_sentinels, in_a_cluster])
def test_nothing_is_lost_without_a_word_through_failovers(
    bake: Bake,
    tmp_path: Path,
    queue: Callable[[Path], contextlib.AbstractContextManager[Failing]],
    mode: str,
    fault: str,
) -> None:
    with (
        queue(tmp_path) as failing,
        service(bake, tmp_path, mode, failing.url) as served,
        Talk(served) as talk,
        Books([served.url], "books") as books,
    ):
        eventually(lambda: somebody_works(served), "one worker works")
        for _ in range(ROUNDS):
            books.grow(100)
            FAULTS[fault](failing)
            books.grow(100)
            eventually(lambda: all_workers(served, is_well), "all workers are well")
        make_sure_that_nothing_is_lost_without_a_word(served, talk, books)
        print(f"{talk.emitted} emitted, {talk.lost} lost and said; {books}")


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_listeners_that_are_flooded_hear_everything(bake: Bake, tmp_path: Path, mode: str) -> None:
    environment = {
        "ASYNC_MODE": mode,
        "WEB_CONCURRENCY": str(TALKERS),
        "MAX_QUEUED_MESSAGES": str(2 * MESSAGES),
        "MAX_QUEUED_BYTES": "50000000",
        "PYTHONPATH": str(APPS),
    }
    with (
        running(tmp_path) as valkey,
        serve(
            bake(),
            tmp_path / "service.log",
            "flooding:app",
            REDIS_URL=valkey.url,
            **environment,
        ) as served,
        contextlib.ExitStack() as connected,
    ):
        wait_for_workers(served, TALKERS)
        clients = [connected.enter_context(open_websocket(served.url)) for _ in range(TALKERS)]
        assert len({worker_of(client) for client in clients}) == TALKERS
        for number, client in enumerate(clients):
            client.connect_namespace()
            client.call("join", f"room {number}")
        heard: list[list[Any]] = [[] for _ in clients]
        readers = [
            threading.Thread(target=read, args=(client, into))
            for client, into in zip(clients, heard, strict=True)
        ]
        for reader in readers:
            reader.start()
        for number, client in enumerate(clients):
            client.emit("flood", f"room {(number + 1) % TALKERS}", MESSAGES)
        for reader in readers:
            reader.join(PATIENCE)
        assert heard == [list(range(MESSAGES))] * TALKERS
        assert "message queue lost" not in served.log_text()
        figures = http("GET", f"{served.url}/health").json()["message_queue"]
        assert (figures["dropped"], figures["missed"]) == (0, 0)


def read(client: RawWebSocket, into: list[Any]) -> None:
    """Take what is said to a client until it has heard everything."""
    while len(into) < MESSAGES:
        into.append(client.wait_for_event("said").args[0])
