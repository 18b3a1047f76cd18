"""gunicorn's gevent worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import Any

import gevent
from gevent import socket as green_socket
from gevent.pool import Pool
from gunicorn.workers import ggevent

from production.bootstrap import await_processes_greenly
from production.modes import AsyncMode
from production.observe.logs import name_no_threads
from production.process.service_worker import ServiceWorker

TICK = 0.2
"""Seconds between two looks whether a connection is still served."""

# gevent removes it from the module when it patches.
_epoll: Any = getattr(select, "epoll", None)


class GeventWorker(ServiceWorker, ggevent.GeventWorker):  # type: ignore[misc]
    """Serves each connection in a greenlet of gevent; gunicorn patches after the fork."""

    mode = AsyncMode.GEVENT

    def prepare(self) -> None:
        """Spare the log what the names of greenlets cost."""
        name_no_threads()

    def patch(self) -> None:
        """Patch the standard library, and what gevent leaves out."""
        super().patch()
        await_processes_greenly()

    def run(self) -> None:
        """Serve what is accepted and what other workers hand over, until told to leave."""
        arrivals = Pool(self.worker_connections)
        if self.router:
            gevent.spawn(self._take_arrivals, arrivals)
        super().run()
        # gunicorn has awaited its own connections, within the same time.
        deadline = self.left_at + self.cfg.graceful_timeout
        while len(arrivals) and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(TICK)

    def handle(self, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection."""
        self.note_peer(address)
        self.connections += 1
        try:
            super().handle(listener, client, address)
        finally:
            self.connections -= 1

    def start_leaving(self) -> None:
        """Drain in a greenlet."""
        gevent.spawn(self.leave)

    def forget(self, descriptor: int) -> None:
        """Take a descriptor out of the loop's set.

        libev leaves that to the kernel, which does it when the last copy is closed. With a copy in
        another process, libev would be woken for it and build its set anew each time.
        """
        loop: Any = gevent.get_hub().loop
        if loop.backend == "epoll":
            with contextlib.suppress(OSError), _epoll.fromfd(os.dup(loop.fileno())) as registered:
                registered.unregister(descriptor)

    def _take_arrivals(self, pool: Pool) -> None:
        """Serve the connections that other workers hand over."""
        assert self.router  # noqa: S101
        while True:
            green_socket.wait_read(self.router.fileno())
            for arrival in self.router.arrivals():
                client = green_socket.socket(fileno=arrival.descriptor)
                pool.spawn(self.handle, arrival.listener, client, arrival.address)
