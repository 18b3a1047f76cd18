"""Who starts a thread: the app, or a library that every process needs."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
from types import FrameType

import pytest

from production.adopt.call_sites import is_library, is_made_by_the_app


@pytest.fixture
def starters(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each thread that is started, whether the app is taken to have done so."""
    found: list[bool] = []
    start = threading.Thread.start

    def watched(self: threading.Thread) -> None:
        caller: FrameType = sys._getframe(1)
        found.append(is_made_by_the_app(caller))
        start(self)

    monkeypatch.setattr(threading.Thread, "start", watched)
    return found


def test_a_thread_of_the_app(starters: list[bool]) -> None:
    threading.Thread(target=int).start()
    threading.Timer(0, int).start()
    assert starters == [True, True]


def test_a_thread_that_a_library_needs(starters: list[bool]) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(int).result()
    assert starters == [False]


def test_files_of_libraries() -> None:
    assert is_library(pytest.__file__)
    assert is_library(threading.__file__)
    assert is_library("<frozen runpy>")
    assert not is_library(__file__)
