"""What tests look at from outside: a running service's log, its health and its process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import psutil

from rawclient import http
from waiting import eventually

MODES = ("eventlet", "gevent", "threading")

# The one record that tells of the end of a session.
ENDED = "client disconnected"

QUIET_LEVELS = ("debug", "info")


class Service(Protocol):
    """A generated service that runs."""

    @property
    def url(self) -> str:
        """Where it is served."""

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""

    def log_text(self) -> str:
        """Everything that the process wrote so far."""

    def records(self) -> list[dict[str, Any]]:
        """Its log, one dictionary per JSON line."""


# service(mode, **environment)
StartService = Callable[..., Service]


class LogMark:
    """The part of a service's log that is written from now on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._start = len(service.records())

    def records(self) -> list[dict[str, Any]]:
        """All records since."""
        return self._service.records()[self._start :]

    def loud(self) -> list[dict[str, Any]]:
        """Records since that are above INFO: what would wake somebody."""
        return [record for record in self.records() if record["level"] not in QUIET_LEVELS]

    def ended(self, *sessions: str | None) -> list[dict[str, Any]]:
        """Records since that tell of the end of a session: of any, or of these."""
        return [
            record
            for record in self.records()
            if record["event"] == ENDED and (not sessions or record["session"] in sessions)
        ]

    def wait_for_end(self, *sessions: str | None) -> dict[str, Any]:
        """The first record that tells of the end of one of these sessions (of any, if none)."""
        eventually(
            lambda: self.ended(*sessions),
            what=lambda: f"a record of the end of {sessions} among {self.records()}",
        )
        return self.ended(*sessions)[0]


def not_json(service: Service) -> list[str]:
    """Lines of the log that are not a JSON object each: a traceback, a print, a library's noise."""
    return [line for line in service.log_text().splitlines() if line and not _is_object(line)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def open_sessions(service: Service) -> int:
    """How many Engine.IO sessions the service says it has."""
    sessions: int = http("GET", f"{service.url}/health").json()["sessions"]
    return sessions


def wait_until_quiet(service: Service) -> None:
    """Wait until nobody is connected, so that what comes next is this test's own doing."""
    eventually(
        lambda: open_sessions(service) == 0,
        what=lambda: f"no session is left; there are {open_sessions(service)}",
    )
    eventually(
        lambda: not client_ports(service),
        what=lambda: f"no connection is left; there are some from {client_ports(service)}",
    )


def worker(service: Service) -> psutil.Process:
    """The process that serves: gunicorn's worker, not its master.

    That is the end of a chain of only children; how many there are before it depends on how the
    service was started.
    """
    process = psutil.Process(service.pid)
    while len(children := process.children()) == 1:
        (process,) = children
    return process


def process_id(service: Service, process: str) -> int:
    """The process id of a worker that calls itself so: the log has it with each of its sessions."""

    def found() -> int:
        sessions = (record for record in service.records() if record.get("session"))
        return next(
            (each["process"] for each in sessions if each["session"].startswith(f"{process}.")), 0
        )

    return eventually(found, f"the log has a session of {process}")


def cpu_seconds(service: Service) -> float:
    """The processor time of all processes below the master so far, in seconds."""
    processes = psutil.Process(service.pid).children(recursive=True)
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def descriptors(service: Service) -> int:
    """How many file descriptors the worker holds."""
    count: int = worker(service).num_fds()
    return count


def client_ports(service: Service) -> set[int]:
    """The ports from which clients are connected to a descriptor that the worker still holds."""
    return {
        connection.raddr.port
        for connection in worker(service).net_connections("tcp")
        if connection.raddr and connection.laddr.port == urlsplit(service.url).port
    }


def threads(service: Service) -> int:
    """How many operating-system threads the worker has."""
    count: int = worker(service).num_threads()
    return count


def resident_megabytes(service: Service) -> float:
    """How much memory the worker holds."""
    return float(worker(service).memory_info().rss) / 1e6
