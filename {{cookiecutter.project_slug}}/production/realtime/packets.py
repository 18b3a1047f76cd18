"""Socket.IO packets as a client may send them and as every client can read them, and nothing else.

Upstream's decoder lets a client run the ``connect`` and ``disconnect`` handlers by naming them as
events, announces four billion attachments on its behalf, and raises whatever the parts of a broken
packet happen to raise. See the Socket.IO protocol, revision 5, section "Packet encoding".
"""

from __future__ import annotations

from typing import Any

from socketio import packet
from socketio.packet import Packet

from production.realtime.attachments import together
from production.realtime.sendable import MAX_ATTACHMENTS, Unsendable, check, write

RESERVED_EVENTS = frozenset({"connect", "connect_error", "disconnect", "__disconnect_final"})
"""Events that only the server raises."""

EVENTS = (packet.EVENT, packet.BINARY_EVENT)
ACKNOWLEDGEMENTS = (packet.ACK, packet.BINARY_ACK)
BINARY = (packet.BINARY_EVENT, packet.BINARY_ACK)
WITH_ATTACHMENTS = {
    packet.EVENT: packet.BINARY_EVENT,
    packet.BINARY_EVENT: packet.BINARY_EVENT,
    packet.ACK: packet.BINARY_ACK,
    packet.BINARY_ACK: packet.BINARY_ACK,
}
"""What the type of a packet is with attachments."""

FROM_CLIENTS = (packet.CONNECT, packet.DISCONNECT, *EVENTS, *ACKNOWLEDGEMENTS)


class MalformedPacket(ValueError):
    """A client sent what is no Socket.IO packet, or one that it must not send."""


class UnsendableAnswer(Unsendable):
    """What a handler has returned, and its client could not read."""


class Checked:
    """A mixin for packets: what may come from a client, and whose fault it is if something cannot be sent."""

    # Upstream's
    packet_type: int
    data: Any
    id: int | None

    def named(self, fault: Unsendable) -> Unsendable:
        """Return a fault, said of this packet."""
        if self.packet_type in EVENTS:
            return fault.of(f"The event {self.data[0]!r}")
        if self.packet_type in ACKNOWLEDGEMENTS:
            return UnsendableAnswer(fault.code, fault.message).of("The acknowledgement")
        return fault.of("The refusal")

    def check_data(self) -> None:
        """Refuse what a packet of its type does not hold.

        :raises MalformedPacket: saying what is wrong.
        """
        if self.packet_type in EVENTS:
            if not isinstance(self.data, list) or not self.data:
                raise MalformedPacket("an event is a list")
            if not isinstance(self.data[0], str):
                raise MalformedPacket("an event begins with its name")
            if self.data[0] in RESERVED_EVENTS:
                raise MalformedPacket("the event's name is reserved")
        elif self.packet_type in ACKNOWLEDGEMENTS:
            if not isinstance(self.data, list) or self.id is None:
                raise MalformedPacket("an acknowledgement is a list with an id")
        elif self.packet_type == packet.CONNECT and not isinstance(self.data, dict | None):
            raise MalformedPacket("authentication is an object")


class StrictPacket(Checked, Packet):  # type: ignore[misc]
    """Decodes what clients may send, encodes what they can read; Socket.IO's ``serializer``."""

    max_attachments = MAX_ATTACHMENTS
    """How many attachments a packet may have that is sent."""

    @classmethod
    def limited_to(cls, max_attachments: int) -> type[StrictPacket]:
        """Return the class whose packets have so many attachments at most."""
        return type(cls.__name__, (cls,), {"max_attachments": max_attachments})

    @classmethod
    def data_is_binary(cls, data: Any) -> bool:
        """Tell upstream that there are no bytes: :meth:`encode` comes upon them by itself."""
        return False

    def encode(self) -> Any:
        """Encode the packet.

        :return: its text, or a list of that and its attachments, which are sent in one piece.
        :raises Unsendable: if a client could not read it, with what it is.
        """
        attachments: list[bytes] = []
        text = ""
        if self.data is not None:
            try:
                text, attachments = write(self.data, self.json)
                check(text, len(attachments), self.max_attachments)
            except Unsendable as fault:
                raise self.named(fault) from fault
        head = str(self.packet_type)
        if attachments or self.packet_type in BINARY:
            if self.packet_type not in WITH_ATTACHMENTS:
                raise ValueError("Packet does not support binary payload.")
            head = f"{WITH_ATTACHMENTS[self.packet_type]}{len(attachments)}-"
        if self.namespace is not None and self.namespace != "/":
            head += f"{self.namespace},"
        if self.id is not None:
            head += str(self.id)
        return together([head + text, *attachments]) if attachments else head + text

    def decode(self, encoded_packet: Any) -> int:
        """Decode the text of a packet.

        :param encoded_packet: what Engine.IO received as one message.
        :return: how many attachments belong to it.
        :raises MalformedPacket: saying what is wrong.
        """
        if not isinstance(encoded_packet, str):
            raise MalformedPacket("a packet is text")
        try:
            attachments: int = super().decode(encoded_packet)
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            raise MalformedPacket("the packet cannot be decoded") from error
        self._check_type(attachments)
        self.check_data()
        return attachments

    def add_attachment(self, attachment: Any) -> bool:
        """Add the next attachment.

        :param attachment: what Engine.IO received as one message.
        :return: whether it was the last, and ``data`` is complete.
        :raises MalformedPacket: if it is no binary message, or the packet's placeholders are wrong.
        """
        if not isinstance(attachment, bytes):
            raise MalformedPacket("an attachment is binary")
        try:
            return bool(super().add_attachment(attachment))
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            raise MalformedPacket("the attachments do not fit the packet") from error

    @classmethod
    def reconstruct_binary(cls, data: Any, attachments: list[bytes]) -> Any:
        """Put the attachments where the placeholders are, which are what the official client takes for them.

        In place: upstream builds all of it anew, which takes as long as ten other messages.

        :raises ValueError: if there are not as many.
        """
        containers = [data]
        for container in containers:
            items = container.items() if isinstance(container, dict) else enumerate(container)
            for key, value in items:
                if isinstance(value, dict) and value.get("_placeholder") is True:
                    number = value.get("num")
                    if type(number) is not int or not 0 <= number < len(attachments):
                        raise ValueError("there is no such attachment")
                    container[key] = attachments[number]
                elif isinstance(value, dict | list):
                    containers.append(value)
        return data

    def _check_type(self, attachments: int) -> None:
        if self.packet_type not in FROM_CLIENTS:
            raise MalformedPacket("clients do not send packets of this type")
        if (self.packet_type in BINARY) is not (attachments > 0):
            raise MalformedPacket("the number of attachments does not fit the packet's type")
