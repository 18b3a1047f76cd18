"""What the workers of one gunicorn share, without any worker."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from production.process import switchboard as switchboard_module
from production.process.identity import Place, assign_slot, place_of, release_slots
from production.process.switchboard import LARGEST_MESSAGE, Parcel, Switchboard

SECRET = "abcDEF012_-abcDEF012"


@pytest.fixture
def switchboard() -> Iterator[Switchboard]:
    """Make one with three slots, the first two of which have a worker."""
    switchboard = Switchboard(3)
    switchboard.open(0, 1)
    switchboard.open(1, 2)
    yield switchboard
    close(switchboard)


def close(switchboard: Switchboard) -> None:
    """Close what otherwise lasts as long as its process."""
    for ends in switchboard._inboxes:
        for end in ends:
            end.close()


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make the two ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def take(parcel: Parcel | None) -> socket.socket:
    assert parcel
    assert parcel.descriptor is not None
    return socket.socket(fileno=parcel.descriptor)


def test_a_connection_and_what_is_said_of_it_arrive_together(
    switchboard: Switchboard, connection: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = connection
    assert switchboard.send(0, 1, b"message", ours.fileno(), new=False)
    parcel = switchboard.receive(1)
    assert parcel
    assert parcel.message == b"message"
    with take(parcel) as received:
        received.send(b"hello")
        assert theirs.recv(5) == b"hello"
    assert switchboard.receive(1) is None
    assert switchboard.receive(0) is None


def test_a_full_inbox_is_waited_for_and_then_given_up(
    switchboard: Switchboard,
    connection: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(switchboard_module, "PATIENCE", 0.1)
    descriptor = connection[0].fileno()
    sent = 0
    while switchboard.send(0, 1, b"x" * 60_000, descriptor, new=False):
        sent += 1
    assert sent
    for _ in range(sent):
        take(switchboard.receive(1)).close()
    assert switchboard.send(0, 1, b"x", descriptor, new=False)


def test_what_is_too_large_is_not_sent(
    switchboard: Switchboard, connection: tuple[socket.socket, socket.socket]
) -> None:
    descriptor = connection[0].fileno()
    assert switchboard.send(0, 1, b"x" * LARGEST_MESSAGE, descriptor, new=False)
    parcel = switchboard.receive(1)
    assert parcel
    assert len(parcel.message) == LARGEST_MESSAGE
    take(parcel).close()
    assert not switchboard.send(0, 1, b"x" * (LARGEST_MESSAGE + 1), descriptor, new=False)


def test_sessions_that_are_under_way_count(
    switchboard: Switchboard, connection: tuple[socket.socket, socket.socket]
) -> None:
    switchboard.count_sessions(0, 7)
    assert switchboard.loads() == {0: 7, 1: 0}
    for _ in range(3):
        switchboard.send(0, 1, b"", connection[0].fileno(), new=True)
    assert switchboard.loads() == {0: 7, 1: 3}
    take(switchboard.receive(1)).close()
    switchboard.count_received(1)
    switchboard.count_sessions(1, 1)
    assert switchboard.loads() == {0: 7, 1: 3}


def test_a_worker_that_leaves_or_stalls_is_given_none(
    switchboard: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    switchboard.stop_welcoming(0)
    assert switchboard.loads() == {1: 0}
    assert switchboard.age(0) == 1
    monkeypatch.setattr(switchboard_module, "STALLED_AFTER", -1.0)
    assert switchboard.loads() == {}


def test_what_was_on_the_way_to_a_worker_that_is_gone_reaches_another(
    switchboard: Switchboard, connection: tuple[socket.socket, socket.socket]
) -> None:
    before = psutil.Process().num_fds()
    switchboard.send(0, 1, b"stranded", connection[0].fileno(), new=True)
    assert switchboard.claim([0]) == 1
    assert switchboard.age(1) == 0
    assert switchboard.is_alone()
    parcel = switchboard.receive(0)
    assert parcel
    assert parcel.message == b"stranded"
    take(parcel).close()
    # What never came to count is not held against the next one.
    switchboard.open(1, 3)
    assert switchboard.loads() == {0: 0, 1: 0}
    assert psutil.Process().num_fds() == before


def test_the_slots_of_living_workers_are_not_given_again() -> None:
    arbiter: Any = SimpleNamespace(cfg=SimpleNamespace(workers=2), WORKERS={})
    slots = []
    for pid in range(3):
        worker = SimpleNamespace(slot=None, age=pid + 1)
        assign_slot(arbiter, worker)
        arbiter.WORKERS[pid] = worker
        slots.append(worker.slot)
    assert slots == [0, 1, 2]
    del arbiter.WORKERS[1]
    release_slots(arbiter)
    worker = SimpleNamespace(slot=None, age=4)
    assign_slot(arbiter, worker)
    assert worker.slot == 1
    close(arbiter.switchboard)


def test_a_session_id_tells_its_worker() -> None:
    place = Place("web-1", 3, 17)
    assert place_of(place.prefix + SECRET) == place


@pytest.mark.parametrize(
    "sid",
    [
        "",
        SECRET,
        "web-1.3." + SECRET,
        "web-1.3.17.",
        "web-1.3.17." + SECRET + "x",
        "web-1.3.17." + SECRET + "\n",
        "web-1.3.17." + SECRET[:19] + "=",
        "web-1.-3.17." + SECRET,
        "web-1.+3.17." + SECRET,
        "web-1.3e0.17." + SECRET,
        "web-1.٣.17." + SECRET,
        "WEB-1.3.17." + SECRET,
        "web.1.3.17." + SECRET,
        "web-1.99999.17." + SECRET,
        "w" * 25 + ".3.17." + SECRET,
    ],
)
def test_what_is_no_session_id_tells_nothing(sid: str) -> None:
    assert place_of(sid) is None
