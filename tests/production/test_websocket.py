"""The WebSocket transport over a real socket pair, against a real client protocol (wsproto's)."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from production.realtime.websocket import (
    ProtocolViolation,
    WebSocket,
    asks_for_websocket,
    handshake_fault,
)
from waiting import PATIENCE

LIMIT = 1000


class Peer:
    """The client's end of a connection that a handler serves in a thread."""

    def __init__(self, handler: Any) -> None:
        self.socket, served = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self.connection = WSConnection(ConnectionType.CLIENT)
        request = self.connection.send(Request(host="localhost", target="/"))
        self.outcome: BaseException | None = None
        self.thread = threading.Thread(target=self._serve, args=(handler, served, request))
        self.thread.start()
        assert isinstance(self.receive(), AcceptConnection)

    def _serve(self, handler: Any, served: socket.socket, request: bytes) -> None:
        headers = dict(line.split(b": ") for line in request.split(b"\r\n")[1:] if line)
        environ = {
            "gunicorn.socket": served,
            "HTTP_SEC_WEBSOCKET_KEY": headers[b"Sec-WebSocket-Key"].decode(),
        }
        websocket = WebSocket(
            handler, SimpleNamespace(max_http_buffer_size=LIMIT, async_mode="threading")
        )
        try:
            websocket(environ, lambda *_: None)
        except BaseException as outcome:
            self.outcome = outcome
        finally:
            served.close()

    def send(self, event: Event) -> None:
        self.socket.sendall(self.connection.send(event))

    def receive(self) -> Event | None:
        """Return the next event; nothing at the end of the connection."""
        while True:
            for event in self.connection.events():
                return event
            data = self.socket.recv(65536)
            if not data:
                return None
            self.connection.receive_data(data)

    def close(self) -> None:
        self.socket.close()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def connect() -> Iterator[Any]:
    """Connect to handlers; what they serve has ended after the test."""
    peers: list[Peer] = []

    def connected(handler: Any) -> Peer:
        peers.append(Peer(handler))
        return peers[-1]

    yield connected
    for peer in peers:
        peer.close()


def echo(ws: WebSocket) -> None:
    while (message := ws.receive()) is not None:
        ws.send(message)


@pytest.mark.parametrize(
    "event", [TextMessage("Grüße"), TextMessage(""), BytesMessage(b"\x00\xff"), BytesMessage(b"")]
)
def test_messages_come_back(connect: Any, event: Any) -> None:
    peer = connect(echo)
    peer.send(event)
    received = peer.receive()
    assert type(received) is type(event)
    assert received.data == event.data


def test_fragments_are_one_message(connect: Any) -> None:
    peer = connect(echo)
    peer.send(TextMessage("one ", message_finished=False))
    peer.send(Ping(b"between"))
    peer.send(TextMessage("message"))
    assert isinstance(peer.receive(), Pong)
    assert peer.receive().data == "one message"


def test_several_messages_in_one_read_come_one_by_one(connect: Any) -> None:
    peer = connect(echo)
    frames = [peer.connection.send(TextMessage(str(number))) for number in range(10)]
    peer.socket.sendall(b"".join(frames))
    assert [peer.receive().data for _ in range(10)] == [str(number) for number in range(10)]


@pytest.mark.parametrize("fragment", [LIMIT + 1, LIMIT // 2, 1])
def test_a_message_beyond_the_limit_is_a_violation(connect: Any, fragment: int) -> None:
    violations: list[ProtocolViolation] = []

    def handler(ws: WebSocket) -> None:
        try:
            echo(ws)
        except ProtocolViolation as violation:
            violations.append(violation)
            ws.close(violation.code, violation.reason)

    peer = connect(handler)
    for _ in range(LIMIT // fragment + 1):
        peer.send(BytesMessage(b"x" * fragment, message_finished=False))
    closed = peer.receive()
    assert isinstance(closed, CloseConnection)
    assert closed.code == 1009
    assert [violation.code for violation in violations] == [1009]


def test_bytes_are_counted_not_characters(connect: Any) -> None:
    def handler(ws: WebSocket) -> None:
        with pytest.raises(ProtocolViolation):
            ws.receive()

    peer = connect(handler)
    peer.send(TextMessage("€" * (LIMIT // 3 + 1)))
    assert peer.receive() is None


def test_a_close_is_answered_with_its_code(connect: Any) -> None:
    peer = connect(echo)
    peer.send(CloseConnection(1001, "leaving"))
    answer = peer.receive()
    assert isinstance(answer, CloseConnection)
    assert answer.code == 1001


def test_a_close_says_why(connect: Any) -> None:
    def handler(ws: WebSocket) -> None:
        ws.close(1012, "restart")
        assert ws.receive() is None

    peer = connect(handler)
    closed = peer.receive()
    assert (closed.code, closed.reason) == (1012, "restart")
    assert peer.receive() is None


def test_sending_after_the_close_fails(connect: Any) -> None:
    failed = threading.Event()

    def handler(ws: WebSocket) -> None:
        ws.close()
        with pytest.raises(OSError, match="cannot be sent"):
            ws.send("late")
        failed.set()

    connect(handler)
    assert failed.wait(PATIENCE)


def test_an_abandoned_connection_wakes_its_reader(connect: Any) -> None:
    woken = threading.Event()

    def handler(ws: WebSocket) -> None:
        threading.Timer(0.05, ws.abandon).start()
        assert ws.receive() is None
        woken.set()

    connect(handler)
    assert woken.wait(PATIENCE)


def test_gunicorn_learns_that_there_is_nothing_to_answer(connect: Any) -> None:
    peer = connect(echo)
    peer.close()
    assert isinstance(peer.outcome, StopIteration)


VALID = {
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "localhost",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": base64.b64encode(bytes(16)).decode(),
}


@pytest.mark.parametrize(
    ("header", "value", "fault"),
    [
        ("HTTP_SEC_WEBSOCKET_KEY", f" {VALID['HTTP_SEC_WEBSOCKET_KEY']} ", None),
        ("HTTP_SEC_WEBSOCKET_VERSION", "8", 426),
        ("HTTP_SEC_WEBSOCKET_VERSION", None, 426),
        ("SERVER_PROTOCOL", "HTTP/1.0", 400),
        ("HTTP_HOST", None, 400),
        ("HTTP_HOST", "", 400),
        ("HTTP_SEC_WEBSOCKET_KEY", None, 400),
        *(
            ("HTTP_SEC_WEBSOCKET_KEY", base64.b64encode(bytes(size)).decode(), 400)
            for size in (0, 15, 17, 18, 32)
        ),
        *(
            ("HTTP_SEC_WEBSOCKET_KEY", key, 400)
            for key in ("k" * 22, "!" * 22 + "==", "k" * 10 + " " + "k" * 11 + "==", "ö" * 24)
        ),
    ],
)
def test_a_handshake_is_checked(header: str, value: str | None, fault: HTTPStatus | None) -> None:
    sent: dict[str, str | None] = {**VALID, header: value}
    environ = {name: text for name, text in sent.items() if text is not None}
    assert handshake_fault(environ) == fault


@pytest.mark.parametrize(
    ("upgrade", "connection", "asked"),
    [
        ("websocket", "Upgrade", True),
        ("WebSocket", "keep-alive, upgrade", True),
        ("websocket", "close", False),
        ("websocket", "not-an-upgrade", False),
        ("websocket", None, False),
        ("h2c", "Upgrade", False),
        (None, "Upgrade", False),
    ],
)
def test_an_upgrade_takes_both_headers(
    upgrade: str | None, connection: str | None, asked: bool
) -> None:
    headers = {"HTTP_UPGRADE": upgrade, "HTTP_CONNECTION": connection}
    environ = {name: text for name, text in headers.items() if text is not None}
    assert asks_for_websocket(environ) is asked


def refusing(ws: WebSocket) -> None:
    """Echo, and close with what the peer did wrong, as a session does."""
    try:
        echo(ws)
    except ProtocolViolation as violation:
        ws.close(violation.code, violation.reason)


def closing(peer: Peer) -> tuple[int, str | None]:
    """Return how the connection was closed, whatever came before that."""
    while not isinstance(event := peer.receive(), CloseConnection):
        assert event is not None
    return event.code, event.reason


def head(first: int, length: int) -> bytes:
    """The head of a client's frame, and nothing of what it announces."""
    size = b"\xfe" + length.to_bytes(2) if length < 1 << 16 else b"\xff" + length.to_bytes(8)
    return bytes((first,)) + size + b"mask"


@pytest.mark.parametrize(
    "before",
    [
        b"",
        Connection(ConnectionType.CLIENT).send(TextMessage("whole")),
        Connection(ConnectionType.CLIENT).send(Ping(b"ping")),
    ],
    ids=["first", "after-a-message", "after-a-ping"],
)
@pytest.mark.parametrize("length", [LIMIT + 1, 0xFFFF, 0x10000, 1 << 62])
@pytest.mark.parametrize("first", [0x81, 0x82, 0x01], ids=["text", "binary", "fragment"])
def test_a_frame_that_announces_too_much_is_refused_before_it_comes(
    connect: Any, first: int, length: int, before: bytes
) -> None:
    peer = connect(refusing)
    peer.socket.sendall(before + head(first, length))
    assert closing(peer) == (1009, "message too large")


def test_fragments_count_towards_what_a_frame_announces(connect: Any) -> None:
    peer = connect(refusing)
    peer.send(TextMessage("x" * (LIMIT // 2), message_finished=False))
    peer.socket.sendall(head(0x80, LIMIT // 2 + 1))
    assert closing(peer) == (1009, "message too large")


def test_what_fits_the_limit_is_waited_for(connect: Any) -> None:
    peer = connect(refusing)
    peer.send(BytesMessage(b"x" * (LIMIT // 2), message_finished=False))
    rest = peer.connection.send(BytesMessage(b"x" * (LIMIT // 2)))
    for number in range(len(rest)):
        peer.socket.sendall(rest[number : number + 1])
    assert len(peer.receive().data) == LIMIT


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 4999])
def test_a_registered_close_code_is_echoed(connect: Any, code: int) -> None:
    peer = connect(refusing)
    payload = code.to_bytes(2) + b"because"
    peer.socket.sendall(bytes((0x88, 0x80 | len(payload))) + bytes(4) + payload)
    # As bytes: wsproto, which reads for this peer, does not know all of them.
    assert peer.socket.recv(100) == bytes((0x88, len(payload))) + payload


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_any_other_close_code_is_an_error(connect: Any, code: int) -> None:
    peer = connect(refusing)
    peer.socket.sendall(b"\x88\x82" + bytes(4) + code.to_bytes(2))
    assert closing(peer)[0] == 1002
