"""The clients of a measurement: many plain sockets in one process, which reads frames and nothing else.

A client library would cost more than the servers that it is to measure.
"""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Iterator
from typing import Self

from rawclient import (
    TEXT,
    ConnectionEndedError,
    HandshakeRefusedError,
    RawWebSocket,
    encode_event,
    frame,
    open_websocket,
)
from waiting import PATIENCE

ANNOUNCEMENT = "x" * 100

RECEIVED_AT_ONCE = 65536


class Member:
    """One client, after its session was opened.

    :param client: the client.
    """

    def __init__(self, client: RawWebSocket) -> None:
        self.socket = client.socket
        self.socket.setblocking(False)
        self._unread = b""

    def send(self, packet: str) -> None:
        """Send one packet; it is small enough for the kernel to take it whole."""
        self.socket.send(frame(TEXT, packet.encode()))

    def packets(self) -> Iterator[bytes]:
        """Yield what has arrived, Engine.IO's pings excepted, which are answered."""
        received = self.socket.recv(RECEIVED_AT_ONCE)
        if not received:
            raise ConnectionEndedError("the server has closed a connection")
        data = self._unread + received
        start = 0
        while (packet := _packet(data, start)) is not None:
            begin, start = packet
            if data[begin:start] == b"2":
                self.send("3")
            else:
                yield data[begin:start]
        self._unread = data[start:]


class Crowd:
    """All clients of one server, each with a session over a WebSocket.

    :param url: where the server is.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._poll = select.epoll()
        self._members: dict[int, Member] = {}

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self._members)

    def grow(self, count: int) -> bool:
        """Open sessions, one after the other.

        :param count: how many there shall be in the end.
        :return: whether the server took them all.
        """
        while len(self) < count:
            try:
                client = open_websocket(self._url)
                client.connect_namespace()
                client.wait_for_event("welcome")
            except (OSError, ConnectionEndedError, HandshakeRefusedError):
                return False
            member = Member(client)
            self._members[member.socket.fileno()] = member
            self._poll.register(member.socket, select.EPOLLIN)
            self._read(0)  # Those who are there have pings to answer.
        return True

    def announce(self) -> float:
        """Have one announcement sent to everyone.

        :return: the seconds until the last one had it.
        """
        started_at = time.perf_counter()
        next(iter(self._members.values())).send(encode_event("announce", ANNOUNCEMENT))
        self._await('42["announcement"', len(self))
        return time.perf_counter() - started_at

    def echoes(self) -> Iterator[float]:
        """Have each member in turn send something and wait for its acknowledgement.

        :return: for each, the seconds that it took.
        """
        for number in itertools.count():
            for member in self._members.values():
                started_at = time.perf_counter()
                member.send(encode_event("echo", {"number": number}, ack_id=1))
                self._await("431[", 1)
                yield time.perf_counter() - started_at

    def _await(self, beginning: str, count: int) -> None:
        """Read until so many packets have come that begin like this."""
        wanted = beginning.encode()
        deadline = time.monotonic() + PATIENCE
        while count > 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} of {len(self)} clients still wait for {beginning}")
            count -= sum(packet.startswith(wanted) for packet in self._read(PATIENCE))

    def _read(self, timeout: float) -> list[bytes]:
        """Return the packets that have arrived.

        :param timeout: how many seconds to wait for the first.
        """
        return [
            packet
            for descriptor, _ in self._poll.poll(timeout)
            for packet in self._members[descriptor].packets()
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members.values():
            member.socket.close()
        self._poll.close()


def _packet(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the next frame's payload begins and ends, if all of it is there.

    Frames of a server are not masked, and those of these servers are never longer than 65535 bytes
    (RFC 6455, section 5.2).
    """
    if len(data) < start + 2:
        return None
    length, begin = data[start + 1], start + 2
    if length == 126:
        if len(data) < start + 4:
            return None
        length, begin = int.from_bytes(data[begin : begin + 2]), begin + 2
    end = begin + length
    return (begin, end) if end <= len(data) else None
