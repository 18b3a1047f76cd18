"""What waits for the queue is bounded, numbered and in order; what comes twice is recognized."""

from __future__ import annotations

import json
from typing import Any

import pytest

from production.realtime import outbox as outbox_module
from production.realtime.outbox import BATCH_MESSAGES, Outbox
from production.realtime.repeats import MAX_SENDERS, Repeats


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still unless it is set."""

    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(outbox_module, "time", clock)
    return clock


def numbers(outbox: Outbox) -> list[int]:
    return [json.loads(entry.payload)["number"] for entry in outbox.batch()]


def filled(count: int, **limits: Any) -> Outbox:
    outbox = Outbox(**{"max_messages": 1000, "max_age": 30, "dumps": json.dumps, **limits})
    for number in range(count):
        outbox.put({"data": number})
    return outbox


def test_messages_are_numbered_and_stay_until_they_are_removed() -> None:
    outbox = filled(3)
    assert numbers(outbox) == [1, 2, 3]
    batch = outbox.batch()
    outbox.put({})
    outbox.remove(batch)
    assert numbers(outbox) == [4]


def test_a_batch_is_bounded() -> None:
    outbox = filled(BATCH_MESSAGES + 1)
    batch = outbox.batch()
    assert len(batch) == BATCH_MESSAGES
    outbox.remove(batch)
    assert numbers(outbox) == [BATCH_MESSAGES + 1]


def test_the_oldest_goes_when_there_are_too_many() -> None:
    outbox = filled(5, max_messages=3)
    assert numbers(outbox) == [3, 4, 5]
    assert outbox.dropped == 2


def test_what_is_dropped_while_it_is_being_published_takes_nothing_else_with_it() -> None:
    outbox = filled(3, max_messages=3)
    batch = outbox.batch()
    outbox.put({})
    outbox.put({})
    outbox.remove(batch)
    assert numbers(outbox) == [4, 5]


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 2500)
    outbox = filled(0)
    for _ in range(3):
        outbox.put({"data": "x" * 1000})
    assert numbers(outbox) == [2, 3]


def test_what_is_too_old_is_dropped(clock: Any) -> None:
    outbox = filled(2)
    clock.now += 20
    outbox.put({})
    clock.now += 15
    assert numbers(outbox) == [3]
    assert outbox.dropped == 2


def test_what_is_no_json_is_the_emitters_fault() -> None:
    outbox = filled(0)
    with pytest.raises(TypeError):
        outbox.put({"data": object()})
    assert not outbox


def test_repeats_are_recognized_by_sender() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat("a", 1)
    assert not repeats.is_repeat("a", 5)
    assert repeats.is_repeat("a", 5)
    assert repeats.is_repeat("a", 2)
    assert not repeats.is_repeat("b", 1)


def test_senders_that_are_silent_for_long_are_forgotten() -> None:
    repeats = Repeats()
    for sender in range(MAX_SENDERS + 1):
        repeats.is_repeat(str(sender), 1)
    assert not repeats.is_repeat("0", 1)
    assert repeats.is_repeat(str(MAX_SENDERS), 1)


def test_what_a_sender_has_published_and_nobody_heard_is_missed_once() -> None:
    repeats = Repeats()
    # What was published before anyone listened was not for this process.
    assert repeats.missed("a", 5) == 0
    assert repeats.missed("a", 5) == 0
    assert repeats.missed("a", 8) == 3
    assert repeats.missed("a", 8) == 0
    assert not repeats.is_repeat("a", 9)
    assert repeats.missed("a", 9) == 0
    assert repeats.missed("b", 3) == 0
