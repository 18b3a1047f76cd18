"""The process in which metrics are served: a child of the master, who imports nothing for it.

It is looked after whenever a worker is about to be started, so that a reload replaces it if the address
has changed and starts it again if it was killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

STARTED_AT = time.time()
"""When the master imported this, in seconds since the epoch: a reload of the configuration does not."""


class MetricsListener:
    """The process, with the end of the pipe that keeps it alive.

    :param bind: where it listens, ``host:port``.
    :param directory: where the workers count.
    :param workers: how many there should be.
    :param settings: with ``log_level`` and ``log_format``.
    """

    def __init__(self, bind: str, directory: str, workers: int, settings: Any) -> None:
        self._serves = (bind, directory)
        host, _, port = bind.rpartition(":")
        command = [sys.executable, "-m", "production.observe.exposition"]
        command += ["--host", host.strip("[]"), "--port", port, "--directory", directory]
        command += ["--started-at", str(STARTED_AT), "--workers", str(workers)]
        command += ["--log-level", settings.log_level, "--log-format", settings.log_format]
        # In a session of its own, out of the reach of Ctrl-C.
        self._process = subprocess.Popen(  # noqa: S603  what runs is chosen here
            command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True
        )

    def serves(self, bind: str, directory: str) -> bool:
        """Tell whether it runs, and for this."""
        return self._process.poll() is None and self._serves == (bind, directory)

    def expect(self, workers: int) -> None:
        """Tell it how many workers there should be from now on."""
        assert self._process.stdin  # noqa: S101
        # If it was killed, its successor is told at its start.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"%d\n" % workers)

    def stop(self) -> None:
        """End it now; otherwise it would last as long as the workers that know of it."""
        self._process.kill()
        self._process.wait()


def keep_listening(arbiter: Any, settings: Any) -> None:
    """Have metrics served, or not, as the settings say; for gunicorn's hook ``pre_fork``.

    :param arbiter: gunicorn's master, which keeps the listener and the metrics' directory.
    :param settings: with ``metrics_bind``, ``log_level`` and ``log_format``.
    """
    bind, directory = settings.metrics_bind, str(arbiter.metrics_directory.path)
    listener: MetricsListener | None = getattr(arbiter, "metrics_listener", None)
    if listener is not None and listener.serves(bind, directory):
        return
    stop_listening(arbiter)
    if bind:
        arbiter.metrics_listener = MetricsListener(bind, directory, arbiter.num_workers, settings)


def expect_workers(arbiter: Any) -> None:
    """Have it shown how many workers there should be; for gunicorn's hook ``nworkers_changed``.

    :param arbiter: gunicorn's master, which has no listener yet when it is made.
    """
    listener: MetricsListener | None = getattr(arbiter, "metrics_listener", None)
    if listener is not None:
        listener.expect(arbiter.num_workers)


def stop_listening(arbiter: Any) -> None:
    """Free the address; for gunicorn's hook ``on_exit``, which comes after the last worker."""
    listener: MetricsListener | None = getattr(arbiter, "metrics_listener", None)
    if listener is not None:
        listener.stop()
        arbiter.metrics_listener = None
