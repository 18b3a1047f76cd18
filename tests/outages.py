"""What a service logs of an outage of its message queue: that it began, and that it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psutil

from observing import Service
from waiting import eventually

LOST = "message queue lost"
BACK = "message queue back"


def records(service: Service, event: str) -> list[dict[str, Any]]:
    """The records of one kind in a service's log."""
    return [record for record in service.records() if record["event"] == event]


def under_way(service: Service) -> bool:
    """Tell whether an outage has begun that is not over, in a process that lives."""
    last = {
        record["process"]: record["event"]
        for record in service.records()
        if record["event"] in {LOST, BACK}
    }
    return any(event == LOST and psutil.pid_exists(process) for process, event in last.items())


@contextlib.contextmanager
def one_outage(*services: Service) -> Iterator[list[dict[str, Any]]]:
    """Expect that each service logs the beginning and the end of one outage; keep the ends."""
    eventually(lambda: not any(map(under_way, services)), "no outage is under way")
    before = [(len(records(service, LOST)), len(records(service, BACK))) for service in services]
    ends: list[dict[str, Any]] = []
    yield ends
    ends.extend(map(_end_of_one, services, before))


def _end_of_one(service: Service, before: tuple[int, int]) -> dict[str, Any]:
    """Wait for the end of the one outage after those that began and ended before, and return its record."""
    lost, back = before
    eventually(
        lambda: len(records(service, BACK)) > back,
        what=lambda: f"the outage ends:\n{service.log_text()}",
    )
    (began,) = records(service, LOST)[lost:]
    (ended,) = records(service, BACK)[back:]
    assert began["level"] == "error"
    assert began["reason"]
    return ended
