"""The ids of the stream's entries, and the newest entry that this service has had.

A worker that has just started remembers no channel. Where a reload and a restart of the queue meet, all have just
started, and only what outlasts them tells whether the queue came back with everything.
"""

from __future__ import annotations

import threading

EntryId = tuple[int, int]
"""Milliseconds, and a number among those of the same one."""

START: EntryId = (0, 0)

NUMBER_BITS = 22
"""Of a cell's 64. A number that does not fit makes its entry look newer, which claims less than is known."""


def read_entry(text: bytes) -> EntryId:
    """Read the id of an entry."""
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number)


def write_entry(entry: EntryId) -> str:
    """Return the id of an entry as Redis has it."""
    return f"{entry[0]}-{entry[1]}"


class NewestEntry:
    """The newest entry that a process has had: this one, until it is shared with others."""

    def __init__(self) -> None:
        self._cells: list[int] | memoryview = [0]
        self._own = 0
        self._lock = threading.Lock()

    def share(self, cells: list[int] | memoryview, own: int) -> None:
        """Share it with other processes, also with those that come later.

        :param cells: a number of 64 bits for each, 0 at first, in memory that all of them have.
        :param own: which of them this process writes.
        """
        self._cells, self._own = cells, own

    def note(self, entry: EntryId) -> None:
        """Note that this process has had an entry."""
        milliseconds, number = entry
        cell = (milliseconds << NUMBER_BITS) + number
        with self._lock:
            if cell > self._cells[self._own]:
                self._cells[self._own] = cell

    def get(self) -> EntryId:
        """Return the newest that any process has had; :data:`START` if none has had one."""
        return divmod(max(self._cells), 1 << NUMBER_BITS)


newest_entry = NewestEntry()
"""What the workers of this gunicorn have had."""
