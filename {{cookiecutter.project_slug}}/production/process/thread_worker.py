"""gunicorn's threaded worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import logging
import os
import threading
from types import FrameType

from gunicorn.workers import gthread

from production.process.service_worker import ServiceWorker


class ThreadWorker(ServiceWorker, gthread.ThreadWorker):  # type: ignore[misc]
    """Serves each connection in an operating-system thread."""

    def start_leaving(self) -> None:
        """Drain in a thread of its own."""
        threading.Thread(target=self.leave, name="drain", daemon=True).start()

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
