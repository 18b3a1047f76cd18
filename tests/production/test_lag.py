"""When a process is late, and when that is no reason to send it no clients."""

from __future__ import annotations

import time
from typing import Any

import pytest

from production.observe import lag as module
from production.observe.lag import A_MOMENT, INTERVAL, WINDOW, LoopLag, Progress

LIMIT = 1.0


class Process:
    """A process whose sleeps take as long as they are told to, and what it does meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.progress = Progress()
        monkeypatch.setattr(module, "progress", self.progress)
        self.lag = LoopLag(self, LIMIT)
        self._sleeps: list[tuple[float, float]] = []

    def live(self, *sleeps: tuple[float, float]) -> None:
        """Measure, with sleeps that are late by so much, in which something is done every so often."""
        self._sleeps = list(sleeps)
        with pytest.raises(StopIteration):
            self.lag._measure()

    def sleep(self, seconds: float) -> None:
        """Pretend to."""
        if not self._sleeps:
            raise StopIteration
        late, every = self._sleeps.pop(0)
        wakes_at = self.now + seconds + late
        while self.now < wakes_at:
            self.now = min(self.now + every, wakes_at)
            self.progress.mark()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """A process."""
    return Process(monkeypatch)


@pytest.mark.parametrize(
    ("sleeps", "excessive"),
    [
        ([(0.0, 9.0)], False),
        ([(0.9, 9.0)], False),
        ([(1.1, 9.0)], True),
        ([(9.0, 0.01)], False),
        ([(9.0, 0.9)], False),
        ([(9.0, 1.2)], True),
        ([(1.1, 9.0), *[(0.0, 9.0)] * (WINDOW - 1)], True),
        ([(1.1, 9.0), *[(0.0, 9.0)] * WINDOW], False),
        ([(3.0, 0.01)] * int(A_MOMENT / (3.0 + INTERVAL) + 2), True),
        ([*[(3.0, 0.01)] * 20, (0.0, 0.01)], False),
    ],
)
def test_a_process_is_sent_no_clients_if_it_is_stuck_or_late_for_long(
    process: Process, sleeps: list[Any], excessive: bool
) -> None:
    process.live(*sleeps)
    assert process.lag.is_excessive() is excessive


def test_what_is_late_shows_whether_or_not_it_is_excessive(process: Process) -> None:
    process.lag._started = True
    process.live((9.0, 0.01), (0.0, 0.01))
    assert process.lag.seconds() == pytest.approx(9.0)
    assert process.lag.stall() == pytest.approx(0.01)
