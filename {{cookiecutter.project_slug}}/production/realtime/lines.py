"""Let those who come to one place at once go on in the order in which they came.

A lock does not: in some async modes, who comes when it has just been released overtakes those who wait for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Line:
    """Those who wait for their turn, the first of whom has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait for the turn, and have it until the block ends.

        :param seconds: how long to wait at most.
        :raises TimeoutError: if it does not come in time.
        """
        mine = threading.Event()
        with self._lock:
            self._waiting.append(mine)
            self._call_first()
        try:
            if not mine.wait(seconds):
                raise TimeoutError
            yield
        finally:
            with self._lock:
                self._waiting.remove(mine)
                self._call_first()

    def _call_first(self) -> None:
        if self._waiting:
            self._waiting[0].set()
