"""Many clients that come at the same moment, in one process that does nothing else."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from typing import Self
from urllib.parse import urlsplit

from rawclient import TEXT, frame, handshake

JOIN = frame(TEXT, b"40")
PONG = frame(TEXT, b"3")


class Arrival:
    """One client on its way in: it opens a WebSocket and joins the default namespace.

    :param address: where the service listens.
    :param request: its handshake.
    """

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(address)
        self._request = request
        self._received = b""
        self.joined = False
        #: The status line of an answer that is no WebSocket's.
        self.refused = ""

    def write(self) -> None:
        """Ask for the WebSocket, once the connection stands."""
        self.socket.send(self._request)

    def read(self) -> None:
        """Read what came, and join as soon as that is possible."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        if self.joined:
            if frame_text(b"2") in data:
                self.socket.send(PONG)
            return
        before, self._received = self._received, self._received + data
        if not self._received.startswith(b"HTTP/1.1 101"[: len(self._received)]):
            self.refused = self._received.partition(b"\r\n")[0].decode()
            raise ConnectionResetError
        if b"0{" not in before and b"0{" in self._received:
            self.socket.send(JOIN)
        self.joined = b'40{"sid"' in self._received


def frame_text(payload: bytes) -> bytes:
    """Return a short text frame of a server."""
    return bytes((0x81, len(payload))) + payload


class Rush:
    """Clients that all come at once.

    :param url: where the service is.
    :param count: how many.
    """

    def __init__(self, url: str, count: int) -> None:
        where = urlsplit(url)
        address = (where.hostname or "", where.port or 0)
        request = handshake(url, "/socket.io/")
        self._selector = selectors.DefaultSelector()
        self._on_their_way: set[Arrival] = set()
        self.joined: list[Arrival] = []
        self.failed: list[str] = []
        for _ in range(count):
            arrival = Arrival(address, request)
            self._selector.register(arrival.socket, selectors.EVENT_WRITE, arrival)
            self._on_their_way.add(arrival)

    @property
    def on_their_way(self) -> int:
        """How many have neither joined nor failed."""
        return len(self._on_their_way)

    def go_on(self, seconds: float) -> None:
        """Let them go on for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for key, events in self._selector.select(left):
                self._serve(key.data, events)

    def _serve(self, arrival: Arrival, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                arrival.write()
                self._selector.modify(arrival.socket, selectors.EVENT_READ, arrival)
            if events & selectors.EVENT_READ:
                arrival.read()
        except OSError as error:
            self._selector.unregister(arrival.socket)
            arrival.socket.close()
            self._on_their_way.discard(arrival)
            self.failed.append(arrival.refused or type(error).__name__)
            return
        if arrival.joined and arrival in self._on_their_way:
            self._on_their_way.discard(arrival)
            self.joined.append(arrival)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for arrival in (*self._on_their_way, *self.joined):
            arrival.socket.close()
        self._selector.close()
