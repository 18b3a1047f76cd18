"""Where the workers of one gunicorn keep what they count, made and removed by the master.

The master itself counts nothing and imports nothing for it. The directory is locked for as long as the
master or a worker lives: what a killed master leaves behind is found by the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  a directory of its own is made in it
"""Where files are memory and never written to a disk."""

PREFIX = "socketio-metrics-"


def share_metrics(arbiter: Any, worker: Any) -> None:
    """Tell a worker that is about to be forked where to count; for gunicorn's hook ``pre_fork``.

    :param arbiter: gunicorn's master, which keeps the directory.
    :param worker: the worker, which is told its ``metrics_directory``.
    """
    directory: MetricsDirectory | None = getattr(arbiter, "metrics_directory", None)
    # systemd-logind empties shared memory of a user who has logged out (RemoveIPC, logind.conf(5)).
    if directory is None or not directory.path.is_dir():
        directory = arbiter.metrics_directory = MetricsDirectory(arbiter.cfg.uid, arbiter.cfg.gid)
    worker.metrics_directory = str(directory.path)


def forget_gauges(arbiter: Any, worker: Any) -> None:
    """Remove what was true of a worker that is gone; for gunicorn's hook ``child_exit``.

    What it counted stays: its successor goes on from there.
    """
    for path in arbiter.metrics_directory.path.glob(f"gauge_live*_slot-{worker.slot}.db"):
        path.unlink(missing_ok=True)


def remove_metrics(arbiter: Any) -> None:
    """Remove the directory; for gunicorn's hook ``on_exit``, which comes after the last worker."""
    if hasattr(arbiter, "metrics_directory"):
        arbiter.metrics_directory.remove()


class MetricsDirectory:
    """The directory, with its lock.

    :param uid: the user that the workers run as.
    :param gid: their group.
    """

    def __init__(self, uid: int, gid: int) -> None:
        parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
        made = Path(tempfile.mkdtemp(dir=parent))
        # The workers inherit the descriptor, and with it the lock (flock(2)).
        self._descriptor = os.open(made, os.O_RDONLY)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if (uid, gid) != (os.geteuid(), os.getegid()):
            # Not where nothing changes: a hardened unit refuses the call itself.
            os.chown(made, uid, gid)
        # Only now by the name that others sweep.
        self.path = made.rename(made.with_name(f"{PREFIX}{os.getpid()}-{made.name}"))
        sweep(made.parent)

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def sweep(parent: Path) -> None:
    """Remove the directories of masters that were killed.

    :param parent: where they are.
    """
    for path in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # another user's, or gone
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
