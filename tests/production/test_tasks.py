"""Timers and inboxes, with the tasks of the threading mode."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from production.realtime.inbox import MAX_PENDING, Inbox
from production.realtime.timers import Timers
from waiting import PATIENCE


class Threads:
    """What timers and inboxes need of a server."""

    async_mode = "threading"
    started = 0

    def start_background_task(self, target: Callable[..., Any]) -> threading.Thread:
        self.started += 1
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def test_timers_fire_in_the_order_in_which_they_are_due() -> None:
    fired: queue.Queue[str] = queue.Queue()
    server = Threads()
    timers = Timers(server)
    timers.after(0.3, fired.put, "late")
    timers.after(0.0, fired.put, "early")
    assert [fired.get(timeout=PATIENCE) for _ in range(2)] == ["early", "late"]
    assert server.started == 1


def test_a_timer_that_fails_does_not_stop_the_others() -> None:
    fired: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        raise RuntimeError("a timer failed")

    timers = Timers(Threads())
    timers.after(0.0, fail)
    timers.after(0.0, fired.put, "next")
    assert fired.get(timeout=PATIENCE) == "next"


def test_timers_start_again_after_a_pause() -> None:
    fired: queue.Queue[int] = queue.Queue()
    timers = Timers(Threads())
    for number in range(3):
        timers.after(0.0, fired.put, number)
        assert fired.get(timeout=PATIENCE) == number


def test_events_are_handled_in_the_order_in_which_they_came() -> None:
    handled: queue.Queue[int] = queue.Queue()
    inbox = Inbox(Threads())
    for number in range(500):
        inbox.put(lambda number=number: handled.put(number))  # type: ignore[misc]
    assert [handled.get(timeout=PATIENCE) for _ in range(500)] == list(range(500))


def test_a_client_that_is_too_far_ahead_waits() -> None:
    release = threading.Event()
    inbox = Inbox(Threads())
    for _ in range(MAX_PENDING):
        inbox.put(release.wait)
    ahead = threading.Thread(target=inbox.put, args=(release.wait,))
    ahead.start()
    ahead.join(0.1)
    assert ahead.is_alive()
    release.set()
    ahead.join(PATIENCE)
    assert not ahead.is_alive()


def test_an_event_whose_handler_fails_does_not_stop_the_others() -> None:
    handled: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        raise RuntimeError("a handler failed")

    inbox = Inbox(Threads())
    inbox.put(fail)
    inbox.put(lambda: handled.put("next"))
    assert handled.get(timeout=PATIENCE) == "next"
