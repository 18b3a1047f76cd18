"""Timers and inboxes, with the tasks of the threading mode."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from production.realtime.inbox import MAX_PENDING, ThreadedInbox
from production.realtime.timers import Timers
from waiting import PATIENCE, WHOLE_PROGRAM


class Threads:
    """What timers and inboxes need of a server."""

    started = 0

    def __init__(self) -> None:
        self.timers = Timers(self)

    def start_background_task(
        self, target: Callable[..., Any], *arguments: Any
    ) -> threading.Thread:
        self.started += 1
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def create_event(self) -> threading.Event:
        return threading.Event()

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


def test_what_is_due_sooner_is_not_kept_waiting() -> None:
    fired: queue.Queue[str] = queue.Queue()
    timers = Timers(Threads())
    timers.after(WHOLE_PROGRAM, fired.put, "late")
    timers.after(0.1, fired.put, "sooner")
    assert fired.get(timeout=PATIENCE) == "sooner"


def test_timers_start_again_after_a_pause() -> None:
    fired: queue.Queue[int] = queue.Queue()
    timers = Timers(Threads())
    for number in range(3):
        timers.after(0.0, fired.put, number)
        assert fired.get(timeout=PATIENCE) == number


def test_events_are_handled_in_the_order_in_which_they_came() -> None:
    handled: queue.Queue[int] = queue.Queue()
    inbox = ThreadedInbox(Threads())
    for number in range(500):
        inbox.put(lambda number=number: handled.put(number))  # type: ignore[misc]
    assert [handled.get(timeout=PATIENCE) for _ in range(500)] == list(range(500))


def test_a_client_that_is_too_far_ahead_waits() -> None:
    release = threading.Event()
    inbox = ThreadedInbox(Threads())
    for _ in range(MAX_PENDING):
        inbox.put(release.wait)
    ahead = threading.Thread(target=inbox.put, args=(release.wait,))
    ahead.start()
    ahead.join(0.1)
    assert ahead.is_alive()
    release.set()
    ahead.join(PATIENCE)
    assert not ahead.is_alive()


def test_a_handler_may_wait_for_what_its_client_sends_next() -> None:
    stopped, ended = threading.Event(), threading.Event()
    handled: queue.Queue[int] = queue.Queue()
    inbox = ThreadedInbox(Threads())

    def loop() -> None:
        assert stopped.wait(PATIENCE)
        ended.set()

    # Twice, so that what loops is overtaken by what loops as well.
    for _ in range(2):
        inbox.put(loop)
    inbox.put(stopped.set)
    assert ended.wait(PATIENCE)
    for number in range(200):
        inbox.put(partial(handled.put, number))
    assert [handled.get(timeout=PATIENCE) for _ in range(200)] == list(range(200))


def test_an_event_whose_handler_fails_does_not_stop_the_others() -> None:
    handled: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        raise RuntimeError("a handler failed")

    inbox = ThreadedInbox(Threads())
    inbox.put(fail)
    inbox.put(lambda: handled.put("next"))
    assert handled.get(timeout=PATIENCE) == "next"
