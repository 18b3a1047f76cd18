"""How many lines of the log one client may cause, and how many more there were.

A client that is refused ten thousand times would otherwise fill the disk, and hide what matters. Of lines
alike that one client causes, the first :data:`MOST_LINES` of a period are written; one more says how many were
left out. A period is a second, and twice as long after each in which lines were left out.

Only the lines of the layer and of the servers beneath it are counted, and everyone's tracebacks: what an app
has to say of its clients is its own business.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Hashable
from contextvars import Context
from typing import Any, NamedTuple

import structlog

from production.observe.current import current_client

MOST_LINES = 10
"""Lines alike of one session, or of all those of an address that have joined nothing."""

MOST_SESSION_LINES = 500
"""Lines of all sessions of an address that have joined: an office comes back all at once."""

SHORTEST_PERIOD = 1.0
LONGEST_PERIOD = 64.0
"""Seconds."""

MOST_KINDS = 5_000
"""Kinds of lines, of one client each, that are remembered; the one that was seen longest ago goes first."""

COUNTED = ("production", "gunicorn", "engineio", "socketio", "werkzeug")
"""Loggers whose lines are counted even if they tell of no exception."""

ACCESS = "gunicorn.access"
"""The logger of all requests, whose lines are wanted one by one by whoever asks for them."""


class Summary(NamedTuple):
    """What is said of lines that were left out.

    :param logger: which logger they came from.
    :param level: how serious they are.
    :param fields: whose they are and what they say.
    :param left_out: how many they are.
    """

    logger: str
    level: int
    fields: dict[str, str | None]
    left_out: int

    def write(self) -> None:
        """Write it, as a line that no client causes, and that belongs to no event."""
        Context().run(self._write)

    def _write(self) -> None:
        structlog.get_logger(self.logger).log(
            self.level, "more lines like it were left out", left_out=self.left_out, **self.fields
        )


class Period:
    """Lines alike of one client.

    :param client: whose they are.
    :param begins_at: when it begins, on the monotonic clock.
    :param seconds: how long it takes.
    """

    __slots__ = ("_is_flood", "_untold", "_written", "client", "ends_at", "seconds")

    def __init__(self, client: str, begins_at: float, seconds: float) -> None:
        self.client = client
        self.seconds = seconds
        self.ends_at = begins_at + seconds
        self._written = 0
        # What is to be told of those that were left out.
        self._untold: Summary | None = None
        self._is_flood = False

    def count(self, record: logging.LogRecord, most: int) -> bool:
        """Count a line, and tell whether it is one of the first.

        :param record: the line.
        :param most: how many are written.
        """
        if self._written < most:
            self._written += 1
            return True
        if self._untold is None:
            # Not the record itself, which may hold the frames of an exception.
            fields = {"like": _text(record), "client": self.client, "session": _session(record)}
            self._untold = Summary(record.name, record.levelno, fields, 0)
        self._untold = self._untold._replace(left_out=self._untold.left_out + 1)
        self._is_flood = True
        return False

    def take_summary(self) -> Summary | None:
        """Return what is to be told of those that were left out, once; ``None`` if none were."""
        summary, self._untold = self._untold, None
        return summary

    def next(self, now: float) -> Period:
        """Return the one for a line that comes after this.

        :param now: when it comes.
        """
        quiet = now - self.ends_at > self.seconds
        if quiet or not self._is_flood:
            return Period(self.client, now, SHORTEST_PERIOD)
        return Period(self.client, now, min(2 * self.seconds, LONGEST_PERIOD))


class Repetition(logging.Filter):
    """Leaves out what a client causes too often, as a filter of the log's handler."""

    def __init__(self) -> None:
        super().__init__()
        self._periods: OrderedDict[Hashable, Period] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        client = current_client.get()
        if client is None:
            return True
        error = _exception(record)
        is_counted = record.name.partition(".")[0] in COUNTED and record.name != ACCESS
        if error is None and not is_counted:
            return True
        session = _session(record)
        kind = (client, session, *_place(record, error))
        now = time.monotonic()
        over: list[Summary | None] = []
        with self._lock:
            admitted = self._period(kind, now, over).count(record, MOST_LINES)
            if admitted and session is not None:
                admitted = self._period((client,), now, over).count(record, MOST_SESSION_LINES)
        _write(over)
        return admitted

    def tell(self) -> None:
        """Write how many were left out in the periods that are over; to be called now and then."""
        self._tell_until(time.monotonic())

    def tell_all(self) -> None:
        """Write how many were left out up to now; to be called before the process ends."""
        self._tell_until(math.inf)

    def _tell_until(self, moment: float) -> None:
        with self._lock:
            over = [period for period in self._periods.values() if period.ends_at <= moment]
            told = [period.take_summary() for period in over]
        _write(told)

    def _period(self, kind: tuple[Any, ...], now: float, over: list[Summary | None]) -> Period:
        """Return the period of a kind, and add what is to be told of those that it has ended."""
        period = self._periods.get(kind)
        if period is None:
            period = self._periods[kind] = Period(kind[0], now, SHORTEST_PERIOD)
        elif period.ends_at <= now:
            over.append(period.take_summary())
            period = self._periods[kind] = period.next(now)
        self._periods.move_to_end(kind)
        if len(self._periods) > MOST_KINDS:
            over.append(self._periods.popitem(last=False)[1].take_summary())
        return period


def _write(summaries: list[Summary | None]) -> None:
    for summary in summaries:
        if summary is not None:
            summary.write()


def _exception(record: logging.LogRecord) -> BaseException | None:
    """Return the exception that a record tells of, of structlog's or of anyone's."""
    told: Any = record.msg.get("exc_info") if isinstance(record.msg, dict) else record.exc_info
    if told is True:
        told = sys.exc_info()
    if isinstance(told, tuple):
        told = told[1]
    return told if isinstance(told, BaseException) else None


def _session(record: logging.LogRecord) -> str | None:
    """Return the session that a line is about, if it is one of a session's own life.

    Errors are alike whichever session of a client causes them.
    """
    if record.levelno >= logging.WARNING or not isinstance(record.msg, dict):
        return None
    return record.msg.get("session")


def _place(record: logging.LogRecord, error: BaseException | None) -> tuple[Hashable, ...]:
    """Return where a line comes from: unless it is the layer's, its text may be the client's."""
    place: list[Hashable] = [record.name, record.pathname, record.lineno]
    if record.name.startswith("production."):
        place.append(_text(record))
    if error is not None:
        raised_at = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        place.append((type(error), *raised_at[-1:]))
    return tuple(place)


def _text(record: logging.LogRecord) -> str:
    return str(record.msg["event"]) if isinstance(record.msg, dict) else record.getMessage()


#: The one of this process.
repetition = Repetition()
