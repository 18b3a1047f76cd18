"""Engine.IO sessions, revision 4 of the protocol: https://socket.io/docs/v4/engine-io-protocol/."""

from __future__ import annotations

import contextlib
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Self

from production.doctor.probe.target import Target
from production.doctor.probe.wire.faults import Cut, Garbled, Refused
from production.doctor.probe.wire.http import Answer, Browser
from production.doctor.probe.wire.websocket import WebSocket

CLOSE_NORMAL = 1000
"""The close code of an end that is meant (RFC 6455, section 7.4.1)."""

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE = "0", "1", "2", "3", "4", "5"
"""Packet types: the first character of a packet."""

SEPARATOR = "\x1e"
"""What stands between the packets of one polling body."""

POLLING, WEBSOCKET = "polling", "websocket"

TEXT_BODY = {"Content-Type": "text/plain;charset=UTF-8"}

# Revision 3 put a length in front of each packet, as text or as bytes.
OLD_OPEN_PACKET = re.compile(r"(\d+:|\x00[\x00-\x09]+[\xff\ufffd])0\{")


@dataclass(frozen=True)
class Handshake:
    """What a server says when a session opens.

    :param sid: the session's id, which is as good as the session itself: never shown.
    :param upgrades: the transports that are offered.
    :param ping_interval: seconds between pings.
    :param ping_timeout: seconds that a client has to answer one.
    :param max_payload: bytes that a message may have, nothing if it is not said.
    """

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: float
    ping_timeout: float
    max_payload: int | None


def read_handshake(packet: str) -> Handshake:
    """Read the packet that opens a session.

    :raises Garbled: if it is none.
    """
    if OLD_OPEN_PACKET.match(packet):
        raise Garbled("The server speaks revision 3 of Engine.IO, which is Socket.IO 2 or older.")
    try:
        if not packet.startswith(OPEN):
            raise ValueError(packet)
        fields: dict[str, Any] = json.loads(packet[1:])
        return Handshake(
            str(fields["sid"]),
            tuple(fields.get("upgrades", ())),
            float(fields["pingInterval"]) / 1000,
            float(fields["pingTimeout"]) / 1000,
            int(fields["maxPayload"]) if "maxPayload" in fields else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Garbled(f"A session was to open, and this came: {excerpt(packet)}.") from None


def excerpt(text: str, length: int = 80) -> str:
    """Return the beginning of a text, quoted and on one line."""
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= length else one_line[: length - 1] + "…")


class Session(ABC):
    """An open session.

    :ivar handshake: what the server said when it opened.
    """

    transport: str
    handshake: Handshake

    @abstractmethod
    def send(self, packet: str) -> None:
        """Send a packet."""

    @abstractmethod
    def receive_any(self, within: float) -> str:
        """Wait for the next packet, whatever it is.

        :param within: seconds.
        :raises TimeoutError: if none came.
        """

    @abstractmethod
    def leave(self) -> None:
        """End the session as a browser does."""

    def receive(self, within: float) -> str:
        """Wait for the next packet other than a ping; pings are answered.

        :param within: seconds.
        :raises TimeoutError: if none came.
        :raises Cut: if the server ends the session.
        """
        deadline = time.monotonic() + within
        while True:
            packet = self.receive_any(deadline - time.monotonic())
            if packet == PING:
                self.send(PONG)
            elif packet == CLOSE:
                raise Cut(CLOSE_NORMAL, "the server ended the session")
            else:
                return packet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()


class PollingSession(Session):
    """A session over long polling.

    :param target: the service.
    :raises Refused: if it does not open.
    :raises Garbled: if what comes back is no session.
    """

    transport = POLLING

    def __init__(self, target: Target) -> None:
        self._target = target
        self.browser = Browser(target)
        self._arrived: list[str] = []
        answer = self.browser.get(target.engine_request(POLLING), target.sent_headers())
        first, *self._arrived = _packets(answer)
        self.handshake = read_handshake(first)
        self.request = target.engine_request(POLLING, self.handshake.sid)

    def post(self, packet: str, *, with_cookies: bool = True) -> Answer:
        """Send a packet in a request of its own and return the answer, whatever it is."""
        browser = self.browser if with_cookies else Browser(self._target)
        return browser.post(
            self.request, {**self._target.sent_headers(), **TEXT_BODY}, packet.encode()
        )

    def send(self, packet: str) -> None:
        """Send a packet.

        :raises Refused: if it is not taken.
        """
        answer = self.post(packet)
        if answer.status != 200:
            raise Refused(answer, POLLING)

    def receive_any(self, within: float) -> str:
        """Wait for the next packet, whatever it is.

        :raises Refused: if the poll is not answered with packets.
        """
        deadline = time.monotonic() + within
        while not self._arrived:
            left = max(deadline - time.monotonic(), 0.001)
            self._arrived = _packets(
                self.browser.get(self.request, self._target.sent_headers(), left)
            )
        return self._arrived.pop(0)

    def leave(self) -> None:
        """Send the close packet."""
        with contextlib.suppress(OSError, HTTPException):
            self.post(CLOSE)


class WebSocketSession(Session):
    """A session over a WebSocket.

    :param target: the service.
    :param upgraded: the polling session that moves to the WebSocket; none for a new session.
    :raises Refused: if it does not open.
    :raises Garbled: if what comes back is no session.
    """

    transport = WEBSOCKET

    def __init__(self, target: Target, upgraded: PollingSession | None = None) -> None:
        cookies: Mapping[str, str] = upgraded.browser.cookie_header() if upgraded else {}
        sid = upgraded.handshake.sid if upgraded else ""
        self.websocket = WebSocket(
            target, target.engine_request(WEBSOCKET, sid), {**target.sent_headers(), **cookies}
        )
        try:
            if upgraded:
                self.handshake = upgraded.handshake
                self._upgrade(target.patience)
            else:
                self.handshake = read_handshake(self.websocket.receive(target.patience))
        except BaseException:
            self.websocket.reset()
            raise

    def send(self, packet: str) -> None:
        """Send a packet.

        :raises Cut: if the connection has ended.
        """
        self.websocket.send(packet)

    def receive_any(self, within: float) -> str:
        """Wait for the next packet, whatever it is.

        :raises Cut: if the connection ends.
        """
        return self.websocket.receive(within)

    def leave(self) -> None:
        """Close as a browser does."""
        self.websocket.leave()

    def _upgrade(self, patience: float) -> None:
        self.send(f"{PING}probe")
        answer = self.receive_any(patience)
        if answer != f"{PONG}probe":
            raise Garbled(f"The upgrade's probe was answered by {excerpt(answer)}.")
        self.send(UPGRADE)


def upgraded_session(target: Target) -> WebSocketSession:
    """Open a session over long polling and move it to a WebSocket.

    :param target: the service.
    :raises Refused: if it does not open, or does not move.
    """
    polling = PollingSession(target)
    try:
        return WebSocketSession(target, polling)
    except BaseException:
        polling.leave()
        raise


def _packets(answer: Answer) -> list[str]:
    if answer.status != 200 or answer.is_page:
        raise Refused(answer, POLLING)
    return answer.text.split(SEPARATOR)
