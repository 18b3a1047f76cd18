"""The eventlet worker, which gunicorn itself dropped in 26.0.

Written against :class:`gunicorn.workers.base_async.AsyncWorker`, whose subclass says how a
connection is accepted and what a time-out is; parsing, keep-alive and errors are gunicorn's.
"""

from __future__ import annotations

import os
import time
from types import FrameType
from typing import Any

from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.base_async import AsyncWorker

from production.bootstrap import patch
from production.modes import AsyncMode
from production.observe.logs import name_no_threads
from production.process.service_worker import ServiceWorker
from production.turns import Turn

TICK = 0.2
"""Seconds between two looks at what the master and the signals want."""


class EventletWorker(ServiceWorker, AsyncWorker):  # type: ignore[misc]
    """Serves each connection in a green thread of eventlet."""

    mode = AsyncMode.EVENTLET

    def prepare(self) -> None:
        """Patch the standard library, after the fork and before the app is imported."""
        patch(AsyncMode.EVENTLET)
        name_no_threads()
        # Python's sendfile stops at a full socket buffer, since eventlet's sockets do not block.
        self.cfg.set("sendfile", False)

    def run(self) -> None:
        """Accept connections until the worker is told to leave, then let the requests finish."""
        import eventlet
        from eventlet.greenio import GreenSocket
        from eventlet.greenpool import GreenPool

        # A pool for each listener: one that is full does not silence the others.
        pools = [GreenPool(self.worker_connections) for _ in self.sockets]
        arrivals = GreenPool(self.worker_connections)
        if self.router:
            eventlet.spawn(self._take_arrivals, arrivals)
        acceptors = [
            eventlet.spawn(self._accept, GreenSocket(listener.sock), pool)
            for listener, pool in zip(self.sockets, pools, strict=True)
        ]
        while self.alive and self._has_parent():
            self.notify()
            eventlet.sleep(TICK)

        for acceptor in acceptors:
            acceptor.kill()
        # Otherwise the kernel would go on accepting connections that nobody serves.
        for listener in self.sockets:
            listener.close()
        self._await_requests([*pools, arrivals])
        self.await_drain()

    def handle(self, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection."""
        self.note_peer(address)
        if self.cfg.is_ssl:
            try:
                client = ssl_wrap_socket(client, self.cfg)
            except OSError as error:
                self.log.debug("TLS handshake failed: %s", error)
                client.close()
                return
        self.connections += 1
        try:
            super().handle(listener, client, address)
        finally:
            self.connections -= 1

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Leave at once, outside the signal handler, where eventlet must not switch."""
        import eventlet

        eventlet.spawn_n(super().handle_quit, sig, frame)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """Reopen the log files, outside the signal handler."""
        import eventlet

        eventlet.spawn_n(super().handle_usr1, sig, frame)

    def start_leaving(self) -> None:
        """Drain in a green thread."""
        import eventlet

        eventlet.spawn_n(self.leave)

    def _accept(self, listener: Any, pool: Any) -> None:
        import eventlet

        turn = Turn(self.mode)
        while True:
            turn.check()
            try:
                client, address = listener.accept()
            except OSError as error:
                # Out of descriptors, or a client that left before it was accepted.
                self.log.warning("A connection could not be accepted: %s", error)
                eventlet.sleep(TICK)
                continue
            pool.spawn_n(self.handle, listener, client, address)

    def _take_arrivals(self, pool: Any) -> None:
        """Serve the connections that other workers hand over."""
        from eventlet.greenio import GreenSocket
        from eventlet.hubs import notify_opened, trampoline
        from eventlet.patcher import original

        assert self.router  # noqa: S101
        plain_socket = original("socket").socket
        while True:
            trampoline(self.router.fileno(), read=True)
            for arrival in self.router.arrivals():
                notify_opened(arrival.descriptor)
                client = GreenSocket(plain_socket(fileno=arrival.descriptor))
                pool.spawn_n(self.handle, arrival.listener, client, arrival.address)

    def _has_parent(self) -> bool:
        if self.ppid == os.getppid():
            return True
        self.log.info("Parent changed, shutting down: %s", self)
        return False

    def _await_requests(self, pools: list[Any]) -> None:
        import eventlet

        deadline = time.monotonic() + self.cfg.graceful_timeout
        while any(pool.running() for pool in pools) and time.monotonic() < deadline:
            self.notify()
            eventlet.sleep(TICK)
