"""Clients that send without pause what costs a server more than it costs them.

Each is a kind of traffic that keeps a connection's task from ever waiting. A :class:`Pump` opens a connection,
sends one piece again and again, throws away what comes back, and begins anew when it is cut off.
"""

from __future__ import annotations

import contextlib
import json
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass

from rawclient import (
    BINARY,
    CONTINUATION,
    PACKET_SEPARATOR,
    PING,
    PONG,
    TEXT,
    ConnectionEndedError,
    HandshakeRefusedError,
    HttpConnection,
    PollingSession,
    encode_event,
    frame,
    handshake,
    open_websocket,
)

PIECE = 65536


def repeated(data: bytes, size: int = PIECE) -> bytes:
    """Return as many copies of something as make up a piece."""
    return data * max(1, size // len(data))


def websocket(begin: bytes, piece: bytes) -> Opener:
    """Send frames, on a WebSocket that has joined."""

    def open_it(url: str) -> tuple[HttpConnection, bytes]:
        ws = open_websocket(url)
        ws.connect_namespace()
        ws.send(begin)
        return ws, piece

    return open_it


def requests(piece: bytes) -> Opener:
    """Send requests one behind the other, without waiting for an answer."""
    return lambda url: (HttpConnection(url), piece)


def posts(*packets: str) -> Opener:
    """Send polling requests one behind the other, each with as many packets as are allowed."""
    payload = PACKET_SEPARATOR.join(packets * (9_999 // len(packets))).encode()

    def open_it(url: str) -> tuple[HttpConnection, bytes]:
        session = PollingSession(url)
        session.connect_namespace()
        head = (
            f"POST {session.target} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        return HttpConnection(url), head.encode() + payload

    return open_it


def get(target: str) -> bytes:
    """Return one request that keeps the connection alive."""
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def chunked(chunk: bytes) -> Opener:
    """Send a body without end, in chunks, to whoever does not want it."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = repeated(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    def open_it(url: str) -> tuple[HttpConnection, bytes]:
        connection = HttpConnection(url)
        connection.send(head)
        return connection, piece

    return open_it


Opener = Callable[[str], tuple[HttpConnection, bytes]]

_BINARY_EVENT = frame(
    TEXT, f'451-["nobody",{json.dumps([{"_placeholder": True, "num": 0}] * 20_000)}]'.encode()
) + frame(BINARY, b"4")
_LISTS = '42["nobody",[' + ",".join(["[]"] * 300_000) + "]]"

PUMPS: dict[str, Opener] = {
    # Frames
    "empty-continuations": websocket(
        frame(TEXT, b"4", fin=False), repeated(frame(CONTINUATION, fin=False))
    ),
    "one-byte-fragments": websocket(
        frame(TEXT, b"4", fin=False), repeated(frame(CONTINUATION, b"2", fin=False))
    ),
    "fragments-of-64-bytes": websocket(
        frame(TEXT, b'42["nobody","', fin=False),
        repeated(frame(CONTINUATION, b"x" * 64, fin=False), 700_000)
        + frame(CONTINUATION, b'"]')
        + frame(TEXT, b'42["nobody","', fin=False),
    ),
    "pings": websocket(b"", repeated(frame(PING))),
    "pongs": websocket(b"", repeated(frame(PONG, b"x" * 125))),
    "empty-messages": websocket(b"", repeated(frame(TEXT))),
    "half-a-close": websocket(b"", repeated(frame(0x8, b"\x03"))),
    "unknown-opcodes": websocket(b"", repeated(frame(0xB))),
    "small-messages": websocket(b"", repeated(frame(TEXT, b'42["nobody"]'))),
    "heartbeats": websocket(
        b"", repeated(frame(TEXT, encode_event("heartbeat", {"sent_at": 1}, ack_id=1).encode()))
    ),
    "engine-pongs": websocket(b"", repeated(frame(TEXT, b"3"))),
    "large-messages": websocket(
        b"", frame(TEXT, ('42["nobody","' + "x" * 900_000 + '"]').encode())
    ),
    "messages-of-many-values": websocket(b"", frame(TEXT, _LISTS.encode())),
    "placeholders": websocket(b"", _BINARY_EVENT),
    "acknowledgements": websocket(b"", repeated(frame(TEXT, b"431[]"))),
    "refused-namespaces": websocket(b"", repeated(frame(TEXT, b"40/nowhere,"))),
    # Requests
    "health-checks": requests(repeated(get("/health/live"))),
    "missing-pages": requests(repeated(get("/nowhere"))),
    "static-files": requests(repeated(get("/static/production/page.css"))),
    "sessions-that-are-not": requests(
        repeated(get("/socket.io/?EIO=4&transport=polling&sid=nobody"))
    ),
    "large-chunks": chunked(b"x" * 60_000),
    "small-chunks": chunked(b"x"),
    # Polling payloads
    "polled-events": posts('42["nobody"]'),
    "polled-connects": posts("40/nowhere,"),
    "polled-acknowledgements": posts("431[]"),
    "polled-pongs": posts("3"),
    "polled-placeholders": posts('451-["nobody",{"_placeholder":true,"num":0}]', "bAAAA"),
    "polled-form": posts("d=1" + "&a=1" * 20),
    # Connections
    "handshakes": lambda url: (HttpConnection(url), handshake(url)),
}


@dataclass
class Fed:
    """What a pump has done.

    :param sent: bytes that were taken from it, by the kernel or by the server.
    :param opened: connections that it has opened.
    """

    sent: int = 0
    opened: int = 0


class Pump:
    """Sends without pause, in a thread of its own, until it is left.

    :param url: where.
    :param open_it: a value of :data:`PUMPS`.
    """

    def __init__(self, url: str, open_it: Opener) -> None:
        self.fed = Fed()
        self._url = url
        self._open = open_it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        ended = (OSError, ConnectionEndedError, HandshakeRefusedError, AssertionError)
        while not self._stop.is_set():
            with contextlib.suppress(*ended):
                connection, piece = self._open(self._url)
                self.fed.opened += 1
                with contextlib.closing(connection):
                    self._feed(connection, memoryview(piece))

    def _feed(self, connection: HttpConnection, piece: memoryview) -> None:
        connection.socket.setblocking(False)
        rest = piece
        while not self._stop.is_set():
            readable, writable, _ = select.select([connection.socket], [connection.socket], [], 0.1)
            if readable and not connection.socket.recv(PIECE):
                return
            if writable:
                sent = connection.socket.send(rest)
                self.fed.sent += sent
                rest = rest[sent:] or piece

    def __enter__(self) -> Fed:
        self._thread.start()
        return self.fed

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
