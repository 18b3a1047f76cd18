"""Tell of an outage of the message queue twice: when it begins and when it is over.

Several tasks of a process use the queue, each by a connection of its own, and all lose it together.
They note here what does not work, so that it is one outage in the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from production.realtime.redis_connection import QUEUE_ERRORS

log = structlog.get_logger(__name__)


class Outage:
    """What does not work of the queue at the moment; over when every part works again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Exception] = {}
        self._since: dict[str, float] = {}
        self._began_at: float | None = None
        self._failed_at = 0.0

    @property
    def faults(self) -> dict[str, Exception]:
        """The parts that do not work, and what each last failed with."""
        with self._lock:
            return dict(self._faults)

    def seconds(self, *parts: str) -> float:
        """Return for how long one of some parts has not worked, whichever it is for longest."""
        with self._lock:
            since = [self._since[part] for part in parts if part in self._since]
        return time.monotonic() - min(since) if since else 0.0

    def begin(self, part: str, error: Exception) -> bool:
        """Note that a part does not work; the first part that fails is logged with its reason.

        :return: whether the part worked until now.
        """
        with self._lock:
            worked = part not in self._faults
            self._faults[part] = error
            self._failed_at = time.monotonic()
            self._since.setdefault(part, self._failed_at)
            first = self._began_at is None
            if first:
                self._began_at = self._failed_at
        if first:
            # What is no failure of the other side is a fault in this one: show where.
            trace: Any = None if isinstance(error, QUEUE_ERRORS) else error
            log.error("message queue lost", part=part, reason=describe(error), exc_info=trace)
        return worked

    def end(self, part: str) -> None:
        """Note that a part works."""
        with self._lock:
            self._faults.pop(part, None)
            self._since.pop(part, None)
        self._conclude()

    def _conclude(self) -> None:
        with self._lock:
            if self._began_at is None or not self._is_over():
                return
            seconds = round(time.monotonic() - self._began_at, 1)
            self._began_at = None
            figures = self._figures()
        log.warning("message queue back", seconds=seconds, **figures)

    def _is_over(self) -> bool:
        return not self._faults

    def _figures(self) -> dict[str, int]:
        """Return what else there is to say of the outage that is over."""
        return {}


class ProvenOutage(Outage):
    """An outage that is over when, beyond that, something went all the way through since.

    A part that works again may be the first of several that are about to fail.

    :param dropped: returns how many messages were given up so far; each end of an outage says how
        many more there are than at the end before, since some go before the outage is noticed.
    """

    def __init__(self, dropped: Callable[[], int]) -> None:
        super().__init__()
        self._dropped = dropped
        self._dropped_before = 0
        self._proven_at = 0.0

    def prove(self, sent_at: float) -> None:
        """Note that something has gone all the way through.

        :param sent_at: when it set out, by the monotonic clock.
        """
        with self._lock:
            self._proven_at = sent_at
        self._conclude()

    def _is_over(self) -> bool:
        return super()._is_over() and self._proven_at > self._failed_at

    def _figures(self) -> dict[str, int]:
        dropped = self._dropped()
        lost, self._dropped_before = dropped - self._dropped_before, dropped
        return {"dropped": lost}


def outage_of(manager: Any) -> Outage:
    """Return where the process notes that its queue is away.

    An adopted app may emit through a queue of another kind, which tells of its own outages.

    :param manager: the client manager of the process.
    """
    outage: Outage | None = getattr(manager, "outage", None)
    return outage or Outage()


def describe(error: Exception) -> str:
    """Return an error's type and message; redis-py's messages name hosts, and no passwords."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
