"""Starts what is measured, on a processor core of its own, and reads what it uses."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from baking import clean_environment
from ports import free_port
from rawclient import ConnectionEndedError, open_websocket
from waiting import PATIENCE, eventually


@dataclass(frozen=True)
class Contender:
    """A server to measure.

    :param name: what the tables call it.
    :param command: what starts it.
    :param directory: where it is started.
    :param environment: what it needs to know.
    :param queued: whether it emits through a message queue, whose processor time counts too.

    In the command and in the environment ``{port}`` stands for the port to listen on.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: dict[str, str]
    queued: bool = False


class Server:
    """A contender that runs.

    :param process: the first of its processes.
    :param url: where it listens.
    :param beside: processes that work for it without being its children: its message queue.
    """

    def __init__(self, process: psutil.Popen, url: str, beside: tuple[psutil.Process, ...]) -> None:
        self.process = process
        self.url = url
        self._beside = beside

    def cpu_seconds(self) -> float:
        """Return the processor time that all its processes have used so far, in seconds."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(time.user + time.system for time in times)

    def memory_bytes(self) -> int:
        """Return the memory that its own processes share with nobody."""
        return sum(process.memory_full_info().uss for process in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def _processes(self) -> list[psutil.Process]:
        return [*self._family(), *self._beside]


@contextlib.contextmanager
def running(
    contender: Contender, log_path: Path, core: int, beside: tuple[psutil.Process, ...] = ()
) -> Iterator[Server]:
    """Run a contender until the block ends.

    :param contender: which one.
    :param log_path: where its output goes.
    :param core: the processor core on which all its processes stay.
    :param beside: processes that work for it without being its children.
    """
    port = free_port()
    command = [part.format(port=port) for part in contender.command]
    environment = {name: value.format(port=port) for name, value in contender.environment.items()}
    with log_path.open("wb") as log:
        process = psutil.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            cwd=contender.directory,
            env={**clean_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(
            lambda: process.poll() is not None or _serves(url),
            lambda: f"{contender.name} serves; it wrote:\n{log_path.read_text()}",
        )
        if process.poll() is not None:
            raise RuntimeError(f"{contender.name} did not start:\n{log_path.read_text()}")
        yield Server(process, url, beside)
    finally:
        _stop(process)


def cores() -> tuple[int, int]:
    """Return two processor cores: one for the servers, one for the clients.

    :raises RuntimeError: if there is only one.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise RuntimeError(
            "Two processor cores are needed: one for the server, one for its clients."
        )
    return allowed[-1], allowed[0]


def _serves(url: str) -> bool:
    with contextlib.suppress(OSError, ConnectionEndedError), open_websocket(url) as client:
        client.connect_namespace()
        return True
    return False


def _stop(process: psutil.Popen) -> None:
    family = process.children(recursive=True) if process.is_running() else []
    process.terminate()
    _, left = psutil.wait_procs([process, *family], PATIENCE)
    for one in left:
        one.kill()
