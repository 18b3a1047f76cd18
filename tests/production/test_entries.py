"""What a worker knows of those before it: the newest entry that any of them has had."""

from __future__ import annotations

from production.realtime.entries import START, NewestEntry, read_entry, write_entry

NOW = 1_796_059_769_448


def started(cells: list[int], slot: int) -> NewestEntry:
    """Return what a worker that has just started in a slot knows."""
    newest = NewestEntry()
    newest.share(cells, slot)
    return newest


def test_an_entry_is_read_as_it_is_written() -> None:
    assert read_entry(write_entry((NOW, 7)).encode()) == (NOW, 7)


def test_a_process_on_its_own_knows_what_it_has_had() -> None:
    newest = NewestEntry()
    assert newest.get() == START
    for entry in ((NOW, 0), (NOW, 3), (NOW - 1, 9)):
        newest.note(entry)
    assert newest.get() == (NOW, 3)


def test_a_worker_knows_what_others_have_had_and_those_before_it_in_its_slot() -> None:
    cells = [0, 0]
    started(cells, 0).note((NOW, 5))
    started(cells, 1).note((NOW, 9))
    started(cells, 1).note((NOW, 8))
    for slot in range(2):
        assert started(cells, slot).get() == (NOW, 9)


def test_a_number_that_does_not_fit_makes_an_entry_look_newer() -> None:
    newest = NewestEntry()
    newest.note((NOW, 1 << 23))
    assert newest.get() > (NOW, 1 << 23)
