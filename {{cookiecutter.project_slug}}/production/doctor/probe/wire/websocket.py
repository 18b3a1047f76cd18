"""A WebSocket over a plain socket: wsproto speaks, this moves the bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from production.doctor.probe.target import HUNG_UP, Target
from production.doctor.probe.wire.faults import Cut, Garbled, Refused
from production.doctor.probe.wire.http import Answer

READ_SIZE = 65536
"""Bytes asked of the socket at a time."""

CLOSE_GOING_AWAY = 1001
"""What a browser says when its page is left (RFC 6455, section 7.4.1)."""

CLOSE_ABNORMAL = 1006
"""What wsproto reports for a connection that ends without a close frame (section 7.1.5)."""


class WebSocket:
    """A WebSocket, from the moment that it is open.

    :param target: the service.
    :param path: path and query of the opening request.
    :param headers: further headers of it.
    :raises OSError: if there is no connection, or no answer in time.
    :raises Refused: if the answer is not 101.
    :raises Garbled: if the answer makes no sense.
    """

    def __init__(self, target: Target, path: str, headers: Mapping[str, str]) -> None:
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._arrived: list[Any] = []
        self._parts: list[str] = []
        self._patience = target.patience
        self._socket = target.connect()
        try:
            self._shake_hands(target, path, headers)
        except BaseException:
            self._socket.close()
            raise

    def send(self, message: str) -> None:
        """Send a text message.

        :raises Cut: if the connection has ended.
        """
        self._send(TextMessage(message))

    def receive(self, within: float) -> str:
        """Wait for the next text message.

        :param within: seconds.
        :raises TimeoutError: if none came.
        :raises Cut: if the connection ends.
        """
        deadline = time.monotonic() + within
        while True:
            event = self._next_event(deadline)
            if isinstance(event, TextMessage):
                self._parts.append(event.data)
                if event.message_finished:
                    text, self._parts = "".join(self._parts), []
                    return text

    def round_trip(self) -> float:
        """Send a WebSocket ping, which every server answers, and return the seconds it took.

        Messages that come meanwhile are dropped (RFC 6455, section 5.5.2).

        :raises TimeoutError: if nothing came back.
        :raises Cut: if the connection ends.
        """
        started_at = time.monotonic()
        self._send(Ping(b"probe"))
        while not isinstance(self._next_event(started_at + self._patience), Pong):
            pass
        return time.monotonic() - started_at

    def leave(self) -> None:
        """End the connection as a browser does whose page is left."""
        with contextlib.suppress(Cut, OSError):
            self._send(CloseConnection(CLOSE_GOING_AWAY))
        self._socket.close()

    def reset(self) -> None:
        """End the connection without a word, as a client does that loses its network."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _shake_hands(self, target: Target, path: str, headers: Mapping[str, str]) -> None:
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._send(Request(host=target.authority, target=path, extra_headers=extra))
        started_at = time.monotonic()
        deadline = started_at + target.patience
        event = self._next_event(deadline)
        if isinstance(event, AcceptConnection):
            return
        if not isinstance(event, RejectConnection):
            raise Garbled(f"The opening handshake was answered by {type(event).__name__}.")
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in event.headers}
        body = self._refusal(deadline) if event.has_body else b""
        answer = Answer(event.status_code, headers, body, time.monotonic() - started_at)
        raise Refused(answer, "websocket")

    def _refusal(self, deadline: float) -> bytes:
        body = b""
        with contextlib.suppress(OSError, Cut):
            while isinstance(event := self._next_event(deadline), RejectData):
                body += event.data
                if event.body_finished:
                    break
        return body

    def _send(self, event: Any) -> None:
        try:
            self._socket.settimeout(self._patience)
            self._socket.sendall(self._connection.send(event))
        except LocalProtocolError as error:
            raise Cut(None) from error
        except HUNG_UP as error:
            raise self._how_it_was_cut() from error

    def _how_it_was_cut(self) -> Cut:
        """Look for the close frame of a server that did not take all that was sent."""
        try:
            while True:
                self._next_event(time.monotonic() + self._patience)
        except Cut as cut:
            return cut
        except OSError:
            return Cut(None)

    def _next_event(self, deadline: float) -> Any:
        while not self._arrived:
            self._feed(self._read(deadline))
            self._arrived = list(self._events())
        event = self._arrived.pop(0)
        if isinstance(event, Ping):
            self._send(event.response())
        if isinstance(event, CloseConnection):
            self._answer_close(event)
            raise Cut(None if event.code == CLOSE_ABNORMAL else event.code, event.reason or "")
        return event

    def _read(self, deadline: float) -> bytes | None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self._socket.settimeout(left)
        try:
            return self._socket.recv(READ_SIZE) or None
        except HUNG_UP as error:
            raise Cut(None) from error

    def _feed(self, data: bytes | None) -> None:
        is_open = self._connection.state is ConnectionState.OPEN
        if data is None and not is_open:
            raise Cut(None)
        try:
            self._connection.receive_data(data)
        except RemoteProtocolError as error:
            raise Garbled(f"What came back is no WebSocket: {error}.") from error

    def _events(self) -> list[Any]:
        try:
            return list(self._connection.events())
        except RemoteProtocolError as error:
            raise Garbled(f"What came back is no WebSocket: {error}.") from error

    def _answer_close(self, event: CloseConnection) -> None:
        if self._connection.state is ConnectionState.REMOTE_CLOSING:
            with contextlib.suppress(OSError):
                self._socket.sendall(self._connection.send(event.response()))
        self._socket.close()
