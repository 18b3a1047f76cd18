"""What the workers of one gunicorn share: who is there, how busy, and a way to each of them.

The master makes it before the first fork, and every worker inherits it: a table in shared memory,
and for each slot a pair of connected datagram sockets, the inbox, through which a connection is
handed to the worker that has the slot. The sockets have no name, neither in the file system nor in
the abstract namespace. So nobody else can send to one or take the place of one, nothing has to be
cleaned up, and nothing is left over by a master that was killed.

Every cell of the table is written by one process only, so that it needs no lock between them; but for the
two that the master clears of a worker that leaves or is gone.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

FEWEST_SLOTS = 64
"""Slots that there are at least, for workers that are added to a gunicorn that runs."""

SPARE_SLOTS = 16
"""Slots beyond two for each worker: a reload runs old and new ones side by side."""

STALLED_AFTER = 3.0
"""Seconds without a sign of life after which a worker is sent no new session; gunicorn's own time
until it replaces the worker is ten times that, and each worker gives one within a second."""

LARGEST_MESSAGE = 96 * 1024
"""Bytes of one message. A datagram must fit into the sender's buffer, 208 KiB on a stock Linux."""

SEND_BUFFER = 1024 * 1024
"""Bytes that may wait in an inbox; the kernel lowers it to its ``net.core.wmem_max``."""

PATIENCE = 2.0
"""Seconds to wait for room in an inbox before the connection is served where it is."""

FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.05
"""Seconds between two looks whether there is room."""

_CELL = 8  # bytes, of memoryview's format Q
_NOT_WAITING = getattr(socket, "MSG_DONTWAIT", 0)


class Column(IntEnum):
    """What the table says of each slot; :attr:`SENT` is the first of as many as there are slots."""

    AGE = 0  # gunicorn's number of the worker that has the slot, never used twice; 0 for nobody
    WELCOMING = 1  # whether that worker takes new sessions
    SEEN = 2  # when it last gave a sign of life, in nanoseconds of the machine's monotonic clock
    SESSIONS = 3  # how many it has
    RECEIVED = 4  # of the new sessions put into its inbox, how many have begun
    FAILED = 5  # when a worker could last not start there, in nanoseconds of the same clock
    HAD = 6  # the newest entry of the stream of channels that a worker there has had
    SENT = 7  # new sessions that the worker in the column's slot has put into this one's inbox


@dataclass
class Parcel:
    """What was taken from an inbox.

    :param descriptor: the connection, the receiver's to close; nothing if this process had no room
        for one more, in which case the kernel has closed it.
    :param message: what the sender says about it.
    """

    descriptor: int | None
    message: bytes


class Switchboard:
    """The table and the inboxes.

    :param capacity: how many slots there are.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        memory = mmap.mmap(-1, (Column.SENT + capacity) * capacity * _CELL)
        self._cells = memoryview(memory).cast("Q")
        self._inboxes = [
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(capacity)
        ]
        for _, entrance in self._inboxes:
            entrance.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._own_cells = threading.Lock()

    # In the master

    def claim(self, taken: Iterable[int]) -> int | None:
        """Give the lowest slot that no worker has to one that is about to be started.

        :param taken: the slots of the workers that live.
        :return: the slot; nothing if all are taken.
        """
        occupied = set(taken)
        self.reclaim(occupied)
        return next((slot for slot in range(self.capacity) if slot not in occupied), None)

    def reclaim(self, taken: Iterable[int]) -> None:
        """Forget the workers that are gone; let others answer what was on the way to them.

        :param taken: the slots of the workers that live.
        """
        gone = set(range(self.capacity)).difference(taken)
        for slot in gone:
            if self._cell(Column.AGE, slot):
                self._set(Column.AGE, slot, 0)
                self._set(Column.WELCOMING, slot, 0)
        for slot in gone:
            for parcel in self._parcels(slot):
                if parcel.descriptor is not None:
                    self._forward(parcel.message, parcel.descriptor)
                    os.close(parcel.descriptor)

    def _forward(self, message: bytes, descriptor: int) -> None:
        """Give a connection to any worker that has room; closed without an answer if none has."""
        for slot in self.loads():
            with contextlib.suppress(OSError):
                self._post(slot, message, descriptor)
                return

    # In a worker, the first of them in the master as well

    def stop_welcoming(self, slot: int) -> None:
        """Say that the worker of a slot takes no new sessions, while it serves those it has."""
        self._set(Column.WELCOMING, slot, 0)

    def keep(self, slot: int) -> None:
        """Give back the descriptors of other workers' inboxes that only they read from."""
        for other, (exit_, _) in enumerate(self._inboxes):
            if other != slot:
                exit_.close()

    def open(self, slot: int, age: int) -> None:
        """Say that a worker is there, and takes new sessions.

        :param slot: its slot.
        :param age: gunicorn's number of it.
        """
        # A lock of the mode that this process is patched for by now.
        self._own_cells = threading.Lock()
        self.beat(slot)
        self._set(Column.SESSIONS, slot, 0)
        self._set(Column.RECEIVED, slot, sum(self._sent_to(slot)))
        self._set(Column.AGE, slot, age)
        self._set(Column.WELCOMING, slot, 1)

    def beat(self, slot: int) -> None:
        """Say that the worker of a slot is alive and not stalled."""
        self._set(Column.SEEN, slot, time.monotonic_ns())

    def fail(self, slot: int) -> None:
        """Say that the worker of a slot could not start."""
        self._set(Column.FAILED, slot, time.monotonic_ns())

    def since_failure(self) -> float:
        """Return how many seconds ago a worker could last not start; long ago if all could."""
        return (time.monotonic_ns() - max(self._column(Column.FAILED))) / 1e9

    def entries_had(self) -> memoryview:
        """Return where each slot keeps the newest entry of the stream that its workers have had."""
        return self._column(Column.HAD)

    def count_sessions(self, slot: int, count: int) -> None:
        """Say how many sessions the worker of a slot has."""
        self._set(Column.SESSIONS, slot, count)

    def age(self, slot: int) -> int:
        """Return gunicorn's number of the worker in a slot, 0 if there is none or no such slot."""
        return self._cell(Column.AGE, slot) if 0 <= slot < self.capacity else 0

    def is_empty(self) -> bool:
        """Tell whether there is no worker yet."""
        return not any(self._column(Column.AGE))

    def is_alone(self) -> bool:
        """Tell whether there is one worker only."""
        return sum(map(bool, self._column(Column.AGE))) < 2

    def loads(self) -> dict[int, int]:
        """Return how many sessions each worker has or is about to have, by slot.

        Those are left out that take none, or have given no sign of life for too long.
        """
        welcoming = self._column(Column.WELCOMING)
        seen = self._column(Column.SEEN)
        oldest = time.monotonic_ns() - int(STALLED_AFTER * 1e9)
        return {
            slot: self._load(slot)
            for slot in range(self.capacity)
            if welcoming[slot] and seen[slot] >= oldest
        }

    def fileno(self, slot: int) -> int:
        """Return the descriptor that becomes readable when there is something in an inbox."""
        return self._inboxes[slot][0].fileno()

    def send(self, sender: int, slot: int, message: bytes, descriptor: int, *, new: bool) -> bool:
        """Put a connection into an inbox, waiting a while for room.

        :param sender: the slot of this worker.
        :param slot: the slot of the other.
        :param message: what to say about it.
        :param descriptor: the connection; this process's own copy stays open.
        :param new: whether a session is expected to begin with it.
        :return: whether it is on its way.
        """
        if len(message) > LARGEST_MESSAGE:
            return False
        deadline = time.monotonic() + PATIENCE
        pause = FIRST_PAUSE
        while True:
            try:
                self._post(slot, message, descriptor)
            except OSError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                break
        if new:
            with self._own_cells:
                column = Column.SENT + sender
                self._set(column, slot, self._cell(column, slot) + 1)
        return True

    def receive(self, slot: int) -> Parcel | None:
        """Take the next connection from this worker's inbox, if there is one."""
        return next(self._parcels(slot), None)

    def count_received(self, slot: int) -> None:
        """Say that a new session that came through this worker's inbox has begun."""
        with self._own_cells:
            self._set(Column.RECEIVED, slot, self._cell(Column.RECEIVED, slot) + 1)

    def _post(self, slot: int, message: bytes, descriptor: int) -> None:
        """Put a connection into an inbox.

        :raises OSError: if it is full, or too many descriptors are under way (unix(7),
            ``ETOOMANYREFS``).
        """
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self._inboxes[slot][1].sendmsg([message], rights, _NOT_WAITING)

    def _parcels(self, slot: int) -> Iterator[Parcel]:
        while True:
            try:
                message, ancillary, _, _ = self._inboxes[slot][0].recvmsg(
                    LARGEST_MESSAGE, socket.CMSG_SPACE(array.array("i").itemsize), _NOT_WAITING
                )
            except BlockingIOError:
                return
            descriptors = array.array("i")
            for _, _, data in ancillary:
                with contextlib.suppress(ValueError):
                    descriptors.frombytes(data)
            yield Parcel(descriptors[0] if descriptors else None, message)

    def _load(self, slot: int) -> int:
        under_way = sum(self._sent_to(slot)) - self._cell(Column.RECEIVED, slot)
        return self._cell(Column.SESSIONS, slot) + max(0, under_way)

    def _sent_to(self, slot: int) -> memoryview:
        return self._cells[Column.SENT * self.capacity + slot :: self.capacity]

    def _column(self, column: int) -> memoryview:
        return self._cells[column * self.capacity : (column + 1) * self.capacity]

    def _cell(self, column: int, slot: int) -> int:
        value: int = self._cells[column * self.capacity + slot]
        return value

    def _set(self, column: int, slot: int, value: int) -> None:
        self._cells[column * self.capacity + slot] = value
