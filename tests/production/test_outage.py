"""One outage of the queue is told of twice, however many parts notice it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from production.realtime.outage import Outage, ProvenOutage

LOST = "message queue lost"
BACK = "message queue back"


def told(records: list[Any]) -> list[str]:
    """What was logged, in order."""
    return [record["event"] for record in records]


def test_an_outage_of_several_parts_is_one() -> None:
    outage = Outage()
    with capture_logs() as records:
        assert outage.begin("reading", ConnectionError("refused"))
        assert outage.begin("writing", TimeoutError())
        assert not outage.begin("writing", TimeoutError())
        outage.end("reading")
        assert list(outage.faults) == ["writing"]
        outage.end("writing")
        outage.end("writing")
    assert told(records) == [LOST, BACK]
    assert records[0]["part"] == "reading"
    assert records[0]["reason"] == "ConnectionError: refused"


def test_an_outage_is_over_when_something_went_all_the_way_through() -> None:
    outage = ProvenOutage(dropped=lambda: 3)
    with capture_logs() as records:
        before = time.monotonic()
        outage.begin("writing", TimeoutError())
        outage.end("writing")
        outage.prove(before)
        assert told(records) == [LOST]
        outage.prove(time.monotonic() + 1)
    assert told(records) == [LOST, BACK]
    assert records[1]["dropped"] == 3


def test_each_end_tells_what_was_dropped_since_the_one_before() -> None:
    dropped = iter((3, 5))
    outage = ProvenOutage(dropped=lambda: next(dropped))
    with capture_logs() as records:
        for _ in range(2):
            outage.begin("writing", TimeoutError())
            outage.end("writing")
            outage.prove(time.monotonic() + 1)
    assert [record["dropped"] for record in records if record["event"] == BACK] == [3, 2]


def test_the_longest_of_some_parts_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    outage = Outage()
    assert outage.seconds("reading", "writing") == 0
    outage.begin("reading", TimeoutError())
    now = 103.0
    outage.begin("writing", TimeoutError())
    outage.begin("reading", TimeoutError())
    now = 105.0
    assert outage.seconds("reading", "writing") == 5
    outage.end("reading")
    assert outage.seconds("reading", "writing") == 2
    assert outage.seconds("reading") == 0


def test_a_fault_of_the_process_itself_is_shown_where_it_is() -> None:
    fault = ValueError("a mistake")
    with capture_logs() as records:
        Outage().begin("writing", fault)
    assert records[0]["exc_info"] is fault
