"""Who is there, while many come and go at once in threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import socketio

from production.realtime.manager import LocalManager

THREADS = 8
VISITS = 2000


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_switches")
def test_nobody_fails_because_another_one_comes_or_goes() -> None:
    manager: Any = LocalManager()
    socketio.Server(client_manager=manager, async_mode="threading")
    together = threading.Barrier(THREADS)

    def visit(thread: int) -> None:
        together.wait()
        for number in range(VISITS):
            eio_sid = f"{thread}-{number}"
            sid = manager.pre_connect(eio_sid, "/")
            assert not manager.is_connected(sid, "/")
            assert manager.connect(sid, "/") == sid
            assert manager.is_connected(sid, "/")
            assert manager.pre_disconnect(sid, "/") == eio_sid
            assert not manager.is_connected(sid, "/")
            manager.basic_disconnect(sid, "/")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(visit, range(THREADS)))
    assert manager.rooms == {}
    assert manager.pending_connect == {}
    assert manager.pending_disconnect == {}
