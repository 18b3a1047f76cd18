"""Tell of an outage twice: when it begins and when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from production.realtime.redis_connection import QUEUE_ERRORS

log = structlog.get_logger(__name__)


class Outage:
    """What does not work of one thing at the moment.

    :param thing: its name in the log.
    :param counters: returns what is counted; the record of the end says by how much it grew.
    """

    def __init__(self, thing: str, counters: Callable[[], Mapping[str, int]] = dict) -> None:
        self._thing = thing
        self._counters = counters
        self._lock = threading.Lock()
        self._faults: dict[str, Exception] = {}
        self._began_at = 0.0
        self._counted: dict[str, int] = {}

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
            first = not self._faults
            self._faults[part] = error
            if first:
                self._began_at = time.monotonic()
                self._counted = dict(self._counters())
        if first:
            # What is no failure of the other side is a fault in this one: show where.
            trace: Any = None if isinstance(error, QUEUE_ERRORS) else error
            log.error(f"{self._thing} lost", part=part, reason=describe(error), exc_info=trace)
        return worked

    def end(self, part: str) -> None:
        """Note that a part works; if it was the last that did not, that is logged."""
        with self._lock:
            if self._faults.pop(part, None) is None or self._faults:
                return
            seconds = round(time.monotonic() - self._began_at, 1)
            counters = self._counters()
            grown = {key: counters[key] - self._counted.get(key, 0) for key in counters}
        log.warning(f"{self._thing} back", seconds=seconds, **grown)


def describe(error: Exception) -> str:
    """Return an error's type and message; redis-py's messages name hosts, and no passwords."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
