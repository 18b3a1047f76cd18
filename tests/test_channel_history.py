"""What a process keeps of its channels, and what it tells those who come back."""

from __future__ import annotations

import time
from typing import Any

import pytest

from production.realtime.errors import Rejected
from production.realtime.history import End, Gap, History, Limits, joined
from production.realtime.local_journal import LocalJournal
from production.realtime.updates import OVERHEAD, Position, Update, decode, encode

PLENTY = 1000
ROOMY = Limits(messages=PLENTY, bytes=10**9, seconds=3600, channels=PLENTY)


def update(
    sequence: int, channel: str = "a", epoch: str = "e", age: float = 0, size: int = 1
) -> Update:
    sent_at = int((time.time() - age) * 1000)
    return Update(channel, sequence, epoch, sent_at, ("x" * size,))


def missed(history: History, sequence: int, epoch: str = "e", channel: str = "a") -> Any:
    """Return the numbers that follow, and what is missing among them."""
    position, sequences, gaps = Position(sequence, epoch), [], []
    complete = False
    while not complete:
        found = history.missed(channel, position, PLENTY, 10**9)
        sequences += [each.sequence for each in found.updates]
        gaps.append(found.gap)
        position, complete = found.position, found.complete
    return sequences, joined(gaps)


def filled(limits: Limits, count: int, **fields: Any) -> History:
    history = History(limits)
    for sequence in range(1, count + 1):
        history.add(update(sequence, **fields))
    return history


def test_what_follows_is_replayed() -> None:
    history = filled(ROOMY, 5)
    assert missed(history, 3) == ([4, 5], None)
    assert missed(history, 5) == ([], None)
    assert missed(history, 0, "") == ([1, 2, 3, 4, 5], None)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(messages=2, bytes=10**9, seconds=3600, channels=9),
        Limits(messages=9, bytes=2 * (OVERHEAD + 1), seconds=3600, channels=9),
    ],
)
def test_what_is_no_longer_kept_is_a_gap(limits: Limits) -> None:
    history = filled(limits, 5)
    assert missed(history, 1) == ([4, 5], Gap(2, 3))
    assert missed(history, 3) == ([4, 5], None)


def test_what_is_too_old_is_a_gap() -> None:
    history = filled(ROOMY, 3, age=4000)
    history.add(update(4))
    assert missed(history, 0, "") == ([4], Gap(1, 3))
    assert missed(history, 4) == ([], None)


def test_the_last_update_is_kept_whatever_its_size() -> None:
    history = filled(Limits(messages=9, bytes=10, seconds=3600, channels=9), 3, size=100)
    assert missed(history, 2) == ([3], None)


def test_the_limits_count_for_all_channels_together() -> None:
    history = History(Limits(messages=3, bytes=10**9, seconds=3600, channels=9))
    for sequence in (1, 2):
        for channel in "ab":
            history.add(update(sequence, channel))
    assert missed(history, 0, "", "a") == ([2], Gap(1, 1))
    assert missed(history, 0, "", "b") == ([1, 2], None)


def test_numbers_that_started_again_are_a_gap_without_an_end() -> None:
    history = filled(ROOMY, 5)
    history.add(update(1, epoch="f"))
    assert missed(history, 5) == ([1], Gap(6, None))
    assert missed(history, 5, "") == ([1], Gap(6, None))
    assert missed(history, 1, "f") == ([], None)


def test_a_client_that_knows_more_than_there_is_was_told_what_is_lost() -> None:
    history = filled(ROOMY, 3)
    assert missed(history, 7) == ([], Gap(8, None))
    assert missed(history, 7, "e", "unheard-of") == ([], Gap(8, None))


def test_an_update_counts_once() -> None:
    history = filled(ROOMY, 3)
    assert not history.add(update(3))
    assert missed(history, 0, "") == ([1, 2, 3], None)


def test_what_is_kept_on_both_sides_of_a_hole_is_replayed() -> None:
    history = filled(ROOMY, 3)
    assert history.gap_before(update(6)) == Gap(4, 5)
    history.add(update(6))
    assert missed(history, 2) == ([3, 6], Gap(4, 5))
    assert missed(history, 4) == ([6], Gap(5, 5))


def turned(last: int, lost: int | None, numbers: range) -> History:
    """Return a history whose first epoch had five updates, ended there, and was followed."""
    history = filled(ROOMY, 5)
    history.learn("a", (End("e", last, lost),), "f")
    for sequence in numbers:
        history.add(update(sequence, epoch="f"))
    return history


@pytest.mark.parametrize(
    ("last", "lost", "numbers", "seen", "expected"),
    [
        # Nothing is lost, and the numbers go on.
        (5, 5, range(6, 8), Position(3, "e"), ([4, 5, 6, 7], None)),
        (5, 5, range(6, 8), Position(5, "e"), ([6, 7], None)),
        (5, 5, range(6, 8), Position(6, "f"), ([7], None)),
        (5, 5, range(6, 8), Position(), ([1, 2, 3, 4, 5, 6, 7], None)),
        # Another process knows of more, and the numbers go on behind it, or not.
        (5, 8, range(9, 11), Position(3, "e"), ([4, 5, 9, 10], Gap(6, 8))),
        (5, 8, range(6, 8), Position(4, "e"), ([5, 6, 7], Gap(6, 8))),
        (5, 8, range(6, 8), Position(7, "e"), ([6, 7], Gap(6, 8))),
        # The queue has lost what this process has, and what the client has seen.
        (3, 5, range(4, 6), Position(1, "e"), ([2, 3, 4, 5], Gap(4, 5))),
        (3, 5, range(4, 6), Position(5, "e"), ([4, 5], Gap(4, 5))),
        (3, 5, range(4, 6), Position(7, "e"), ([4, 5], Gap(4, 7))),
        (0, 5, range(1, 3), Position(2, "e"), ([1, 2], Gap(1, 5))),
        # Nobody remembers how far the numbers had come.
        (5, None, range(6, 8), Position(3, "e"), ([4, 5, 6, 7], Gap(6, None))),
        (5, None, range(6, 8), Position(5, "e"), ([6, 7], Gap(6, None))),
        (5, None, range(6, 8), Position(8, "e"), ([6, 7], Gap(6, None))),
        # An epoch that was never heard of.
        (5, 5, range(6, 8), Position(9, "x"), ([6, 7], Gap(6, None))),
        # A client that does not say the epoch.
        (5, 5, range(6, 8), Position(3, ""), ([4, 5, 6, 7], None)),
        (5, 5, range(6, 8), Position(6, ""), ([7], None)),
        (5, 5, range(6, 8), Position(9, ""), ([6, 7], Gap(10, None))),
    ],
)
def test_what_is_there_of_an_epoch_that_ended_is_replayed(
    last: int, lost: int | None, numbers: range, seen: Position, expected: tuple[list[int], Gap]
) -> None:
    history = turned(last, lost, numbers)
    assert missed(history, seen.sequence, seen.epoch) == expected
    assert history.covers("a", seen) is (seen.epoch in "ef" and seen.sequence < 9)


def test_who_has_only_heard_how_an_epoch_ended_does_not_know_what_is_in_it() -> None:
    history = filled(ROOMY, 3)
    history.learn("a", (End("e", 5, 5), End("f", 8, 8)), "g")
    assert history.covers("a", Position(3, "e"))
    for sequence, epoch in ((4, "e"), (6, "f"), (9, "g"), (1, "x")):
        assert not history.covers("a", Position(sequence, epoch))
    history.add(update(4))
    assert history.covers("a", Position(4, "e"))


def test_what_turns_out_to_be_lost_later_is_said_once() -> None:
    history = turned(5, 5, range(6, 8))
    assert history.learn("a", (End("e", 5, 8),), "f") == Gap(6, 8)
    assert history.learn("a", (End("e", 5, 8),), "f") is None
    assert history.learn("a", (End("e", 3, 8),), "f") == Gap(4, 8)
    assert missed(history, 2) == ([3, 6, 7], Gap(4, 8))


def test_what_is_lost_is_said_where_the_next_epoch_begins() -> None:
    history = filled(ROOMY, 3)
    assert history.learn("a", (End("e", 5, 8),), "f") is None
    assert history.add(update(4))
    assert history.add(update(5))
    assert not history.add(update(6))
    assert history.gap_before(update(9, epoch="f")) == Gap(6, 8)
    assert history.note("a", Position(8, "f")) == Gap(6, 8)
    assert history.gap_before(update(9, epoch="f")) is None


def test_an_epoch_that_ended_does_not_come_back() -> None:
    history = turned(5, 5, range(6, 8))
    assert not history.add(update(5))
    assert not history.add(update(6))
    assert history.position("a") == Position(7, "f")


@pytest.mark.parametrize(
    "told",
    [
        # The queue knows of the one that came before, or of none that is known here.
        (End("d", 2, 2), End("x", 4, 4)),
        (End("x", 4, 4),),
        (End("w", 1, 1), End("x", 4, 4)),
    ],
)
def test_an_epoch_that_nobody_else_knows_has_ended_before_what_is_new(
    told: tuple[End, ...],
) -> None:
    history = filled(ROOMY, 2, epoch="d")
    history.learn("a", (End("d", 2, 2),), "e")
    for sequence in (3, 4, 5):
        history.add(update(sequence))
    for _ in range(2):
        history.learn("a", told, "y")
        assert not history.add(update(1, epoch="d"))
    assert history.gap_before(update(3, epoch="x")) == Gap(6, None)
    for sequence, epoch in [(3, "x"), (4, "x"), (5, "y")]:
        assert history.add(update(sequence, epoch=epoch))
    history.learn("a", told, "y")
    assert missed(history, 1, "d") == ([2, 3, 4, 5, 3, 4, 5], Gap(6, None))
    assert missed(history, 4, "e") == ([5, 3, 4, 5], Gap(6, None))
    assert missed(history, 3, "x") == ([4, 5], None)


def test_an_epoch_that_goes_on_after_all_has_not_ended() -> None:
    history = filled(ROOMY, 3)
    history.learn("a", (End("x", 4, 4),), "y")
    history.learn("a", (End("d", 0, 0),), "e")
    assert history.add(update(4))
    assert missed(history, 1) == ([2, 3, 4], None)


def test_another_update_under_the_same_number_is_noticed() -> None:
    history = filled(ROOMY, 3)
    (kept,) = history.missed("a", Position(2, "e"), 1, 10**9).updates
    assert not history.differs(kept)
    assert history.differs(update(3, age=1))
    assert not history.differs(update(4))
    assert not history.differs(update(3, epoch="f"))


def test_old_epochs_are_forgotten_unless_something_of_them_is_kept() -> None:
    history = History(Limits(messages=2, bytes=10**9, seconds=3600, channels=9))
    history.add(update(1))
    for number in range(40):
        history.learn("a", (End(f"f{number - 1}" if number else "e", 1, 1),), f"f{number}")
        history.note("a", Position(1, f"f{number}"))
    assert missed(history, 0, "e") == ([1], None)
    assert missed(history, 1, "f2") == ([], None)
    history.learn("a", (End("f39", 1, 1),), "g")
    for sequence in (2, 3):
        history.add(update(sequence, epoch="g"))
    history.learn("a", (End("g", 3, 3),), "h")
    assert missed(history, 0, "e") == ([2, 3], Gap(1, None))
    assert missed(history, 3, "g") == ([], None)


def test_where_a_channel_is_can_be_noted_without_its_updates() -> None:
    history = History(ROOMY)
    history.note("a", Position(7, "e"))
    assert missed(history, 7) == ([], None)
    assert missed(history, 5) == ([], Gap(6, 7))
    history.note("a", Position(3, "e"))
    assert history.position("a") == Position(7, "e")


def test_a_part_leads_to_the_next() -> None:
    history = filled(ROOMY, 5)
    position, sequences, parts = Position(0, ""), [], 0
    complete = False
    while not complete:
        found = history.missed("a", position, 2, 10**9)
        sequences += [each.sequence for each in found.updates]
        position, complete, parts = found.position, found.complete, parts + 1
    assert (sequences, parts) == ([1, 2, 3, 4, 5], 3)


def test_a_part_is_bounded_by_its_bytes_and_never_empty() -> None:
    history = filled(ROOMY, 5, size=1000)
    assert len(history.missed("a", Position(), PLENTY, 3000).updates) == 2
    assert len(history.missed("a", Position(), PLENTY, 10).updates) == 1


def test_idle_channels_are_forgotten_for_others() -> None:
    history = History(Limits(messages=2, bytes=10**9, seconds=3600, channels=3))
    for channel in "abcdefgh":
        history.add(update(1, channel))
    assert history.position("a") == Position()
    assert history.position("h") == Position(1, "e")


class Followed:
    """What a journal has delivered."""

    def __init__(self) -> None:
        self.updates: list[Update] = []

    def keep(self, update: Update) -> None:
        raise AssertionError

    def deliver(self, update: Update) -> bool:
        self.updates.append(update)
        return True

    def note(self, channel: str, position: Position) -> None:
        raise AssertionError

    def learn(self, channel: str, ends: tuple[End, ...], current: str) -> None:
        raise AssertionError

    def channels(self) -> list[str]:
        raise AssertionError

    def position(self, channel: str) -> Position:
        raise AssertionError

    def epochs(self, channel: str) -> list[str]:
        raise AssertionError

    def differs(self, update: Update) -> bool:
        raise AssertionError


def test_the_local_journal_is_full_while_no_channel_is_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = LocalJournal(Limits(messages=9, bytes=10**9, seconds=60, channels=2))
    followed = Followed()
    journal.follow(followed)
    for channel in ("a", "b", "a"):
        journal.append(channel, encode(1), None)
    with pytest.raises(Rejected, match="2 channels"):
        journal.append("c", encode(1), None)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert journal.append("c", encode(1), None) == 1
    assert journal.append("a", encode(1), None) == 3
    first, *_, last = followed.updates
    assert first.epoch == last.epoch
    assert [each.sequence for each in followed.updates] == [1, 1, 2, 1, 3]


@pytest.mark.parametrize(
    "data", [None, "text", {"a": [1, b"\x00\xff", {"b": b""}]}, b"bytes", {"_placeholder": True}]
)
def test_data_comes_back_as_it_was(data: Any) -> None:
    assert decode(encode(data)) == data
