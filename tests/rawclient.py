"""Engine.IO and WebSocket clients over plain sockets, for tests that misbehave on purpose.

A real client library refuses to send what these tests need to send: frames without a mask, a
Content-Length that is a lie, a connection that is reset in the middle of a message. Everything here
is built from the bytes up with the standard library, and nothing is repaired or retried behind the
test's back. Section numbers refer to RFC 6455 (The WebSocket Protocol).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from waiting import PATIENCE

LOOPBACK = "127.0.0.1"

own_address = ""
"""Where clients of this machine come from, for services that count by it; the system's choice if empty."""

# Opcodes, section 5.2.
CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

# Close codes, section 7.4.1.
GOING_AWAY = 1001
MESSAGE_TOO_BIG = 1009

# Appended to the key before hashing, section 1.3.
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Engine.IO puts this character between the packets of one polling body.
PACKET_SEPARATOR = "\x1e"

_POST_HEADERS = {"Content-Type": "text/plain;charset=UTF-8"}


class ConnectionEndedError(Exception):
    """The server ended the connection: by a FIN, or by a reset."""


class HandshakeRefusedError(Exception):
    """The server answered a WebSocket handshake with something other than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.body[:200]!r}")
        self.response = response


class Response(NamedTuple):
    """An HTTP response; the header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Event(NamedTuple):
    """A Socket.IO event as the server sent it."""

    name: str
    args: list[Any]


@dataclass(frozen=True)
class Frame:
    """A WebSocket frame as it came from the server."""

    opcode: int
    payload: bytes
    fin: bool = True

    @property
    def text(self) -> str:
        """The payload, decoded."""
        return self.payload.decode()

    @property
    def close_code(self) -> int | None:
        """The status code of a close frame (section 5.5.1); None if it carries none."""
        if self.opcode != CLOSE or len(self.payload) < 2:
            return None
        return int(struct.unpack("!H", self.payload[:2])[0])


# ---------------------------------------------------------------------------------------------
# Bytes


class Stream:
    """A TCP connection to the server that is read by the line or by the byte."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        """Connect; ``receive_buffer`` bounds what the kernel takes in while nobody reads."""
        parts = urlsplit(url)
        self.host = parts.hostname or LOOPBACK
        self.port = parts.port or 80
        self._buffer = bytearray()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                # Before connecting: the window is agreed on in the TCP handshake.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if own_address and self.host == LOOPBACK:
                self.socket.bind((own_address, 0))
            self.socket.settimeout(PATIENCE)
            self.socket.connect((self.host, self.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise

    @property
    def local_port(self) -> int:
        """The client's own port: what tells this connection from others on the server's side."""
        port: int = self.socket.getsockname()[1]
        return port

    def send(self, data: bytes) -> None:
        """Send everything; an OSError says that the server has gone."""
        self.socket.sendall(data)

    def read_exactly(self, count: int, deadline: float) -> bytes:
        """The next ``count`` bytes."""
        while len(self._buffer) < count:
            self._fill(deadline)
        return self._take(count)

    def read_line(self, deadline: float) -> bytes:
        """The next line, without its line ending."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._fill(deadline)
        return self._take(end + 2)[:-2]

    def read_to_end(self, deadline: float) -> bytes:
        """Everything until the server ends the connection."""
        with contextlib.suppress(ConnectionEndedError):
            while True:
                self._fill(deadline)
        return self._take(len(self._buffer))

    def fin(self, within: float = PATIENCE) -> bool:
        """Say that nothing more will come, wait for the server to end too, and close.

        Closing alone would not do: if anything is left to read, the kernel then sends a reset.
        Returns whether the server ended its side within the time.
        """
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.read_to_end(time.monotonic() + within)
        except TimeoutError:
            return False
        except OSError:
            pass  # It was the server that ended first.
        finally:
            self.socket.close()
        return True

    def reset(self) -> None:
        """End with a TCP reset, as the kernel does for a process killed with data unread."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Give the descriptor back, without any ceremony."""
        self.socket.close()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server sent nothing in time")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            raise ConnectionEndedError(str(error)) from error
        finally:
            self.socket.settimeout(PATIENCE)
        if not data:
            raise ConnectionEndedError("end of stream")
        self._buffer += data


# ---------------------------------------------------------------------------------------------
# HTTP


class HttpConnection(Stream):
    """An HTTP/1.1 connection whose requests are written by hand."""

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        content_length: int | None = None,
    ) -> None:
        """Send a request. ``content_length`` may claim something else than the body's length."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or content_length is not None or method == "POST":
            length = len(body) if content_length is None else content_length
            lines.append(f"Content-Length: {length}")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def response(self, within: float = PATIENCE) -> Response:
        """Read one response."""
        deadline = time.monotonic() + within
        status = int(self.read_line(deadline).split(b" ", 2)[1])
        headers: dict[str, str] = {}
        while line := self.read_line(deadline).decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if status in (101, 204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(deadline)
        elif "content-length" in headers:
            body = self.read_exactly(int(headers["content-length"]), deadline)
        else:
            body = self.read_to_end(deadline)
        return Response(status, headers, body)

    def _chunks(self, deadline: float) -> bytes:
        body = bytearray()
        while size := int(self.read_line(deadline).split(b";")[0], 16):
            body += self.read_exactly(size, deadline)
            self.read_line(deadline)
        self.read_line(deadline)
        return bytes(body)


def raw_request(url: str, data: bytes, timeout: float = PATIENCE) -> Response:
    """Send ``data`` as it is to the server at ``url`` and read one response."""
    with contextlib.closing(HttpConnection(url)) as connection:
        connection.send(data)
        return connection.response(timeout)


def http(
    method: str,
    url: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> Response:
    """One ordinary request on a connection of its own."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    with contextlib.closing(HttpConnection(url)) as connection:
        connection.request(method, target, {"Connection": "close", **(headers or {})}, body)
        return connection.response(timeout)


def post_json(url: str, data: Any) -> Response:
    """POST something as JSON."""
    return http(
        "POST", url, json.dumps(data).encode(), headers={"Content-Type": "application/json"}
    )


# ---------------------------------------------------------------------------------------------
# Socket.IO packets


def encode_event(event: str, *args: Any, ack_id: int | None = None) -> str:
    """An Engine.IO message that holds a Socket.IO event."""
    return f"42{'' if ack_id is None else ack_id}{json.dumps([event, *args])}"


def decode_event(packet: str) -> Event:
    """The event in a packet that begins with 42."""
    name, *args = json.loads(packet[packet.index("[") :])
    return Event(name, args)


def decode_ack(packet: str) -> Any:
    """What an acknowledgement says: its only argument, or the list of them."""
    args = json.loads(packet[packet.index("[") :])
    return args[0] if len(args) == 1 else args


class SocketIOClient(ABC):
    """What a Socket.IO client does on the default namespace, whatever the transport."""

    transport: str

    def __init__(self) -> None:
        self.sid = ""  # Engine.IO session id
        self.opened: dict[str, Any] = {}  # what the server said of the session
        self.session = ""  # Socket.IO session id on the default namespace
        self.events: list[Event] = []  # received while waiting for something else
        self._ack_ids = itertools.count(1)

    @abstractmethod
    def send_packet(self, packet: str) -> None:
        """Send one Engine.IO packet."""

    @abstractmethod
    def receive_packet(self, timeout: float = PATIENCE) -> str | bytes:
        """The next Engine.IO packet other than a ping; pings are answered."""

    def wait_for_packet(self, prefix: str, timeout: float = PATIENCE) -> str:
        """The next packet that begins with ``prefix``; events that come before it are kept."""
        deadline = time.monotonic() + timeout
        while True:
            packet = self.receive_packet(deadline - time.monotonic())
            if isinstance(packet, str):
                if packet.startswith(prefix):
                    return packet
                if packet.startswith("42"):
                    self.events.append(decode_event(packet))

    def wait_for_event(self, name: str, timeout: float = PATIENCE) -> Event:
        """The next event of that name; one that came earlier and was kept counts."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event.name == name:
                    self.events.remove(event)
                    return event
            packet = self.wait_for_packet("42", deadline - time.monotonic())
            self.events.append(decode_event(packet))

    def connect_namespace(self, auth: dict[str, Any] | None = None) -> dict[str, Any]:
        """Join the default namespace and return what the server says about it."""
        self.send_packet("40" if auth is None else f"40{json.dumps(auth)}")
        joined: dict[str, Any] = json.loads(self.wait_for_packet("40{")[2:])
        self.session = joined["sid"]
        return joined

    def emit(self, event: str, *args: Any, ack_id: int | None = None) -> None:
        """Send an event."""
        self.send_packet(encode_event(event, *args, ack_id=ack_id))

    def call(self, event: str, *args: Any, timeout: float = PATIENCE) -> Any:
        """Send an event and return what its acknowledgement says."""
        ack_id = next(self._ack_ids)
        self.emit(event, *args, ack_id=ack_id)
        return decode_ack(self.wait_for_packet(f"43{ack_id}[", timeout))


# ---------------------------------------------------------------------------------------------
# WebSocket


def mask(payload: bytes, key: bytes) -> bytes:
    """The payload, combined with the masking key (section 5.3)."""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return mixed.to_bytes(len(payload), "little")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """The bytes of one frame (section 5.2), whether a client may send it or not.

    ``reserved`` sets the three RSV bits, which are zero unless an extension was agreed on.
    """
    head = bytes([fin << 7 | reserved << 4 | opcode])
    mask_bit = masked << 7
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += struct.pack("!BH", mask_bit | 126, len(payload))
    else:
        head += struct.pack("!BQ", mask_bit | 127, len(payload))
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + mask(payload, key)


def handshake(
    url: str,
    path: str = "/socket.io/",
    sid: str | None = None,
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """The opening handshake of a WebSocket client (section 4.1) as bytes.

    ``headers`` (names in lower case) adds some, replaces some, or leaves out those that are None.
    """
    parts = urlsplit(url)
    target = f"{path}?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")
    sent: dict[str, str | None] = {
        "host": f"{parts.hostname}:{parts.port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        "sec-websocket-version": "13",
        **(headers or {}),
    }
    lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode()


class RawWebSocket(SocketIOClient, HttpConnection):
    """A WebSocket that speaks Engine.IO and Socket.IO when asked to, and anything else as well."""

    transport = "websocket"

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        SocketIOClient.__init__(self)
        HttpConnection.__init__(self, url, receive_buffer=receive_buffer)
        self.extensions = ""  # what the server agreed to
        self.close_code: int | None = None  # of the server's close frame

    # sending

    def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        fin: bool = True,
        masked: bool = True,
        reserved: int = 0,
    ) -> None:
        """Send one frame, legal or not."""
        self.send(frame(opcode, payload, fin=fin, masked=masked, reserved=reserved))

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self.send_frame(TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self.send_frame(BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a WebSocket ping (section 5.5.2); Engine.IO's own ping is another matter."""
        self.send_frame(PING, payload)

    def send_packet(self, packet: str) -> None:
        """Send one Engine.IO packet: over a WebSocket, a packet is a message."""
        self.send_text(packet)

    # receiving

    def receive(self, timeout: float = PATIENCE) -> Frame:
        """The next frame, exactly as it came.

        Raises TimeoutError if none came, and ConnectionEndedError if the server has gone. A frame
        from a server is never masked (section 5.1).
        """
        deadline = time.monotonic() + timeout
        first, second = self.read_exactly(2, deadline)
        if first & 0x70 or second & 0x80:
            # Text in the place of a frame is what this mostly is: an HTTP error, for example.
            seen = bytes([first, second]) + self._buffer[:200]
            raise AssertionError(f"the server sent what is no frame: {seen!r}")
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.read_exactly(2, deadline))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read_exactly(8, deadline))
        payload = self.read_exactly(length, deadline)
        received = Frame(first & 0x0F, payload, bool(first & 0x80))
        if received.opcode == CLOSE:
            self.close_code = received.close_code
        return received

    def receive_packet(self, timeout: float = PATIENCE) -> str | bytes:
        """The next Engine.IO packet, as a well-behaved client sees it.

        Both kinds of ping are answered, fragments are put together, and a close frame is the end.
        """
        deadline = time.monotonic() + timeout
        opcode, payload = TEXT, b""
        while True:
            received = self.receive(deadline - time.monotonic())
            if received.opcode == CLOSE:
                raise ConnectionEndedError(f"close frame with code {received.close_code}")
            if received.opcode == PING:
                self.send_frame(PONG, received.payload)
                continue
            if received.opcode == PONG:
                continue
            if received.opcode != CONTINUATION:
                opcode, payload = received.opcode, b""
            payload += received.payload
            if not received.fin:
                continue
            if opcode == BINARY:
                return payload
            text = payload.decode()
            if text != "2":
                return text
            self.send_text("3")

    def until_closed(self, within: float = PATIENCE) -> list[Frame]:
        """Read until the server ends the connection, and return the frames that came before that.

        Raises TimeoutError if the connection is still open then. Nothing is answered meanwhile: the
        server may not depend on the courtesy of the client.
        """
        deadline = time.monotonic() + within
        frames = []
        with contextlib.suppress(ConnectionEndedError):
            while True:
                frames.append(self.receive(deadline - time.monotonic()))
        return frames

    # Engine.IO

    def upgrade(self) -> None:
        """Finish the upgrade of a polling session: the probe, its answer, and the switch."""
        self.send_text("2probe")
        answer = self.receive_packet()
        if answer != "3probe":
            raise AssertionError(f"expected 3probe, got {answer!r}")
        self.send_text("5")

    # leaving

    def close_cleanly(self) -> bool:
        """Close frame 1001 ("going away", what a browser sends on a refresh), then FIN."""
        with contextlib.suppress(OSError):
            self.send_frame(CLOSE, struct.pack("!H", GOING_AWAY))
        return self.fin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_websocket(
    url: str,
    path: str = "/socket.io/",
    sid: str | None = None,
    *,
    headers: Mapping[str, str | None] | None = None,
    receive_buffer: int | None = None,
) -> RawWebSocket:
    """Open a WebSocket: directly, or for the polling session ``sid``.

    A direct one has received its Engine.IO open packet when this returns. Raises
    HandshakeRefusedError if the answer is not 101, and AssertionError if it breaks section 4.2.2.
    """
    ws = RawWebSocket(url, receive_buffer=receive_buffer)
    try:
        _shake_hands(ws, handshake(url, path, sid, headers))
        if sid is None:
            ws.opened = json.loads(ws.wait_for_packet("0{")[1:])
        ws.sid = sid or ws.opened["sid"]
    except BaseException:
        ws.close()
        raise
    return ws


def _shake_hands(ws: RawWebSocket, request: bytes) -> None:
    """Send the handshake and check the answer to it."""
    ws.send(request)
    response = ws.response()
    if response.status != 101:
        raise HandshakeRefusedError(response)
    (key,) = re.findall(rb"^sec-websocket-key: (.*)\r$", request, re.MULTILINE)
    digest = hashlib.sha1(key + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
    if response.headers.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        raise AssertionError("Sec-WebSocket-Accept does not match the key")
    ws.extensions = response.headers.get("sec-websocket-extensions", "")


# ---------------------------------------------------------------------------------------------
# Long polling


class PollingSession(SocketIOClient):
    """An Engine.IO session over long polling.

    Every request has a connection of its own, unless ``keep_alive`` asks for what a browser does:
    requests that follow each other share one.
    """

    transport = "polling"

    def __init__(self, url: str, path: str = "/socket.io/", *, keep_alive: bool = False) -> None:
        """Open the session: the handshake is a GET without a session id."""
        super().__init__()
        self.url = url
        self.target = f"{path}?EIO=4&transport=polling"
        self._keep_alive = keep_alive
        self._idle: HttpConnection | None = None
        self._packets: list[str] = []
        opened, *self._packets = self._get()
        if not opened.startswith("0{"):
            raise AssertionError(f"expected an open packet, got {opened[:100]!r}")
        self.opened = json.loads(opened[1:])
        self.sid = self.opened["sid"]
        self.target += f"&sid={self.sid}"

    # requests that are left pending

    def start(
        self,
        method: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        content_length: int | None = None,
    ) -> HttpConnection:
        """Send any request of this session, and return its connection to read the response from."""
        connection = HttpConnection(self.url)
        try:
            connection.request(method, self.target, headers, body, content_length=content_length)
        except BaseException:
            connection.close()
            raise
        return connection

    def start_poll(self) -> HttpConnection:
        """A poll that is pending: the connection of a GET."""
        return self.start("GET")

    def start_post(self, payload: str | bytes, content_length: int | None = None) -> HttpConnection:
        """The connection of a POST whose response is still to be read."""
        body = payload.encode() if isinstance(payload, str) else payload
        return self.start("POST", _POST_HEADERS, body, content_length=content_length)

    # requests with their responses

    def post(
        self, payload: str | bytes, content_length: int | None = None, timeout: float = PATIENCE
    ) -> Response:
        """Send packets, and return the response, whatever it says."""
        body = payload.encode() if isinstance(payload, str) else payload
        return self._exchange("POST", _POST_HEADERS, body, content_length, timeout)

    def poll(self, timeout: float = PATIENCE) -> list[str]:
        """Receive packets: one GET. Raises ConnectionEndedError if the session is gone."""
        return self._get(timeout)

    def send_packet(self, packet: str) -> None:
        """Send packets that the server has to accept."""
        response = self.post(packet)
        if response.status != 200:
            raise ConnectionEndedError(f"POST answered {response.status} {response.body[:200]!r}")

    def receive_packet(self, timeout: float = PATIENCE) -> str | bytes:
        """The next packet other than a ping; pings are answered."""
        deadline = time.monotonic() + timeout
        while True:
            while self._packets:
                packet = self._packets.pop(0)
                if packet != "2":
                    return packet
                self.send_packet("3")
            self._packets = self.poll(deadline - time.monotonic())

    def leave(self) -> Response:
        """Send the Engine.IO close packet, as a client does that disconnects."""
        try:
            return self.post("1")
        finally:
            self.close()

    def close(self) -> None:
        """Give the kept connection back; the session itself lives on."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def _get(self, timeout: float = PATIENCE) -> list[str]:
        response = self._exchange("GET", {}, b"", None, timeout)
        if response.status != 200:
            raise ConnectionEndedError(f"GET answered {response.status} {response.body[:200]!r}")
        return response.body.decode().split(PACKET_SEPARATOR)

    def _exchange(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        content_length: int | None,
        timeout: float,
    ) -> Response:
        connection, self._idle = self._idle or HttpConnection(self.url), None
        kept = False
        try:
            if not self._keep_alive:
                headers = {"Connection": "close", **headers}
            connection.request(method, self.target, headers, body, content_length=content_length)
            response = connection.response(timeout)
            kept = self._keep_alive and response.headers.get("connection") != "close"
        finally:
            if not kept:
                connection.close()
        if kept:
            self._idle = connection
        return response
