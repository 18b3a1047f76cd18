"""The health check of a container, against a service that answers, refuses, or is not there."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from production.process.alive import LIVENESS, fault_of


class Liveness(http.server.BaseHTTPRequestHandler):
    """Answers what the service answers when it lives."""

    def do_GET(self) -> None:
        """Answer the one path that there is."""
        self.send_response(200 if self.path == LIVENESS else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing; a socket that is a file has no address to name."""


class SixthVersion(socketserver.TCPServer):
    """Listens on an address of IPv6."""

    address_family = socket.AF_INET6


def opened(kind: str, directory: Path) -> tuple[str, socketserver.BaseServer]:
    """Return what ``BIND`` may say, and something that lives there."""
    if kind == "a file":
        path = f"{directory}/s"
        return f"unix:{path}", socketserver.UnixStreamServer(path, Liveness)
    if kind == "any address of IPv6":
        sixth = SixthVersion(("::1", 0), Liveness)
        return f"[::]:{sixth.server_address[1]}", sixth
    server = socketserver.TCPServer(("127.0.0.1", 0), Liveness)
    address = "0.0.0.0" if kind == "any address" else "127.0.0.1"
    return f"{address}:{server.server_address[1]}", server


@pytest.fixture(params=["any address", "any address of IPv6", "one address", "a file"])
def bind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What ``BIND`` says, while something lives there."""
    bind, server = opened(request.param, tmp_path)
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield bind
        server.shutdown()
        thread.join()


def test_a_service_that_answers_lives(bind: str) -> None:
    assert fault_of(bind) == ""


def test_of_several_addresses_the_first_is_asked(bind: str) -> None:
    if not bind.startswith("unix:"):
        assert fault_of(f"{bind},127.0.0.1:1") == ""


def test_a_service_that_refuses_is_quoted(bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("production.process.alive.LIVENESS", "/nowhere")
    assert fault_of(bind) == f"{bind} answers 404."


def test_a_service_that_is_not_there_is_named() -> None:
    assert fault_of("127.0.0.1:1").startswith("127.0.0.1:1 does not answer: ")
