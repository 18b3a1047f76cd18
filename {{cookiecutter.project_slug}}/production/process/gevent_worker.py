"""gunicorn's gevent worker, starting and leaving as every worker of the service does."""

from __future__ import annotations

import gevent
from gunicorn.workers import ggevent

from production.process.service_worker import ServiceWorker


class GeventWorker(ServiceWorker, ggevent.GeventWorker):  # type: ignore[misc]
    """Serves each connection in a greenlet of gevent; gunicorn patches after the fork."""

    def start_leaving(self) -> None:
        """Drain in a greenlet."""
        gevent.spawn(self.leave)
