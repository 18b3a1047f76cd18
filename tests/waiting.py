"""Waiting for a condition instead of for an amount of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


def eventually(condition: Callable[[], T], within: float, what: str | Callable[[], str] = "") -> T:
    """Call ``condition`` until it returns something true, and return that.

    ``within`` is the number of seconds after which the test has failed. It only has to tell "never"
    from "late", so it is chosen generously; a condition that holds at once costs no time at all.
    ``what`` says what was waited for; given as a function, it is called when the wait has failed,
    so that the message can show the state at that moment.
    """
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            described = what() if callable(what) else what
            raise AssertionError(f"not within {within:g} s: {described or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
