"""Two processes of one service and what becomes of their emits when the queue does its worst."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engineio
import pytest
import socketio

from baking import ASYNC_MODES, Bake
from observing import worker
from outages import one_outage, under_way
from production.realtime.emitter import Emitter
from queues import Link, Valkey, running
from rawclient import ConnectionEndedError, http
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
SERVICE = "queued"
CHANNEL = f"production:{{{SERVICE}}}:events:0"

GRACE = 5.0
BACKLOG = 300
LEASE_OF_WORK = 3.0
LEASE_OF_PRESENCE = 10.0

TURNS_OF_A_THREAD = 50
"""What the system may give to another thread, whose turns take 0.01 s, while one does not wait."""


@dataclass
class Pair:
    """Two processes of one service; the link of the near one to the queue can be cut."""

    near: ServedProject
    far: ServedProject
    valkey: Valkey
    link: Link


def environment(mode: str, url: str) -> dict[str, str]:
    return {
        "ASYNC_MODE": mode,
        "REDIS_URL": url,
        "SERVICE_NAME": SERVICE,
        "QUEUE_GRACE": str(GRACE),
        "QUEUE_BACKLOG": str(BACKLOG),
        "PYTHONPATH": str(APPS),
    }


@pytest.fixture(scope="module", params=ASYNC_MODES)
def pair(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Serve two processes in each mode."""
    directory = tmp_path_factory.mktemp("queue")
    with contextlib.ExitStack() as running_here:
        valkey = running_here.enter_context(running(directory))
        link = Link(valkey.port)
        running_here.callback(link.close)
        near, far = (
            running_here.enter_context(
                serve(
                    bake(),
                    directory / f"{name}.log",
                    "queued:app",
                    **environment(request.param, url),
                )
            )
            for name, url in (
                ("near", f"redis://127.0.0.1:{link.port}/0"),
                ("far", valkey.url),
            )
        )
        yield Pair(near, far, valkey, link)


@pytest.fixture
def connect() -> Iterator[Callable[..., Listener]]:
    """Connect clients that are disconnected after the test."""
    with contextlib.ExitStack() as connected:

        def connect_to(served: ServedProject, room: str | None = None) -> Listener:
            listener = Listener(served)
            connected.callback(listener.client.disconnect)
            if room is not None:
                assert listener.client.call("join", room, timeout=PATIENCE)
            return listener

        yield connect_to


class OrderedEngine(engineio.Client):  # type: ignore[misc]
    """Handles one message after the other, where upstream starts a thread for each."""

    def _trigger_event(
        self, event: str, *args: Any, run_async: bool = False, **options: Any
    ) -> Any:
        return super()._trigger_event(event, *args, run_async=False, **options)


class OrderedClient(socketio.Client):  # type: ignore[misc]
    """A client whose handlers are called in the order in which the events came."""

    def _engineio_client_class(self) -> type[OrderedEngine]:
        return OrderedEngine


class Listener:
    """A client that keeps what it is sent."""

    def __init__(self, served: ServedProject) -> None:
        self.said: list[Any] = []
        self.events: list[tuple[str, Any]] = []
        self.client = OrderedClient(reconnection=False)
        self.client.on("said", self.said.append)
        self.client.on("*", lambda event, *data: self.events.append((event, *data)))
        self.client.on("question", lambda: "42")
        self.client.connect(served.url, wait_timeout=PATIENCE)

    @property
    def sid(self) -> str:
        return str(self.client.get_sid())

    def hears(self, expected: list[Any]) -> None:
        """Wait for what is expected, all of it, in order, once."""
        eventually(
            lambda: len(self.said) >= len(expected),
            what=lambda: f"{len(expected)} messages; there are {len(self.said)}",
        )
        assert self.said == expected


def health(served: ServedProject) -> dict[str, Any]:
    body: dict[str, Any] = http("GET", f"{served.url}/health").json()
    return body


def queue_check(served: ServedProject) -> dict[str, Any]:
    check: dict[str, Any] = health(served)["checks"]["message_queue"]
    return check


def counters(served: ServedProject) -> dict[str, Any]:
    figures: dict[str, Any] = health(served)["message_queue"]
    return figures


def ready(served: ServedProject) -> bool:
    return http("GET", f"{served.url}/health/ready").status == 200


def say(served: ServedProject, room: str, first: int, last: int) -> None:
    """Emit a range of numbers, and expect that no emit waits: that no other task has its turn."""
    query = f"room={room}&first={first}&last={last}"
    turns: int = http("POST", f"{served.url}/say?{query}").json()
    assert turns <= (TURNS_OF_A_THREAD if health(served)["async_mode"] == "threading" else 0)


def listeners(valkey: Valkey) -> int:
    with valkey.client as client:
        ((_, count),) = client.pubsub_numsub(CHANNEL)
    return int(count)


def settle(served: ServedProject) -> None:
    """Wait until a process hears itself and no outage is under way."""
    eventually(
        lambda: ready(served) and "output" not in queue_check(served) and not under_way(served),
        what=lambda: f"it settles: {queue_check(served)}\n{served.log_text()}",
    )


@pytest.fixture
def settled(pair: Pair) -> Iterator[Pair]:
    """Two processes that are fine; what a test does to their queue is repaired after it."""
    settle(pair.near)
    settle(pair.far)
    yield pair
    pair.valkey.repair()
    pair.link.carry()


def test_an_emit_reaches_the_clients_of_both_processes_once(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near, "both"), connect(settled.far, "both")
    say(settled.near, "both", 0, 100)
    near.hears(list(range(100)))
    far.hears(list(range(100)))


def test_processes_have_ids_of_their_own(settled: Pair) -> None:
    assert counters(settled.near)["host_id"] != counters(settled.far)["host_id"]


def test_a_session_elsewhere_is_asked_answered_and_disconnected(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near), connect(settled.far)
    near.client.emit("ask", far.sid)
    eventually(lambda: ("answer", "42") in near.events, "the answer arrives")
    near.client.emit("disconnect_other", far.sid)
    eventually(lambda: not far.client.connected, "the client is disconnected")


def test_what_concerns_own_sessions_only_touches_no_queue(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near = connect(settled.near)
    before = counters(settled.near)["published"]
    assert near.client.call("join", "quiet", timeout=PATIENCE)
    near.client.emit("reply", 1)
    eventually(lambda: near.events.count(("replied", 1)) == 2, "both replies arrive")
    assert near.client.call("leave", "quiet", timeout=PATIENCE)
    near.client.emit("disconnect_other", near.sid)
    eventually(lambda: not near.client.connected, "the client is disconnected")
    assert counters(settled.near)["published"] == before


def test_other_processes_emit_to_this_service_and_to_no_other(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near, "a room"), connect(settled.far)
    Emitter(settled.valkey.url, "another").emit("said", "not for you")
    # The same server, and a database of its own.
    Emitter(settled.valkey.url.replace("/0", "/1"), SERVICE).emit("said", "nor for you")
    emitter = Emitter(settled.valkey.url, SERVICE)
    emitter.emit("said", {"bytes": b"\x00\xff"}, to="a room")
    emitter.emit("said", "for all")
    near.hears([{"bytes": b"\x00\xff"}, "for all"])
    far.hears(["for all"])


def test_a_queue_that_is_killed_costs_neither_time_nor_messages(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near, "kept"), connect(settled.far, "kept")
    before = counters(settled.near)
    with one_outage(settled.near, settled.far) as ends:
        settled.valkey.kill()
        say(settled.near, "kept", 0, 50)
        near.hears(list(range(50)))
        eventually(lambda: not queue_check(settled.near)["publishing"], "it is noticed")
        say(settled.near, "kept", 50, 100)
        assert far.said == []
        settled.valkey.start()
        eventually(lambda: listeners(settled.valkey) == 2, "both listen again")
        say(settled.near, "kept", 100, 150)
        far.hears(list(range(150)))
    near.hears(list(range(150)))
    after = counters(settled.near)
    assert after["failed"] > before["failed"]
    assert after["dropped"] == before["dropped"]
    assert after["published"] == before["published"] + 150
    assert [end["dropped"] for end in ends] == [0, 0]


def test_a_queue_that_hangs_costs_neither_time_nor_messages(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near, "kept"), connect(settled.far, "kept")
    with one_outage(settled.near, settled.far):
        settled.valkey.freeze()
        say(settled.near, "kept", 0, 50)
        near.hears(list(range(50)))
        eventually(
            lambda: not (ready(settled.near) or ready(settled.far)), "readiness of both says it"
        )
        assert http("GET", f"{settled.near.url}/health/live").status == 200
        say(settled.near, "kept", 50, 100)
        settled.valkey.thaw()
        far.hears(list(range(100)))
        eventually(lambda: ready(settled.near), "it is ready again")


def test_a_listener_that_is_deaf_is_found_and_restarted(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near = connect(settled.near, "heard")
    emitter = Emitter(settled.valkey.url, SERVICE)
    with one_outage(settled.near):
        settled.link.swallow()
        emitter.emit("said", "lost", to="heard")
        eventually(lambda: not queue_check(settled.near)["listening"], "it is found")
        eventually(lambda: queue_check(settled.near)["listening"], "it listens again")
        emitter.emit("said", "heard", to="heard")
        near.hears(["heard"])


def test_a_link_that_swallows_everything_is_reported_and_what_waits_is_bounded(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    far = connect(settled.far, "bounded")
    with one_outage(settled.near) as ends:
        settled.link.swallow_everything()
        say(settled.near, "bounded", 0, BACKLOG + 100)
        assert counters(settled.near)["waiting"] == BACKLOG
        eventually(lambda: not ready(settled.near), "readiness says it")
        settled.link.carry()
        eventually(
            lambda: queue_check(settled.near)["listening"],
            "it listens again",
        )
        far.hears(list(range(100, BACKLOG + 100)))
    assert ends[0]["dropped"] == 100


def test_a_queue_that_is_down_at_boot_is_waited_for(
    pair: Pair, bake: Bake, tmp_path: Path, connect: Callable[..., Listener]
) -> None:
    mode = health(pair.near)["async_mode"]
    valkey = Valkey(tmp_path)
    try:
        with serve(
            bake(), tmp_path / "service.log", "queued:app", **environment(mode, valkey.url)
        ) as served:
            assert not ready(served)
            client = connect(served, "alone")
            say(served, "alone", 0, 3)
            client.hears([0, 1, 2])
            client.client.disconnect()
            assert not ready(served)
            valkey.start()
            eventually(lambda: listeners(valkey) == 1, "it listens")
            eventually(lambda: ready(served), "it is ready")
    finally:
        valkey.stop()


def test_a_process_listens_before_its_first_client(pair: Pair, bake: Bake, tmp_path: Path) -> None:
    mode = health(pair.near)["async_mode"]
    with (
        running(tmp_path) as valkey,
        serve(bake(), tmp_path / "service.log", "queued:app", **environment(mode, valkey.url)),
    ):
        eventually(lambda: listeners(valkey) == 1, "it listens")


def present(served: ServedProject, room: str) -> list[str]:
    """Who is in a room, as one process sees it."""
    body = http("GET", f"{served.url}/present?room={room}").json()
    assert body["count"] == len(body["members"])
    return list(body["members"])


def test_a_client_is_present_once_it_is_accepted(settled: Pair) -> None:
    room = "lobby&namespace=/joining"
    refused = socketio.Client(reconnection=False)
    with pytest.raises(socketio.exceptions.ConnectionError):
        refused.connect(settled.near.url, namespaces=["/joining"], auth={"accept": False})
    assert present(settled.far, room) == []
    accepted = socketio.Client(reconnection=False)
    accepted.connect(settled.near.url, namespaces=["/joining"], auth={"accept": True})
    try:
        expected = [accepted.get_sid("/joining")]
        eventually(lambda: present(settled.far, room) == expected, "it is present")
    finally:
        accepted.disconnect()
    eventually(lambda: present(settled.far, room) == [], "it is gone")


def ticks(served: ServedProject) -> tuple[int, int]:
    """How much of the work of one process was done in this one, and in which turn last.

    Nothing, while the process is being replaced.
    """
    with contextlib.suppress(OSError, ConnectionEndedError):
        answer = http("GET", f"{served.url}/ticks")
        if answer.status == 200:
            body = answer.json()
            return body["count"], body["fence"] or 0
    return 0, 0


def at_work(*processes: ServedProject) -> list[ServedProject]:
    """The processes that do the work at the moment: one, or none for a while."""
    before = [ticks(served) for served in processes]
    time.sleep(0.2)
    working = [
        served for served, done in zip(processes, before, strict=True) if ticks(served) > done
    ]
    assert len(working) <= 1
    return working


def test_presence_and_the_work_of_one_process_survive_a_kill(
    settled: Pair, connect: Callable[..., Listener]
) -> None:
    near, far = connect(settled.near, "here"), connect(settled.far, "here")
    guest = connect(settled.far, "here")

    def is_known(*members: Listener) -> bool:
        expected = sorted(member.sid for member in members)
        return all(present(served, "here") == expected for served in (settled.near, settled.far))

    eventually(lambda: is_known(near, far, guest), "all are present")
    assert guest.client.call("leave", "here", timeout=PATIENCE)
    eventually(lambda: is_known(near, far), "one has left")
    guest.client.call("join", "here", timeout=PATIENCE)
    guest.client.disconnect()
    eventually(lambda: is_known(near, far), "one has disconnected")

    (victim,) = eventually(lambda: at_work(settled.near, settled.far), "one works")
    survivor, kept = (settled.far, far) if victim is settled.near else (settled.near, near)
    _, turn = ticks(victim)
    os.kill(worker(victim).pid, signal.SIGKILL)
    # The process that gunicorn starts instead may take over as well as the other one.
    eventually(
        lambda: max(ticks(settled.near)[1], ticks(settled.far)[1]) > turn,
        "another process does the work",
    )
    eventually(
        lambda: present(survivor, "here") == [kept.sid],
        "who was with the killed process is gone",
    )
