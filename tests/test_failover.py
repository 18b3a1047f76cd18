"""A service whose queue fails over: by a planned switch, and by the death of a server."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from baking import Bake
from books import Books
from failover import running_cluster, running_sentinels
from outages import under_way
from production.realtime.emitter import Emitter
from queues import Valkey
from rawclient import http
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
SERVICE = "failing"
KEY = f"production:{{{SERVICE}}}"
WORKERS = 2


@contextlib.contextmanager
def service(bake: Bake, directory: Path, mode: str, url: str) -> Iterator[ServedProject]:
    """Serve a project with two workers and a client in a room."""
    with serve(
        bake(),
        directory / "service.log",
        "queued:app",
        ASYNC_MODE=mode,
        REDIS_URL=url,
        SERVICE_NAME=SERVICE,
        WEB_CONCURRENCY=str(WORKERS),
        PYTHONPATH=str(APPS),
    ) as served:
        eventually(lambda: all_workers(served, is_well), "all workers are well")
        yield served


def all_workers(served: ServedProject, state: Callable[[dict[str, Any]], bool]) -> bool:
    """Tell whether each worker is in a state; any of them may answer."""
    found: dict[str, bool] = {}
    for _ in range(50 * WORKERS):
        health = http("GET", f"{served.url}/health").json()
        found[health["process"]] = state(health)
        if len(found) == WORKERS:
            break
    return len(found) == WORKERS and all(found.values())


def is_well(health: dict[str, Any]) -> bool:
    check = health["checks"]["message_queue"]
    return check["status"] == "pass" and "output" not in check


class Talk:
    """Emits numbers to a room, one after the other, and writes down what a client of it hears.

    :param served: the service.
    """

    def __init__(self, served: ServedProject) -> None:
        self._served = served
        self._ended = threading.Event()
        self.emitted = 0
        self.heard: Counter[int] = Counter()
        self._client = socketio.Client(reconnection=False)
        self._client.on("said", lambda number: self.heard.update([number]))

    def __enter__(self) -> Talk:
        self._client.connect(self._served.url, wait_timeout=PATIENCE)
        assert self._client.call("join", "talk", timeout=PATIENCE)
        self._thread = threading.Thread(target=self._emit)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._client.disconnect()

    def end(self) -> None:
        """Emit no more."""
        self._ended.set()
        self._thread.join()

    def end_with(self, emitter: Emitter) -> None:
        """Let another program emit the last number, which has to be heard."""
        self.end()
        emitter.emit("said", -1, to="talk")
        self.emitted += 1
        eventually(lambda: self.heard[-1] == 1, "what others emit is heard")

    @property
    def lost(self) -> int:
        """How many of the numbers have not been heard."""
        return self.emitted - len(self.heard)

    def _emit(self) -> None:
        while not self._ended.wait(0.02):
            query = f"room=talk&first={self.emitted}&last={self.emitted + 1}"
            assert http("POST", f"{self._served.url}/say?{query}").status == 200
            self.emitted += 1


def missed(served: ServedProject) -> int:
    """How many messages the workers say that they never heard."""
    lost = "messages of another process were lost"
    return sum(record["count"] for record in served.records() if record["event"] == lost)


def turns(served: ServedProject) -> list[tuple[str, int]]:
    """The beginnings and the ends of turns at the work of one process, as logged by all workers."""
    return [
        (record["event"], record["fence"])
        for record in sorted(served.records(), key=lambda record: record["timestamp"])
        if record["event"] in {"turn begins", "turn ends"}
    ]


def somebody_works(served: ServedProject) -> bool:
    return [event for event, _ in turns(served)[-1:]] == ["turn begins"]


def make_sure_that_turns_do_not_overlap(served: ServedProject) -> None:
    begun, ended = turns(served)[0::2], turns(served)[1::2]
    assert {event for event, _ in begun} == {"turn begins"}
    assert {event for event, _ in ended} <= {"turn ends"}
    assert all(before[1] < after[1] for before, after in itertools.pairwise(begun))


def make_sure_that_nothing_is_lost_without_a_word(
    served: ServedProject, talk: Talk, books: Books
) -> None:
    """Check what came of all that was published and emitted, and who worked meanwhile."""
    books.close()
    talk.end()
    eventually(
        lambda: talk.lost == missed(served),
        lambda: f"what is not heard is counted: {talk.lost}, not {missed(served)}",
    )
    assert set(talk.heard.values()) == {1}
    eventually(lambda: somebody_works(served), "one worker works")
    make_sure_that_turns_do_not_overlap(served)
    assert "Traceback" not in served.log_text()


def listeners(server: Valkey) -> int:
    """How many workers listen to a server."""
    with server.client as client:
        ((_, count),) = client.pubsub_numsub(f"{KEY}:events:0")
    return int(count)


def is_primary(server: Valkey) -> bool:
    with server.client as client:
        return bool(client.role()[0] == "master")


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_a_planned_switch_is_heard_before_the_old_primary_steps_down(
    bake: Bake, tmp_path: Path, mode: str
) -> None:
    with (
        running_sentinels(tmp_path, password="s3nt&nel") as watched,
        service(bake, tmp_path, mode, watched.url) as served,
        Talk(served) as talk,
        Books([served.url], "books") as books,
    ):
        emitter = Emitter(watched.url, SERVICE)
        emitter.emit("told", "before")
        books.grow(30)
        eventually(lambda: talk.emitted > 20 and not talk.lost, "all is heard")
        eventually(lambda: somebody_works(served), "one worker works")
        before = watched.primary
        assert listeners(before) == WORKERS
        watched.switch()
        eventually(lambda: not listeners(before), "the workers have left the old primary")
        assert is_primary(before)
        eventually(lambda: watched.primary is not before, "the Sentinels have switched")
        eventually(lambda: listeners(watched.primary) == WORKERS, "the workers are there")
        eventually(lambda: all_workers(served, is_well), "all workers are well")
        books.grow(30)
        talk.end_with(emitter)
        make_sure_that_nothing_is_lost_without_a_word(served, talk, books)
        eventually(lambda: not under_way(served), "the outage is over")


@pytest.mark.parametrize(("mode", "planned"), [("eventlet", True), ("threading", False)])
def test_after_a_failover_of_a_cluster_the_first_call_of_each_part_succeeds(
    bake: Bake, tmp_path: Path, mode: str, planned: bool
) -> None:
    with (
        running_cluster(tmp_path) as cluster,
        service(bake, tmp_path, mode, cluster.url) as served,
        Talk(served) as talk,
        Books([served.url], "books") as books,
    ):
        emitter = Emitter(cluster.url, SERVICE)
        emitter.emit("told", "before")
        assert presence_everywhere(served)
        books.grow(30)
        eventually(lambda: talk.emitted > 20 and not talk.lost, "all is heard")
        eventually(lambda: somebody_works(served), "one worker works")
        owner = cluster.owner_of(KEY)
        if planned:
            cluster.switch(KEY)
        else:
            owner.kill()
        eventually(lambda: cluster.owner_of(KEY) is not owner, "another server owns it")
        eventually(lambda: all_workers(served, is_well), "all workers are well")
        assert presence_everywhere(served)
        books.grow(30)
        talk.end_with(emitter)
        make_sure_that_nothing_is_lost_without_a_word(served, talk, books)


def presence_everywhere(served: ServedProject) -> bool:
    """Ask who is in the room, until each worker has been asked; each answers at the first time."""
    asked: set[int] = set()
    while len(asked) < WORKERS:
        answer = http("GET", f"{served.url}/present?room=talk")
        assert answer.status == 200, served.log_text()
        asked.add(http("GET", f"{served.url}/ticks").json()["process_id"])
    return bool(answer.json()["count"] == 1)
