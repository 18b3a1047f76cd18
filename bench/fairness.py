"""``python -m bench.fairness``: what a client notices of others that send without pause.

A bystander sends heartbeats over a WebSocket while pumps, each in a process of its own, send what
``tests/pumps.py`` lists; once directly to a worker and once through the stack's nginx.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baking import BakedProject, generate
from pumps import PUMPS, Pump
from rawclient import open_websocket
from served import serve
from stacks import Stack

MODES = ("eventlet", "gevent", "threading")
PAUSE = 0.005
"""Seconds between an answer and the bystander's next heartbeat."""

PATIENCE = 120.0

_processes: Any = multiprocessing.get_context("spawn")


def pump(url: str, name: str, stop: Any, begun: Any) -> None:
    """Pump until told to stop."""
    with Pump(url, PUMPS[name]) as fed:
        while not fed.opened:
            time.sleep(0.01)
        begun.release()
        stop.wait()


def trips(url: str, seconds: float) -> list[float]:
    """Return how long each heartbeat of a bystander took, in seconds."""
    taken: list[float] = []
    with open_websocket(url) as ws:
        ws.connect_namespace()
        ws.call("heartbeat", {"sent_at": 0})
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            ws.call("heartbeat", {"sent_at": 0}, timeout=PATIENCE)
            taken.append(time.monotonic() - began)
            time.sleep(PAUSE)
    return taken


def measure(url: str, name: str, count: int, seconds: float) -> list[float]:
    """Return the bystander's trips while so many pumps send.

    :param url: the service.
    :param name: which pump; none for a control.
    :param count: how many.
    :param seconds: how long.
    """
    stop, begun = _processes.Event(), _processes.Semaphore(0)
    pumps = [
        _processes.Process(target=pump, args=(url, name, stop, begun), daemon=True)
        for _ in range(count if name else 0)
    ]
    for process in pumps:
        process.start()
    for _ in pumps:
        begun.acquire(timeout=PATIENCE)
    try:
        return trips(url, seconds)
    finally:
        stop.set()
        for process in pumps:
            process.join()


@contextlib.contextmanager
def serving(project: BakedProject, directory: Path, mode: str, through: str) -> Iterator[str]:
    """Serve a project and return its URL.

    :param through: ``direct`` or ``nginx``.
    """
    log_path = directory / f"{mode}-{through}.log"
    # A client that comes back after each end would be refused before long.
    environment = {"ASYNC_MODE": mode, "WEB_CONCURRENCY": "1", "LOG_LEVEL": "WARNING"}
    if through == "direct":
        with serve(project, log_path, **environment) as served:
            yield served.url
        return
    stack = Stack(project.path, log_path, **environment)
    try:
        yield stack.url()
    finally:
        stack.leave(signal.SIGTERM)
    if "WORKER TIMEOUT" in log_path.read_text():
        print(f"WORKER TIMEOUT in {log_path}", file=sys.stderr)


def row(name: str, mode: str, through: str, count: int, taken: list[float]) -> str:
    """Return one line of the table; times in milliseconds."""
    figures = (statistics.median(taken), statistics.quantiles(taken, n=100)[-1], max(taken))
    shown = " | ".join(f"{1000 * figure:.1f}" for figure in figures)
    return f"| {name or 'nobody'} | {count if name else 0} | {mode} | {through} | {len(taken)} | {shown} |"


def main() -> None:
    """Read the command line, measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of pumps")
    parser.add_argument("--mode", choices=MODES, help="one mode instead of all")
    parser.add_argument("--through", choices=["direct", "nginx"], help="one way instead of both")
    parser.add_argument("--pumps", type=int, default=1, help="how many at once (1)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each (10)")
    arguments = parser.parse_args()
    names = ["", *(name for name in PUMPS if arguments.only in name)]
    print(f"load beforehand: {os.getloadavg()[0]:.1f}")
    print("| pump | pumps | mode | through | heartbeats | median ms | p99 ms | worst ms |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        project = generate(Path(directory) / "output", {})
        for mode in [arguments.mode] if arguments.mode else MODES:
            for through in [arguments.through] if arguments.through else ["direct", "nginx"]:
                with serving(project, Path(directory), mode, through) as url:
                    for name in names:
                        taken = measure(url, name, arguments.pumps, arguments.seconds)
                        print(row(name, mode, through, arguments.pumps, taken), flush=True)


if __name__ == "__main__":
    main()
