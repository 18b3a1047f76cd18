"""What records of the log know of the threads that they are made in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from production.observe.logs import name_no_threads


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that names no threads."""
    make = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "logThreads", logging.logThreads)
    name_no_threads()
    yield
    logging.setLogRecordFactory(make)


@pytest.mark.usefixtures("unnamed")
def test_an_app_that_writes_threads_into_its_own_log_still_can() -> None:
    record = logging.getLogger("theirs").makeRecord("theirs", logging.INFO, "", 1, "it", (), None)
    text = logging.Formatter("%(threadName)s %(thread)d %(message)s").format(record)
    assert text == f"MainThread {threading.get_ident()} it"
