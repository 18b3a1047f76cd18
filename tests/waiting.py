"""Waiting for a condition instead of for an amount of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds after which what a test waits for counts as what never comes, everywhere.

It only has to tell "never" from "late" on a machine that is busy with other things: what comes at
once costs no time at all.
"""

WHOLE_PROGRAM = 900.0
"""Seconds after which a program of many steps counts as hanging: an installation, a visit of a browser."""

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


def eventually(condition: Callable[[], T], what: str | Callable[[], str] = "") -> T:
    """Call a condition until it returns something true, and return that.

    :param condition: what is to come true.
    :param what: what was waited for; given as a function, it is called when the wait has failed, so
        that the message can show the state at that moment.
    """
    deadline = time.monotonic() + PATIENCE
    pause = _FIRST_PAUSE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            described = what() if callable(what) else what
            raise AssertionError(f"not within {PATIENCE:g} s: {described or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
