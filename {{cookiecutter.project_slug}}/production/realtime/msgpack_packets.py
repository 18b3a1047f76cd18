"""Socket.IO packets in MessagePack, as strict as those in JSON.

Clients need socket.io-msgpack-parser, or what speaks as it does; the bytes in a packet need no attachments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgpack import ExtType
from msgpack.exceptions import UnpackException
from socketio import packet
from socketio.msgpack_packet import MsgPackPacket

from production.realtime.packets import Checked, MalformedPacket
from production.realtime.sendable import ENVELOPE, MAX_DEPTH, Unsendable, too_deep

ARRAY_BUFFER = 0
"""The type of extension as which the official parser's library, notepack, writes an ``ArrayBuffer``."""

FROM_CLIENTS = (packet.CONNECT, packet.DISCONNECT, packet.EVENT, packet.ACK)


class StrictMsgPackPacket(Checked, MsgPackPacket):  # type: ignore[misc]
    """Decodes what clients may send, encodes what they can read; Socket.IO's ``serializer``."""

    @staticmethod
    def ext_hook(code: int, data: bytes) -> Any:
        """Read an extension: what are bytes to a browser are bytes here.

        :param code: its type.
        :param data: what it holds.
        """
        return data if code == ARRAY_BUFFER else ExtType(code, data)

    def encode(self) -> bytes:
        """Encode the packet.

        :raises Unsendable: if MessagePack has no place for it, with what it is.
        """
        try:
            _check_depth(self.data)
            encoded: bytes = super().encode()
        except Unsendable as fault:
            raise self.named(fault) from fault
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.named(Unsendable("not_msgpack", str(error))) from error
        return encoded

    def decode(self, encoded_packet: Any) -> int:
        """Decode a packet.

        :param encoded_packet: what Engine.IO received as one message.
        :return: 0, the number of its attachments.
        :raises MalformedPacket: saying what is wrong.
        """
        if not isinstance(encoded_packet, bytes):
            raise MalformedPacket("a packet is binary")
        try:
            super().decode(encoded_packet)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
            UnpackException,
        ) as error:
            raise MalformedPacket("the packet cannot be decoded") from error
        self._check_head()
        self.check_data()
        return 0

    def _check_head(self) -> None:
        if type(self.packet_type) is not int or self.packet_type not in FROM_CLIENTS:
            raise MalformedPacket("clients do not send packets of this type")
        if not isinstance(self.namespace, str):
            raise MalformedPacket("a namespace is text")
        if self.id is not None and (type(self.id) is not int or self.id < 0):
            raise MalformedPacket("an id is a number")


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH + ENVELOPE):
        level = [item for container in level for item in _items(container)]
        if not level:
            return
    raise too_deep()


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
