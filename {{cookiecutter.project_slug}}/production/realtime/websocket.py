"""The WebSocket transport, one for all async modes: it moves the bytes and leaves the rules to others.

Whole messages are frames of a simple form, see ``frames.py``; for all else wsproto speaks.

Engine.IO brings a different WebSocket for each mode (eventlet's own, simple-websocket's), each with
limits of its own that a client can walk around: fragments that are not counted, a byte-wise unmask
that blocks the loop, compressed messages that inflate, a reader that buffers without bound. This one
reads only when it is asked to, counts what it holds, refuses compression, closes with a code, and
never closes a descriptor that another thread waits on.

It fits where Engine.IO's ``websocket`` class does: called with a handler and the server, then as a
WSGI application.
"""

from __future__ import annotations

import binascii
import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any, NoReturn, cast

from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from production.realtime.floods import (
    MOST_FRAGMENTS,
    MOST_ODD_FRAMES,
    SMALL_FRAGMENT,
    Allowance,
    Flooding,
)
from production.realtime.frames import Message, NotPlain, encode_frame, read_plain
from production.realtime.speaker import Speaker
from production.turns import Turn

READ_SIZE = 65536
"""Bytes asked of the socket at a time."""

LINGER = 2.0
"""Seconds that a peer has to answer our close frame (RFC 6455, section 7.1.1)."""

LINGER_READS = 128
"""Reads in that time, so that a peer which goes on sending cannot use all of it."""

KEY_SIZE = 16
"""Bytes of the key in a handshake (RFC 6455, section 4.1)."""

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_POLICY_VIOLATION = 1008
CLOSE_MESSAGE_TOO_BIG = 1009
CLOSE_SERVICE_RESTART = 1012

StartResponse = Callable[..., Any]


class ProtocolViolation(Exception):
    """The peer broke the protocol or a limit.

    :param code: the close code to send (RFC 6455, section 7.4.1).
    :param reason: what the peer did, for the log and the close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def asks_for_websocket(environ: dict[str, Any]) -> bool:
    """Tell whether a request has both headers that ask for an upgrade (RFC 9110, section 7.8).

    One of them alone is what a proxy has left of both that knows nothing of upgrades.

    :param environ: the WSGI environment of the request.
    """
    options = environ.get("HTTP_CONNECTION", "").lower().split(",")
    return environ.get("HTTP_UPGRADE", "").lower() == "websocket" and "upgrade" in (
        option.strip() for option in options
    )


def handshake_fault(environ: dict[str, Any]) -> HTTPStatus | None:
    """Return the status that an unacceptable opening handshake gets, if it is unacceptable.

    :param environ: the WSGI environment of a request that asks for a WebSocket.
    :return: ``426`` for another version than 13; ``400`` for a release of HTTP before 1.1, without
        a host or without a valid key (RFC 6455, section 4.2.1); otherwise nothing.
    """
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        return HTTPStatus.UPGRADE_REQUIRED
    if environ.get("SERVER_PROTOCOL", "") < "HTTP/1.1" or not environ.get("HTTP_HOST"):
        return HTTPStatus.BAD_REQUEST
    if not _is_key(environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()):
        return HTTPStatus.BAD_REQUEST
    return None


def _is_key(key: str) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == KEY_SIZE
    except ValueError:
        return False


class WebSocket:
    """One connection that was upgraded.

    :param handler: called with this object once the handshake is done; the connection ends with it.
    :param server: the Engine.IO server, whose ``max_http_buffer_size`` is the largest message.
    """

    def __init__(self, handler: Callable[[WebSocket], Any], server: Any) -> None:
        self._handler = handler
        self._limit: int = server.max_http_buffer_size
        self._turn = Turn(server.async_mode)
        # Whether neither side has begun to close.
        self._open = True
        # The reader answers pings and closes while the writer sends.
        self._sending = threading.Lock()
        self._messages = self._receive_messages()
        self._socket: socket.socket
        # The socket beneath the green one, which never waits; none beneath TLS.
        self._bare_socket: Any = None
        self._takes_turns = False
        self._timeout: float | None = None
        #: The rest of a frame of which the peer has taken a part.
        self.unsent = b""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> NoReturn:
        """Shake hands, serve the connection, and tell gunicorn that there is nothing to answer.

        :raises StopIteration: which is how gunicorn's workers learn that a request was taken over.
        """
        self._socket = environ["gunicorn.socket"]
        self._bare_socket = _bare_socket(self._socket)
        # Python's own class: the green modes replace it, and have no second thread.
        self._takes_turns = type(self._socket).__module__ == "ssl"
        # A peer that leaves in the middle is no error.
        with contextlib.suppress(OSError):
            self._socket.sendall(_handshake_response(environ))
            self._handler(self)
        self._linger()
        raise StopIteration

    def set_timeout(self, seconds: float | None) -> None:
        """Limit how long the peer may be silent before it counts as gone.

        :param seconds: the limit, or nothing for none.
        """
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def receive(self) -> Message | None:
        """Wait for the next message.

        :return: the message, or nothing once the connection is closed.
        :raises ProtocolViolation: if the peer breaks the protocol or exceeds the message limit.
        :raises Flooding: if it sends more fragments or control frames than any message needs.
        """
        try:
            return next(self._messages, None)
        except OSError:
            return None

    def send(self, message: Message) -> None:
        """Send one message, however long the peer takes to read it.

        :raises OSError: if the connection is closed.
        """
        self.send_frames(encode_frame(message))

    def send_frames(self, frames: bytes) -> None:
        """Send messages with nothing between them, however long the peer takes to read them.

        :param frames: as :func:`~production.realtime.frames.encode_frame` made them.
        :raises OSError: if the connection is closed.
        """
        with self._sending:
            if not self._open:
                raise BrokenPipeError("a message cannot be sent after the close")
            self._send_bytes(frames)

    def send_now(self, frames: bytes) -> bool:
        """Send messages if that needs no waiting; it costs no change of task then.

        What the peer does not take of it stays in :attr:`unsent` and goes first when :meth:`flush`
        or another sending method is called.

        :param frames: as for :meth:`send_frames`.
        :return: whether they are on their way.
        """
        if self._bare_socket is None or not self._sending.acquire(blocking=False):
            return False
        try:
            if self.unsent or not self._open:
                return False
            sent = self._bare_socket.send(frames, socket.MSG_DONTWAIT)
            self.unsent = frames[sent:]
        except OSError:
            # The buffer is full, or the peer is gone: whoever waits in the other way finds out.
            return False
        finally:
            self._sending.release()
        return True

    def flush(self) -> None:
        """Send what is unsent, however long the peer takes to read it.

        :raises OSError: if the connection is closed.
        """
        with self._sending:
            self._send_bytes(b"")

    def close(self, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """Start the closing handshake; the reader sees the peer's answer as the end.

        :param code: the close code (RFC 6455, section 7.4.1).
        :param reason: for the peer, cut to what a control frame holds.
        """
        with contextlib.suppress(OSError):
            self._send(CloseConnection(code, reason[:100] or None))
            self._socket.shutdown(socket.SHUT_WR)

    def abandon(self) -> None:
        """End the connection at once, waking whoever reads from it or writes to it.

        The descriptor itself stays open until gunicorn, who owns it, closes it: closed here, its
        number could be another connection's by the time that a waiting thread looks.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @cached_property
    def _connection(self) -> Speaker:
        """What speaks for this connection when more is to be said than a message."""
        return Speaker()

    def _send(self, event: Any) -> None:
        with self._sending:
            if isinstance(event, CloseConnection):
                self._open = False
            try:
                data = self._connection.send(event)
            except LocalProtocolError as error:
                raise BrokenPipeError(str(error)) from error
            self._send_bytes(data)

    def _send_bytes(self, data: bytes) -> None:
        unsent, self.unsent = self.unsent, b""
        self._socket.sendall(unsent + data)

    def _read_open(self) -> bytes:
        """Return the next bytes; nothing at the end, or once this side has begun to close."""
        self._turn.check()
        data = self._read()
        self._turn.go_on()
        return data if self._open else b""

    def _read(self) -> bytes:
        """Return the next bytes; nothing at the end.

        Two threads may not use one TLS connection at once (openssl-threads(7)), so where they could,
        a read takes turns with the writes.
        """
        if not self._takes_turns:
            return self._socket.recv(READ_SIZE)
        connection = cast(ssl.SSLSocket, self._socket)
        while True:
            if not connection.pending():
                self._wait_until_readable()
            with self._sending:
                connection.settimeout(0)
                try:
                    return connection.recv(READ_SIZE)
                except ssl.SSLWantReadError:
                    continue
                finally:
                    connection.settimeout(self._timeout)

    def _wait_until_readable(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(None if self._timeout is None else self._timeout * 1000):
            raise TimeoutError

    def _receive_messages(self) -> Iterator[Message]:
        """Yield whole messages, never holding more than one message and one read."""
        data = b""
        while received := self._read_open():
            data += received
            start = 0
            try:
                while plain := read_plain(data, start, min(self._limit, READ_SIZE)):
                    message, start = plain
                    yield message
                    self._turn.check()
            except NotPlain:
                yield from self._receive_others(data[start:])
                return
            data = data[start:]

    def _receive_others(self, data: bytes) -> Iterator[Message]:
        """Yield the messages of a peer that sends more than plain frames, from the first of those on.

        :param data: what was received, from the beginning of that frame.
        """
        with self._sending:
            # Whoever closes may be making it as well.
            connection = self._connection
        assembly = Assembly(self._limit)
        control_frames = Allowance(MOST_ODD_FRAMES)
        while data:
            connection.receive_data(data)
            for event in connection.events():
                self._turn.check()
                if isinstance(event, TextMessage | BytesMessage):
                    if (message := assembly.add(event)) is not None:
                        yield message
                elif isinstance(event, Ping | Pong):
                    control_frames.use("control frames")
                    if isinstance(event, Ping):
                        self._send(event.response())
                elif isinstance(event, CloseConnection):
                    self._answer_close(event)
                    return
            assembly.expect(connection.announced())
            data = self._read_open()

    def _answer_close(self, event: CloseConnection) -> None:
        """Echo the peer's close; what wsproto could not parse it reports as a close, too."""
        if self._connection.state is ConnectionState.OPEN:
            raise ProtocolViolation(event.code, event.reason or "malformed frame")
        if self._connection.state is ConnectionState.REMOTE_CLOSING:
            self._send(event.response())

    def _linger(self) -> None:
        """Read on, without keeping anything, until the peer is done or the time is up.

        Closing with unread bytes would reset the connection and take our close frame with it.
        """
        deadline = time.monotonic() + LINGER
        try:
            self._socket.shutdown(socket.SHUT_WR)
            for _ in range(LINGER_READS):
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                self._turn.check()
                if not self._socket.recv(READ_SIZE):
                    return
                self._turn.go_on()
        except OSError:
            return


def _bare_socket(connection: Any) -> Any:
    """Return the socket whose ``send`` asks the system and nobody else."""
    if isinstance(connection, ssl.SSLSocket):
        return None
    for wrapped in ("fd", "_sock"):  # eventlet's and gevent's
        if hasattr(connection, wrapped):
            return getattr(connection, wrapped)
    return connection


class Assembly:
    """Puts a message together from its fragments, never holding more than one message.

    :param limit: bytes that a message may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._small_fragments = Allowance(MOST_ODD_FRAMES)
        self._begin()

    def _begin(self) -> None:
        self._parts: list[Any] = []
        self._size = 0
        self._fragments = 0
        self._fragment_size = 0

    def add(self, part: TextMessage | BytesMessage) -> Message | None:
        """Add what has come of a frame.

        :param part: as wsproto has read it.
        :return: the message, if that was the last of it.
        :raises ProtocolViolation: if the message is too large.
        :raises Flooding: if it comes in more fragments than it needs.
        """
        size = _size(part.data)
        self._size += size
        self._fragment_size += size
        self.expect(0)
        if part.data or not self._parts:
            self._parts.append(part.data)
        if part.message_finished:
            message = _join(self._parts)
            self._begin()
            return message
        if part.frame_finished:
            self._count_fragment()
        return None

    def expect(self, announced: int) -> None:
        """Refuse what would be too large, before it is there.

        :param announced: bytes that are still to come of a frame.
        :raises ProtocolViolation: if the message is too large with them.
        """
        if self._size + announced > self._limit:
            raise ProtocolViolation(CLOSE_MESSAGE_TOO_BIG, "message too large")

    def _count_fragment(self) -> None:
        self._fragments += 1
        if self._fragments > MOST_FRAGMENTS + self._size // SMALL_FRAGMENT:
            raise Flooding("fragments")
        if self._fragment_size < SMALL_FRAGMENT:
            self._small_fragments.use("small fragments")
        self._fragment_size = 0


def _size(part: str | bytes | bytearray) -> int:
    """Return the bytes of a part on the wire."""
    return (
        len(part) if isinstance(part, bytes | bytearray) or part.isascii() else len(part.encode())
    )


def _join(parts: list[Any]) -> Message:
    if isinstance(parts[0], str):
        return "".join(parts)
    return b"".join(parts)


def _handshake_response(environ: dict[str, Any]) -> bytes:
    token = generate_accept_token(environ["HTTP_SEC_WEBSOCKET_KEY"].strip().encode("latin-1"))
    return (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )
