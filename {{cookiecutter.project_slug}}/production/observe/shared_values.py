"""Where prometheus_client keeps its values, so that the workers of one gunicorn count together.

Each worker writes to memory-mapped files of its own, in a directory that the master makes and removes
(see ``production/process/metrics_directory.py``). They are named after the worker's slot: whoever
takes the slot next goes on counting where its predecessor stopped, so that no counter ever goes
backwards and no file is left over for each worker that there ever was.

This is the seam to :mod:`prometheus_client.values`. What an app itself defines with prometheus_client
is kept there too, and shown with the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from prometheus_client import Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable from which prometheus_client takes the directory."""

WORKER = "worker"
"""The label by which gauges say whose they are: the slot."""

SLOT = "slot-"
"""What the names of a worker's files have in front of its slot. A program that the app starts finds the
directory, too, and names its files after its process id."""


def share(directory: str, slot: int) -> None:
    """Keep the values of this process where the other workers can read them.

    It has to be called before the first metric is defined, and after the process is patched:
    prometheus_client imports sockets and locks.

    :param directory: what the master has made.
    :param slot: the slot of this worker, which no other living worker has.
    """
    writer = f"{SLOT}{slot}"

    def become_another() -> None:
        nonlocal writer
        writer = f"{SLOT}{slot}.{os.getpid()}"

    # Processes that the app forks must not write to the files of this one.
    os.register_at_fork(after_in_child=become_another)
    os.environ[DIRECTORY] = directory
    values.ValueClass = values.MultiProcessValue(lambda: writer)  # type: ignore[no-untyped-call]


class SharedValues(MultiProcessCollector):
    """The values of all workers, those of gauges with the worker's slot.

    :param directory: what the master has made.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(None, directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Yield each metric, summed over the workers unless it is a gauge."""
        for metric in super().collect():  # type: ignore[no-untyped-call]
            for sample in metric.samples:
                # Upstream's name for whatever tells the files apart.
                if "pid" in sample.labels:
                    sample.labels[WORKER] = sample.labels.pop("pid").removeprefix(SLOT)
            yield metric
