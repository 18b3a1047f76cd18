"""What no honest client does more often than now and then.

Each has a bound, far above what any client library does, and whoever goes beyond it is ended: what costs
the server more than its sender, and serves nobody, is an attack or a defect.
"""

from __future__ import annotations

import time

MOST_ODD_FRAMES = 1000
"""Control frames and small fragments that a client may send in a second. Browsers send none; libraries
ping at most once a second."""

MOST_ODD_PACKETS = 100
"""Packets in a second that ask for nothing: acknowledgements of what was not sent, answers to pings that
there were not, requests for namespaces that are refused."""

MOST_FRAGMENTS = 1000
SMALL_FRAGMENT = 64
"""A message may have so many fragments, and one more for each so many bytes. Of those that fragment at all,
most send 1 KB and more in each."""

PERIOD = 1.0


class Flooding(Exception):
    """A client went beyond a bound.

    :param what: what it has sent, in the plural, for the log and the close frame.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"too many {what}")


class Allowance:
    """Counts what a client sends, second by second.

    :param most: how many it may send in a second.
    """

    __slots__ = ("_began", "_count", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._began = 0.0

    def use(self, what: str) -> None:
        """Count one.

        :param what: what it is, in the plural.
        :raises Flooding: if it is one too many.
        """
        now = time.monotonic()
        if now - self._began >= PERIOD:
            self._began, self._count = now, 0
        self._count += 1
        if self._count > self._most:
            raise Flooding(what)
