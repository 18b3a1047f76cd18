"""How many sessions the clients of one address may have, and how fast they may open them.

Each process counts for itself. What it remembers is bounded: an address without sessions is forgotten once it
may open as many as any other again, or when too many others came after it.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from typing import NamedTuple

import structlog

from production.modes import BriefLock

log = structlog.get_logger(__name__)

PERIOD = 30.0
"""Seconds over which handshakes are averaged: an office or a school comes back all at once after a
reload, and then not again for a while."""

MOST_ADDRESSES = 10_000
"""Addresses whose handshakes are remembered; the one whose last was longest ago goes first."""

RETRY_AFTER = 5
"""Seconds until a client of an address that has all its sessions should try again."""

SAID_EVERY = 60.0
"""Seconds between two lines in the log about an address that is refused."""


class Refusal(NamedTuple):
    """Why an address may open no further session now.

    :param reason: for the metric.
    :param message: for the log.
    :param setting: what says how many it may open.
    :param retry_after: whole seconds after which to try again.
    """

    reason: str
    message: str
    setting: str
    retry_after: int


class Admission:
    """Lets sessions in, address by address.

    :param sessions: how many sessions an address may have.
    :param handshakes: how many it may open in a second, on average of :data:`PERIOD`.
    """

    def __init__(self, sessions: int, handshakes: int) -> None:
        self._most_sessions = sessions
        self._handshakes = handshakes
        self._sessions: Counter[str] = Counter()
        # When each address will have all its handshakes again, which says how many it has now.
        self._full_at: OrderedDict[str, float] = OrderedDict()
        # When each that was refused was last told of in the log, and how often it was refused since.
        self._refused: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._lock = BriefLock()

    def enter(self, address: str | None) -> Refusal | None:
        """Let one more session of an address in, or refuse it.

        :param address: as :func:`~production.http.proxy.client_of` returns it; if that is ``None``,
            nothing is counted and nobody refused.
        :return: why it is refused; ``None`` if it is in, until :meth:`leave`.
        """
        if address is None:
            return None
        with self._lock:
            refusal = self._too_fast(address) or self._too_many(address)
            if refusal is None:
                self._sessions[address] += 1
                return None
            refused = self._count(address, refusal)
        if refused:
            self._say(address, refusal, refused)
        return refusal

    def leave(self, address: str | None) -> None:
        """Note that a session of an address has ended."""
        if address is None:
            return
        with self._lock:
            self._sessions[address] -= 1
            if self._sessions[address] <= 0:
                del self._sessions[address]

    def _too_many(self, address: str) -> Refusal | None:
        if self._sessions[address] < self._most_sessions:
            return None
        return Refusal(
            "address-full",
            "an address has all the sessions that it may have",
            "SESSIONS_PER_ADDRESS",
            RETRY_AFTER,
        )

    def _too_fast(self, address: str) -> Refusal | None:
        """Take one of the address's handshakes, if it has one left."""
        now = time.monotonic()
        full_at = max(self._full_at.get(address, now), now) + 1 / self._handshakes
        late = full_at - now - PERIOD
        if late > 0:
            return Refusal(
                "address-rate",
                "an address opens sessions faster than it may",
                "HANDSHAKES_PER_ADDRESS",
                math.ceil(late),
            )
        self._full_at[address] = full_at
        self._full_at.move_to_end(address)
        while len(self._full_at) > MOST_ADDRESSES or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
        return None

    def _count(self, address: str, refusal: Refusal) -> int:
        """Count a refusal.

        :return: how many there were since the last line in the log, if it is time for one, otherwise 0.
        """
        now = time.monotonic()
        said_at, count = self._refused.get((address, refusal.reason), (-math.inf, 0))
        is_due = now - said_at > SAID_EVERY
        self._refused[address, refusal.reason] = (now, 0) if is_due else (said_at, count + 1)
        self._refused.move_to_end((address, refusal.reason))
        if len(self._refused) > MOST_ADDRESSES:
            self._refused.popitem(last=False)
        return count + 1 if is_due else 0

    def _say(self, address: str, refusal: Refusal, refused: int) -> None:
        log.warning(refusal.message, address=address, setting=refusal.setting, refused=refused)
