"""gunicorn's threaded worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import threading

from gunicorn.workers import gthread

from production.process.service_worker import ServiceWorker


class ThreadWorker(ServiceWorker, gthread.ThreadWorker):  # type: ignore[misc]
    """Serves each connection in an operating-system thread."""

    def start_leaving(self) -> None:
        """Drain in a thread of its own."""
        threading.Thread(target=self.leave, name="drain", daemon=True).start()
