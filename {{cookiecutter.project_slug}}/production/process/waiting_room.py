"""The connections whose requests have begun to come and are not complete, and how many those may be.

Each holds what others need: a thread, or a place among a worker's connections. Deadlines alone would let a
client hold all of them until then, and come back. So when there are too many, the one that has been
silent for longest leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from production.modes import BriefLock

SEATS_OF_THREADS = 64
"""Threads beside those of sessions that may wait; the green modes have more to give."""


class Visitor(Protocol):
    """A connection that waits for its peer."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come of a next request."""

    def dismiss(self) -> None:
        """Stop to wait; called in the task of another connection."""


class WaitingRoom:
    """Those that wait for their peers.

    :param seats: how many may wait.
    """

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._waiting: OrderedDict[Visitor, None] = OrderedDict()
        self._lock = BriefLock()

    def enter(self, visitor: Visitor) -> None:
        """Wait; if no seat is free, the one that has waited for longest is dismissed."""
        with self._lock:
            self._waiting[visitor] = None
            if len(self._waiting) <= self._seats:
                return
            longest, _ = self._waiting.popitem(last=False)
        longest.dismiss()

    def leave(self, visitor: Visitor) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiting.pop(visitor, None)

    def idle(self) -> list[Visitor]:
        """Return those of whose next request nothing has come."""
        with self._lock:
            return [visitor for visitor in self._waiting if visitor.is_idle]
