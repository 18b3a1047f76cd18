"""The log, as it is written, for operators who watch it.

A log handler that emits is the classic way to bring a service down: the emit logs, which emits, and a
slow client holds up whoever wrote the record. Here the code that logs does no more than put a line
into a bounded buffer; a task of its own takes the lines out and sends them. There is no lock that a
thread could be left waiting for, nothing is raised, and while nobody watches the handler is passed
over by :mod:`logging` itself.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from production.observe.logs import record_formatter

EXCLUDED = frozenset({"engineio", "socketio"})
"""Loggers whose records tell of sending, which sending them would cause more of."""

MOST_LINES = 50
MOST_CHARACTERS = 100_000
"""What the buffer takes between two times that it is emptied, which is every half second. Each process
may send so much to each operator, whose session ends if too much waits for it."""

FOR_WARNINGS = 2
"""How many times as much it takes when a warning or worse comes: a flood must not hide what went
wrong."""

LONGEST_LINE = 10_000
"""Characters of a line. Of a longer one so many fields are kept, and so much of each text's ends."""
MOST_FIELDS = 10
LONGEST_END = 1_000

NEVER = logging.CRITICAL + 1
"""A level that no record has."""

_muted: ContextVar[bool] = ContextVar("muted", default=False)


class Batch(NamedTuple):
    """What was logged between two looks.

    :param records: the records, oldest first.
    :param dropped: how many more there were.
    """

    records: list[dict[str, Any]]
    dropped: int


class LogStream(logging.Handler):
    """Keeps the latest records of this process for those who watch them."""

    def __init__(self) -> None:
        super().__init__(NEVER)
        self.setFormatter(record_formatter("json"))
        self._lines: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._taken_dropped = 0

    def createLock(self) -> None:
        """Make none: a thread outside the loop could be left waiting for a green one."""
        self.lock = None

    def start(self) -> None:
        """Keep what is logged from now on."""
        self.setLevel(logging.NOTSET)

    def stop(self) -> None:
        """Keep nothing from now on, and forget what was kept."""
        self.setLevel(NEVER)
        self.take()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record if there is room for it; never wait, raise or log.

        :return: whether it was one to keep.
        """
        if _muted.get() or record.name.partition(".")[0] in EXCLUDED:
            return False
        if self._has_room(FOR_WARNINGS if record.levelno >= logging.WARNING else 1):
            with muted():
                line = self._line_of(record)
            self._lines.append(line)
            self._characters += len(line)
        else:
            self._dropped += 1
        return True

    def take(self) -> Batch:
        """Take out what was kept, and say how many records there was no room for since."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        self._characters = 0
        dropped = self._dropped
        # Python writes NaN, at which a browser's JSON.parse stops.
        records = [json.loads(line, parse_constant=str) for line in lines]
        batch = Batch(records, dropped - self._taken_dropped)
        self._taken_dropped = dropped
        return batch

    def _has_room(self, times: int) -> bool:
        """Tell whether the buffer takes another line, if it takes so many times as much."""
        return len(self._lines) < MOST_LINES * times and self._characters < MOST_CHARACTERS * times

    def _line_of(self, record: logging.LogRecord) -> str:
        try:
            line = self.format(record)
        except Exception as error:
            # Arguments that do not fit the message, or a value that cannot be shown: the handler of
            # the log itself says so with a traceback, and the code that logs goes on.
            line = _unreadable(record, error)
        return line if len(line) <= LONGEST_LINE else _cut(line)


@contextmanager
def muted() -> Iterator[None]:
    """Keep nothing of what is logged in this block: it comes from sending what was logged."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


def _unreadable(record: logging.LogRecord, error: Exception) -> str:
    return json.dumps(
        {
            "level": record.levelname.lower(),
            "event": f"(a record that cannot be written: {type(error).__name__})",
            "logger": record.name,
        }
    )


def _cut(line: str) -> str:
    fields = list(json.loads(line).items())[:MOST_FIELDS]
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields}
    return json.dumps({name: _shortened(text) for name, text in texts.items()})


def _shortened(text: str) -> str:
    if len(text) <= 2 * LONGEST_END:
        return text
    return f"{text[:LONGEST_END]} … ({len(text)} characters) … {text[-LONGEST_END:]}"
