"""The handler that shows the log to operators never gets in the way of the code that logs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from baking import PROJECT_TEMPLATE
from production.observe.log_stream import (
    FOR_WARNINGS,
    LONGEST_LINE,
    MOST_CHARACTERS,
    MOST_LINES,
    LogStream,
    muted,
)
from production.observe.logs import record_formatter
from waiting import PATIENCE


@pytest.fixture
def logger() -> logging.Logger:
    """A logger that nobody else listens to."""
    return logging.Logger("app.orders", logging.DEBUG)


@pytest.fixture
def stream(logger: logging.Logger) -> LogStream:
    """The handler of that logger, which keeps what is logged."""
    stream = LogStream()
    logger.addHandler(stream)
    stream.start()
    return stream


def test_a_record_has_what_the_log_has(logger: logging.Logger, stream: LogStream) -> None:
    with structlog.contextvars.bound_contextvars(session="web.0.1.x", request_id="r1"):
        logger.info("order %d placed", 7, extra={"total": 12.5})
    (record,) = stream.take().records
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "info",
        "event": "order 7 placed",
        "session": "web.0.1.x",
        "request_id": "r1",
        "logger": "app.orders",
        "total": 12.5,
        "process": logging.LogRecord("", 0, "", 0, "", None, None).process,
    }


def test_a_traceback_comes_along(logger: logging.Logger, stream: LogStream) -> None:
    try:
        raise LookupError("no such order")
    except LookupError:
        logger.exception("failed")
    (record,) = stream.take().records
    assert record["exception"].endswith("LookupError: no such order")


def test_nothing_is_kept_while_nobody_watches(logger: logging.Logger, stream: LogStream) -> None:
    logger.info("seen")
    stream.stop()
    logger.critical("not seen")
    assert stream.take() == ([], 0)


def test_a_flood_is_counted_and_hides_no_warning(logger: logging.Logger, stream: LogStream) -> None:
    for number in range(MOST_LINES + 50):
        logger.info("%d", number)
    logger.error("what went wrong")
    records, dropped = stream.take()
    assert [record["event"] for record in records] == [
        *map(str, range(MOST_LINES)),
        "what went wrong",
    ]
    assert dropped == 50
    logger.info("afterwards")
    assert [record["event"] for record in stream.take().records] == ["afterwards"]
    assert stream.take().dropped == 0


def test_floods_of_errors_and_of_long_records_are_bounded_too(
    logger: logging.Logger, stream: LogStream
) -> None:
    for _ in range(1000):
        logger.error("again")
    assert len(stream.take().records) == FOR_WARNINGS * MOST_LINES
    for _ in range(1000):
        logger.error("x" * LONGEST_LINE)
    assert len(str(stream.take().records)) < FOR_WARNINGS * MOST_CHARACTERS + 2 * LONGEST_LINE


@pytest.mark.parametrize("name", ["socketio", "engineio", "socketio.server", "engineio.client"])
def test_what_tells_of_sending_is_not_sent(stream: LogStream, name: str) -> None:
    record = logging.LogRecord(name, logging.ERROR, "", 0, "emitting", None, None)
    assert not stream.handle(record)
    assert stream.take() == ([], 0)


def test_what_is_logged_while_sending_is_not_sent(
    logger: logging.Logger, stream: LogStream
) -> None:
    with muted():
        logger.error("the client is slow")
    assert stream.take() == ([], 0)


class LogsWhenShown:
    """An object that logs when it is written, as some models of databases do."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __str__(self) -> str:
        self._logger.info("loading %s", self)
        return "order 7"


def test_a_value_that_logs_itself_does_not_recurse(
    logger: logging.Logger, stream: LogStream
) -> None:
    logger.info("placed %s", LogsWhenShown(logger))
    assert [record["event"] for record in stream.take().records] == ["placed order 7"]


class Unshowable:
    """An object that cannot be written."""

    def __str__(self) -> str:
        raise ValueError("detached")

    __repr__ = __str__


@pytest.mark.parametrize("arguments", [("%d", "seven"), ("%s", Unshowable()), ("%s %s", 1)])
def test_a_record_that_cannot_be_written_fails_nobody(
    logger: logging.Logger, stream: LogStream, arguments: tuple[Any, ...]
) -> None:
    logger.warning(*arguments)
    (record,) = stream.take().records
    assert record["event"].startswith("(a record that cannot be written: ")
    assert record["logger"] == "app.orders"


def test_long_records_are_cut_in_the_middle(logger: logging.Logger, stream: LogStream) -> None:
    extra = {f"field{number}": "y" * 10_000 for number in range(100)}
    logger.info("first" + "x" * 1_000_000 + "last", extra=extra)
    (record,) = stream.take().records
    assert record["event"].startswith("firstx")
    assert "… (1000009 characters) …" in record["event"]
    assert record["event"].endswith("xlast")
    assert len(str(record)) < 3 * LONGEST_LINE


def test_browsers_can_read_any_number(logger: logging.Logger, stream: LogStream) -> None:
    logger.info("measured", extra={"ratio": float("nan")})
    (record,) = stream.take().records
    assert record["ratio"] == "NaN"


def test_no_thread_waits_for_another(logger: logging.Logger, stream: LogStream) -> None:
    assert stream.lock is None

    def log() -> None:
        for _ in range(500):
            logger.info("tick")

    threads = [threading.Thread(target=log) for _ in range(8)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        batch = stream.take()
        seen += len(batch.records) + batch.dropped
    batch = stream.take()
    assert seen + len(batch.records) + batch.dropped == 8 * 500


def seconds_of(handlers: list[logging.Handler]) -> float:
    """Return the processor time that it takes to log so much with these handlers."""
    logger = logging.Logger("app.orders", logging.DEBUG)
    for handler in handlers:
        logger.addHandler(handler)
    began_at = time.thread_time()
    for number in range(2000):
        logger.info("a record of many: %d", number)
    return time.thread_time() - began_at


@pytest.mark.alone
def test_being_watched_costs_the_code_that_logs_next_to_nothing() -> None:
    with Path(os.devnull).open("w") as nowhere:
        log = logging.StreamHandler(nowhere)
        log.setFormatter(record_formatter("json"))
        idle, watched = LogStream(), LogStream()
        watched.start()
        # In a flood, of which nearly all is counted only.
        kinds: list[list[logging.Handler]] = [[log], [log, idle], [log, watched]]
        rounds = [[seconds_of(handlers) for handlers in kinds] for _ in range(9)]
    alone, unwatched, flooded = map(min, zip(*rounds, strict=True))
    assert unwatched < 1.15 * alone
    assert flooded < 1.25 * alone


# Threads of the system, as drivers of databases have them, log while green threads do.
MIXED = """
import logging
import sys

from production import bootstrap
from production.modes import AsyncMode

if sys.argv[1] == "eventlet":
    bootstrap.patch(AsyncMode.EVENTLET)
    from eventlet import sleep, spawn
    from eventlet.patcher import original
    start_system_thread = original("_thread").start_new_thread
else:
    bootstrap.patch(AsyncMode.GEVENT)
    from gevent import sleep, spawn
    from gevent.monkey import get_original
    start_system_thread = get_original("_thread", "start_new_thread")

from production.observe.log_stream import LogStream

logger = logging.Logger("app", logging.DEBUG)
stream = LogStream()
logger.addHandler(stream)
stream.start()
ended = []


def log(pause):
    for number in range(2000):
        logger.info("tick %d", number)
        if number % 50 == 0:
            pause()
    ended.append(True)


for _ in range(4):
    start_system_thread(log, (lambda: None,))
    spawn(log, sleep)
seen = 0
while len(ended) < 8:
    records, dropped = stream.take()
    seen += len(records) + dropped
    sleep(0.001)
records, dropped = stream.take()
print(seen + len(records) + dropped)
"""


@pytest.mark.parametrize("mode", ["eventlet", "gevent"])
def test_threads_of_the_system_and_green_ones_log_together(mode: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "-c", MIXED, mode],
        env={**os.environ, "PYTHONPATH": str(PROJECT_TEMPLATE)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert outcome.stdout == "16000\n", outcome.stderr
