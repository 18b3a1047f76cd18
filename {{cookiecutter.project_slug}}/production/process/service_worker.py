"""What the three gunicorn workers have in common: how a worker starts the app and how it leaves."""

from __future__ import annotations

import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter

from production.refusal import ConfigurationError

if TYPE_CHECKING:
    from types import FrameType

# Descriptors that a worker needs beside those of its connections: listeners, logs, queue, pipes.
OTHER_DESCRIPTORS = 256


class ServiceWorker:
    """A mixin, to stand before gunicorn's own worker class."""

    # gunicorn's
    app: Any
    alive: bool
    cfg: Any
    log: Any
    worker_connections: int

    # Whether the worker has begun to leave.
    leaving = False

    def init_process(self) -> None:
        """Make room for the connections that the settings allow, then start."""
        raise_descriptor_limit(self.worker_connections + OTHER_DESCRIPTORS)
        super().init_process()  # type: ignore[misc]

    def load_wsgi(self) -> None:
        """Import the app; if it refuses to start, stop the master too, with one sentence."""
        try:
            super().load_wsgi()  # type: ignore[misc]
        except ConfigurationError as refusal:
            self.log.critical("%s", refusal)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def notify(self) -> None:
        """Tell the master that this worker lives, and begin to leave if gunicorn stopped it."""
        super().notify()  # type: ignore[misc]
        if not self.alive:
            self._begin_to_leave()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave on ``SIGTERM``: close the sessions first, then do as gunicorn does."""
        self._begin_to_leave()

    def _begin_to_leave(self) -> None:
        if not self.leaving:
            self.leaving = True
            self.start_leaving()

    def start_leaving(self) -> None:
        """Run :meth:`leave` outside the signal handler, where blocking calls are allowed."""
        raise NotImplementedError

    def leave(self) -> None:
        """Stop accepting connections, then close the sessions within the time that is set."""
        # Imported here, since the master imports this module and must stay free of Socket.IO.
        from production.process.drain import drain

        super().handle_exit(signal.SIGTERM, None)  # type: ignore[misc]
        drain(self.app.callable, self.log)


def raise_descriptor_limit(needed: int) -> None:
    """Raise the soft limit of open files to what is needed, as far as the hard limit lets.

    :param needed: a number of descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
