"""gunicorn's threaded worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from concurrent.futures import Future
from types import FrameType
from typing import Any

from gunicorn.workers import gthread

from production.modes import AsyncMode
from production.process.service_worker import ServiceWorker
from production.process.waiting_room import SEATS_OF_THREADS

FIRST_BYTE_TIME = 0.05
"""Seconds for which a thread waits whether a new connection says something."""

IDLE_AT_ONCE = 64
"""Idle connections that are closed when there are too many."""


class ThreadWorker(ServiceWorker, gthread.ThreadWorker):  # type: ignore[misc]
    """Serves each connection in an operating-system thread."""

    mode = AsyncMode.THREADING

    def start_leaving(self) -> None:
        """Drain in a thread of its own."""
        threading.Thread(target=self.leave, name="drain", daemon=True).start()

    def seats(self) -> int:
        """Return how many threads may wait for a peer to say more."""
        return SEATS_OF_THREADS

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take connections, or none while there is no room.

        Close the listeners on the way out, so that nobody waits for an answer in their queue. What
        other workers hand over, for sessions that are still here, is taken until the end.
        """
        if not enabled and self.alive and self._close_idle():
            return
        was_enabled = self._accepting
        super().set_accept_enabled(enabled)
        if self.router and self.alive and enabled != was_enabled:
            if enabled:
                self.poller.register(
                    self.router.fileno(), selectors.EVENT_READ, self._take_arrivals
                )
            else:
                self.poller.unregister(self.router.fileno())
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def handle(self, conn: gthread.TConn) -> Any:
        """Serve a request, and close the connection here if it was the last.

        Upstream closes it in the thread that accepts all others, and waits there for up to two
        seconds until the client has closed it as well.
        """
        if not conn.initialized and not conn.wait_for_data(FIRST_BYTE_TIME):
            # gunicorn would keep the thread for five seconds. This waits without one.
            return gthread._DEFER
        self.note_peer(conn.client)
        goes_on = super().handle(conn)
        if not goes_on and conn.sock.fileno() >= 0:
            conn.close(graceful=True)
        return goes_on

    def finish_request(self, conn: gthread.TConn, fs: Future[Any]) -> None:
        """Put a connection back to wait for its next request, unless it is closed.

        That is, in this process: one that was handed over lives on in another.
        """
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)
            if self.pending_conns and self.pending_conns[-1] is conn:
                # gunicorn gives a new connection no time at all where none is kept alive.
                conn.timeout = time.monotonic() + self.conditions.head_time

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections that have been idle for long; all of them if nothing else keeps this process."""
        super().murder_keepalived(force=force or self._is_kept_by_idle())

    def murder_pending(self) -> None:
        """Close connections that have said nothing; all of them if nothing else keeps this process."""
        if self._is_kept_by_idle():
            for conn in self.pending_conns:
                conn.timeout = 0.0
        super().murder_pending()

    def let_go_of_idle(self) -> None:
        """Leave it to the thread that knows them, which looks every second."""

    def _is_kept_by_idle(self) -> bool:
        idle = len(self.keepalived_conns) + len(self.pending_conns)
        return self.leaving and self.drained.is_set() and self.nr_conns <= idle

    def _close_idle(self) -> bool:
        """Close some of those that say nothing, the silent for longest first, for others to come in.

        :return: whether there are any.
        """
        idle = list(self.pending_conns or self.keepalived_conns)[:IDLE_AT_ONCE]
        for conn in idle:
            conn.timeout = 0.0
        self.murder_pending()
        self.murder_keepalived()
        return bool(idle)

    def _take_arrivals(self, descriptor: int) -> None:
        """Serve the connections that other workers hand over."""
        assert self.router  # noqa: S101
        for arrival in self.router.arrivals():
            connection = socket.socket(fileno=arrival.descriptor)
            conn = gthread.TConn(
                self.cfg, connection, arrival.address, arrival.listener.getsockname()
            )
            # What it is to be served with has come with it.
            conn.data_ready = True
            self.nr_conns += 1
            self.enqueue_req(conn)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Leave at once: Python itself would wait for the pool's threads, and they for clients.

        Nor is the pool shut down: this may have interrupted the thread that holds its lock.
        """
        self.alive = False
        self.cfg.worker_int(self)
        try:
            logging.shutdown()
        finally:
            os._exit(0)
