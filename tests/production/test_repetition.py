"""What is written of lines that a client causes, and what is said of the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from production.observe import repetition as module
from production.observe.current import current_client
from production.observe.logs import configure_logging, record_formatter
from production.observe.repetition import (
    MOST_LINES,
    MOST_SESSION_LINES,
    SHORTEST_PERIOD,
    Repetition,
)

CLIENT = "192.0.2.1"


class Log(logging.Handler):
    """A log with a filter of its own, and the clock that the filter looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.repetition = Repetition()
        self.addFilter(self.repetition)
        self.setFormatter(record_formatter("json"))
        self.written: list[dict[str, Any]] = []
        self.now = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is written."""
        assert isinstance(record.msg, dict)
        self.written.append(record.msg)

    def cause(self, client: str | None, count: int, event: str = "refused", **fields: Any) -> None:
        """Write lines on account of a client."""
        token = current_client.set(client)
        for _ in range(count):
            structlog.get_logger("production.test").info(event, **fields)
        current_client.reset(token)

    def lines(self) -> list[tuple[Any, Any]]:
        """Return what was written since, each with the number of those left out."""
        lines = [(each.get("like", each["event"]), each.get("left_out")) for each in self.written]
        self.written.clear()
        return lines


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log that keeps what is written to it."""
    before = structlog.get_config()
    configure_logging("INFO", "json")
    handler = Log()
    monkeypatch.setattr(time, "monotonic", lambda: handler.now)
    monkeypatch.setattr(logging.getLogger("production.test"), "propagate", False)
    logging.getLogger("production.test").addHandler(handler)
    yield handler
    logging.getLogger("production.test").removeHandler(handler)
    structlog.configure(**before)


def test_the_first_lines_are_written_and_the_number_of_the_others_once(log: Log) -> None:
    log.cause(CLIENT, 1000)
    log.repetition.tell()
    assert log.lines() == [("refused", None)] * MOST_LINES
    log.now += SHORTEST_PERIOD
    log.repetition.tell()
    log.repetition.tell()
    assert log.lines() == [("refused", 1000 - MOST_LINES)]


def test_the_number_is_told_before_the_next_line_where_nobody_asks_for_it(log: Log) -> None:
    log.cause(CLIENT, MOST_LINES + 3)
    log.now += SHORTEST_PERIOD
    log.cause(CLIENT, 1)
    assert log.lines()[MOST_LINES:] == [("refused", 3), ("refused", None)]


def test_the_longer_a_flood_goes_on_the_less_is_written(log: Log) -> None:
    for _ in range(120):
        log.cause(CLIENT, 20)
        log.now += 0.5
        log.repetition.tell()
    log.repetition.tell_all()
    lines = log.lines()
    assert sum(left_out or 1 for _, left_out in lines) == 2_400
    assert len(lines) < 100
    log.now += 200
    log.cause(CLIENT, 1)
    log.now += SHORTEST_PERIOD
    log.cause(CLIENT, MOST_LINES + 1)
    log.now += SHORTEST_PERIOD
    log.repetition.tell()
    assert log.lines()[-1] == ("refused", 1)


def test_nobody_else_loses_a_line(log: Log) -> None:
    log.cause(CLIENT, 100)
    log.cause("192.0.2.2", 1)
    log.cause(CLIENT, 1, "something else")
    log.cause(None, 100)
    assert log.lines()[MOST_LINES:] == [
        ("refused", None),
        ("something else", None),
        *[("refused", None)] * 100,
    ]


def test_all_sessions_of_an_address_have_a_bound_together(log: Log) -> None:
    for number in range(2 * MOST_SESSION_LINES):
        log.cause(CLIENT, 1, session=f"s{number}")
    assert log.lines() == [("refused", None)] * MOST_SESSION_LINES


def test_what_an_app_says_is_written_but_for_tracebacks(log: Log) -> None:
    app = logging.getLogger("app")
    app.addHandler(log)
    token = current_client.set(CLIENT)
    try:
        for number in range(100):
            structlog.get_logger("app").info("ordered", order=number)
        for number in range(100):
            try:
                raise LookupError(number)
            except LookupError:
                structlog.get_logger("app").exception("failed", order=number)
        try:
            raise LookupError
        except LookupError:
            structlog.get_logger("app").exception("failed elsewhere")
    finally:
        current_client.reset(token)
        app.removeHandler(log)
    assert log.lines() == [
        *[("ordered", None)] * 100,
        *[("failed", None)] * MOST_LINES,
        ("failed elsewhere", None),
    ]


def test_lines_of_all_requests_are_written_for_whoever_asks_for_them(log: Log) -> None:
    token = current_client.set(CLIENT)
    record = logging.makeLogRecord({"name": "gunicorn.access", "levelno": logging.INFO})
    assert all(log.repetition.filter(record) for _ in range(100))
    record.name = "gunicorn.error"
    assert sum(log.repetition.filter(record) for _ in range(100)) == MOST_LINES
    current_client.reset(token)


def test_floods_from_many_addresses_take_no_memory_and_are_told(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KINDS", 100)
    for number in range(150):
        log.cause(str(number), MOST_LINES + 1)
    assert len(log.repetition._periods) == 100
    assert [left_out for _, left_out in log.lines() if left_out] == [1] * 50
