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

ROOM = 100
"""Lines that the buffer takes between two times that it is emptied."""

ROOM_FOR_WARNINGS = 100
"""Lines beyond that for warnings and worse: a flood must not hide what went wrong."""

LONGEST_LINE = 32_000
"""Characters of a line; of a longer one, its texts are cut."""

LONGEST_TEXT = 4_000
"""Characters that are left of a text of such a line, and how many of its fields stay."""
MOST_FIELDS = 20

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
        self._lines.clear()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record if there is room for it; never wait, raise or log.

        :return: whether it was one to keep.
        """
        if _muted.get() or record.name.partition(".")[0] in EXCLUDED:
            return False
        room = ROOM if record.levelno < logging.WARNING else ROOM + ROOM_FOR_WARNINGS
        if len(self._lines) < room:
            with muted():
                self._lines.append(self._line_of(record))
        else:
            self._dropped += 1
        return True

    def take(self) -> Batch:
        """Take out what was kept, and say how many records there was no room for since."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        dropped = self._dropped
        # Python writes NaN, at which a browser's JSON.parse stops.
        records = [json.loads(line, parse_constant=str) for line in lines]
        batch = Batch(records, dropped - self._taken_dropped)
        self._taken_dropped = dropped
        return batch

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
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
