"""The probe, and services for it that are broken in a known way."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from baking import clean_environment
from ports import free_port
from production.doctor.cli import main
from waiting import eventually

APPS = Path(__file__).parent / "apps"

Steps = dict[str, dict[str, Any]]

UPGRADING = """\
proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";"""

HOST = "proxy_set_header Host $http_host;"


def probed(url: str, *arguments: str) -> Steps:
    """Probe a service and return what was found, by the step's name."""
    return report(url, *arguments)[1]


def report(url: str, *arguments: str) -> tuple[int, Steps, dict[str, Any]]:
    """Probe a service and return the exit status, what each step found, and the whole report."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        status = main(["probe", url, "--json", *arguments])
    document = json.loads(output.getvalue())
    return status, {step["step"]: step for step in document["steps"]}, document


def named(steps: Steps, verdict: str) -> set[str]:
    """Return the names of the steps that ended so."""
    return {name for name, step in steps.items() if step["verdict"] == verdict}


def troubles(steps: Steps) -> dict[str, str]:
    """Return what the steps that did not pass have seen."""
    return {name: step["seen"] for name, step in steps.items() if step["verdict"] != "passed"}


@contextlib.contextmanager
def plain_app(log_path: Path, *command: str) -> Iterator[str]:
    """Serve ``apps/plain.py`` and return its URL.

    :param log_path: where its output goes.
    :param command: what runs it: gunicorn and its options, or nothing for the development server.
    """
    port = free_port()
    served = (
        [*command, "--bind", f"127.0.0.1:{port}", "plain:app"]
        if command
        else [sys.executable, "plain.py", str(port)]
    )
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            served,
            cwd=APPS,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: _listens(port), log_path.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def site(port: int, upstream: str, *directives: str) -> str:
    """Return a site of nginx that passes everything on.

    :param port: where it listens.
    :param upstream: the URL of the service, or of a group of servers.
    :param directives: what stands in its location.
    """
    lines = "\n        ".join(directives)
    return f"""
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass {upstream};
        {lines}
    }}
}}
"""


@dataclass(frozen=True)
class Canned:
    """An answer to every request.

    :param status: the status line after the version.
    :param body: the body.
    :param headers: further headers.
    """

    status: str
    body: str = ""
    headers: tuple[str, ...] = ()

    def raw(self) -> bytes:
        """Return the answer as bytes."""
        body = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status}",
            *self.headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
            "",
            "",
        ]
        return "\r\n".join(lines).encode() + body


@contextlib.contextmanager
def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Give everyone who sends something the same bytes, and return the port.

    :param answer: the bytes; none to stay silent.
    :param tls: to speak TLS.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    silent: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.settimeout(5)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            if connection.recv(65536) and answer:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        if answer:
            connection.close()
        else:
            silent.append(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Woken by a shutdown, the thread leaves.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in silent:
            connection.close()


@contextlib.contextmanager
def hanging_up(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Open a WebSocket for one client, end its connection, and return the port.

    :param tls: to speak TLS.
    """

    def serve() -> None:
        connection = listener.accept()[0]
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(connection.recv(65536))
        connection.sendall(server.send(AcceptConnection()))
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        serving.join()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
