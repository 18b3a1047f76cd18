"""gunicorn's threaded worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import Future
from types import FrameType
from typing import Any

from gunicorn.workers import gthread

from production.process.service_worker import ServiceWorker


class ThreadWorker(ServiceWorker, gthread.ThreadWorker):  # type: ignore[misc]
    """Serves each connection in an operating-system thread."""

    def start_leaving(self) -> None:
        """Drain in a thread of its own."""
        threading.Thread(target=self.leave, name="drain", daemon=True).start()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Close a connection in the pool: gunicorn waits for its client to hang up, two seconds at
        most, and would do so in the one thread that accepts connections.
        """
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self.nr_conns -= 1
            self.tpool.submit(conn.close, graceful=True)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Close the listeners on the way out, so that nobody waits for an answer in their queue."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Leave at once: Python itself would wait for the pool's threads, and they for clients."""
        try:
            super().handle_quit(sig, frame)
        except SystemExit:
            logging.shutdown()
            os._exit(0)
