"""One start at a time: what creates tables or files at its start was written for one process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK = 0.05
"""Seconds between two looks whether the others have started."""


@contextmanager
def one_start_at_a_time(project: Path, patience: float) -> Iterator[None]:
    """Wait until no other worker of this host is starting the app.

    :param project: the project's directory, which the workers have in common.
    :param patience: seconds after which to start all the same.
    """
    directory = os.open(project, os.O_RDONLY)
    try:
        deadline = time.monotonic() + patience
        while not _lock(directory) and time.monotonic() < deadline:
            time.sleep(LOOK)
        yield
    finally:
        os.close(directory)


def _lock(directory: int) -> bool:
    """Take the lock, and tell whether there is nothing to wait for."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks.
        return True
    return True
