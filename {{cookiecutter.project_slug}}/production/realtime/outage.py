"""Tell of an outage twice: when it begins and when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from production.realtime.redis_connection import QUEUE_ERRORS

log = structlog.get_logger(__name__)


class Outage:
    """What does not work of one thing at the moment.

    It is over when every part works and something has gone all the way through since the last
    failure. A part that works again may be the first of several that are about to fail.

    :param thing: its name in the log.
    :param dropped: returns how many messages were given up so far; each end of an outage says how
        many more there are than at the end before, since some go before the outage is noticed.
    """

    def __init__(self, thing: str, dropped: Callable[[], int]) -> None:
        self._thing = thing
        self._dropped = dropped
        self._dropped_before = 0
        self._lock = threading.Lock()
        self._faults: dict[str, Exception] = {}
        self._began_at: float | None = None
        self._failed_at = 0.0
        self._proven_at = 0.0

    @property
    def faults(self) -> dict[str, Exception]:
        """The parts that do not work, and what each last failed with."""
        with self._lock:
            return dict(self._faults)

    def begin(self, part: str, error: Exception) -> bool:
        """Note that a part does not work; the first part that fails is logged with its reason.

        :return: whether the part worked until now.
        """
        with self._lock:
            worked = part not in self._faults
            self._faults[part] = error
            self._failed_at = time.monotonic()
            first = self._began_at is None
            if first:
                self._began_at = self._failed_at
        if first:
            # What is no failure of the other side is a fault in this one: show where.
            trace: Any = None if isinstance(error, QUEUE_ERRORS) else error
            log.error(f"{self._thing} lost", part=part, reason=describe(error), exc_info=trace)
        return worked

    def end(self, part: str) -> None:
        """Note that a part works."""
        with self._lock:
            self._faults.pop(part, None)
        self._conclude()

    def prove(self, sent_at: float) -> None:
        """Note that something has gone all the way through.

        :param sent_at: when it set out, by the monotonic clock.
        """
        with self._lock:
            self._proven_at = sent_at
        self._conclude()

    def _conclude(self) -> None:
        with self._lock:
            if self._began_at is None or self._faults or self._proven_at <= self._failed_at:
                return
            seconds = round(time.monotonic() - self._began_at, 1)
            self._began_at = None
            dropped = self._dropped()
            lost, self._dropped_before = dropped - self._dropped_before, dropped
        log.warning(f"{self._thing} back", seconds=seconds, dropped=lost)


def describe(error: Exception) -> str:
    """Return an error's type and message; redis-py's messages name hosts, and no passwords."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
