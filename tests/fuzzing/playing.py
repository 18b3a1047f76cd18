"""Holds one conversation with a service, whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field

from fuzzing.cases import Script
from fuzzing.streams import Await

PACE = 0.2
"""Seconds that a client whose mistake keeps an answer away waits for it before it goes on."""

OPENED = re.compile(rb'"sid":"([^"]{1,64})","upgrades"')


@dataclass
class Played:
    """What came of a conversation.

    :param received: what each connection has brought.
    :param missed: what has not come although it was waited for.
    :param hanging: connections that the service did not end although the client had.
    """

    received: dict[int, bytes] = field(default_factory=dict)
    missed: list[bytes] = field(default_factory=list)
    hanging: list[int] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection, and all that it has brought."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.read = 0
        self.ended = False
        self.changed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what the connection is written with."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self.received += data
        self.changed.set()

    def eof_received(self) -> bool:
        """Note the end; this side stays open."""
        self._note_end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self._note_end()

    def pause_writing(self) -> None:
        """Note that the service does not read."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self.writable.set()

    def _note_end(self) -> None:
        self.ended = True
        self.writable.set()
        self.changed.set()

    def _has(self, text: bytes) -> bool:
        place = self.received.find(text, self.read)
        if place >= 0:
            self.read = place + len(text)
        return place >= 0

    async def wait_for(self, text: bytes, within: float) -> bool:
        """Wait until the connection has brought something new; tell whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (found := self._has(text)) and not self.ended:
                    self.changed.clear()
                    await self.changed.wait()
                return found
        return False

    async def wait_for_end(self, within: float) -> bool:
        """Wait until the service has ended the connection; tell whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self.ended:
                    self.changed.clear()
                    await self.changed.wait()
        return self.ended

    def reset(self) -> None:
        """Go without a word."""
        connection: socket.socket = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Player:
    """A client of its own.

    :param port: of the service, on the loopback address.
    :param address: the client's own.
    :param pace: seconds to wait for an answer before going on without it.
    """

    def __init__(self, port: int, address: str, pace: float = PACE) -> None:
        self._port = port
        self._address = address
        self._pace = pace
        self._connections: dict[int, Connection] = {}
        self._sid = b"{sid}"

    async def play(self, script: Script, ending: str, patience: float) -> Played:
        """Say what is to be said, and go.

        :param script: what is sent, and where to wait.
        :param ending: how to go, see :data:`~fuzzing.cases.ENDINGS`.
        :param patience: seconds that the service has to end a connection that the client has ended.
        """
        played = Played()
        try:
            for part in script:
                connection = await self._connection(part.connection)
                if isinstance(part, Await):
                    if not await connection.wait_for(part.text, self._pace):
                        played.missed.append(part.text)
                    self._note_session(connection)
                elif not connection.ended:
                    connection.transport.write(part.data.replace(b"{sid}", self._sid))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(connection.writable.wait(), self._pace)
            await self._go(ending, patience, played)
        finally:
            for connection in self._connections.values():
                connection.transport.abort()
        played.received = {
            number: bytes(connection.received) for number, connection in self._connections.items()
        }
        return played

    async def _connection(self, number: int) -> Connection:
        if number not in self._connections:
            _, self._connections[number] = await asyncio.get_running_loop().create_connection(
                Connection, "127.0.0.1", self._port, local_addr=(self._address, 0)
            )
        return self._connections[number]

    def _note_session(self, connection: Connection) -> None:
        if opened := OPENED.search(connection.received):
            self._sid = opened[1]

    async def _go(self, ending: str, patience: float, played: Played) -> None:
        for connection in self._connections.values():
            if ending == "reset":
                connection.reset()
            elif ending == "end" and not connection.transport.is_closing():
                with contextlib.suppress(OSError):
                    connection.transport.write_eof()
        if ending == "end":
            for number, connection in self._connections.items():
                if not await connection.wait_for_end(patience):
                    played.hanging.append(number)
