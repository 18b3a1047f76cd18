"""One update of a channel, as it is numbered, kept and sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from socketio.packet import EVENT, Packet

OVERHEAD = 200
"""Bytes that an update is counted with beside its data: what a stream entry needs, rounded up."""

Encoded = tuple[str | bytes, ...]


@dataclass(frozen=True)
class Position:
    """How far somebody has followed a channel.

    :param sequence: the number of the last update, 0 before the first.
    :param epoch: which numbering the number belongs to; empty if that is not known.
    """

    sequence: int = 0
    epoch: str = ""


@dataclass(frozen=True)
class Update:
    """What was published on a channel.

    :param channel: the channel's name.
    :param sequence: 1, 2, 3 and so on within an epoch of the channel.
    :param epoch: names a numbering; a channel whose numbers were lost starts another one.
    :param sent_at: milliseconds since 1970.
    :param encoded: the data, see :func:`encode`.
    """

    channel: str
    sequence: int
    epoch: str
    sent_at: int
    encoded: Encoded

    @property
    def size(self) -> int:
        """How many bytes it counts for."""
        return size_of(self.encoded)

    def payload(self) -> dict[str, Any]:
        """Return what the clients are sent."""
        sent_at = datetime.fromtimestamp(self.sent_at / 1000, UTC)
        return {
            "channel": self.channel,
            "data": decode(self.encoded),
            "sequence": self.sequence,
            "epoch": self.epoch,
            "sent_at": sent_at.isoformat(timespec="milliseconds"),
        }


def size_of(encoded: Encoded) -> int:
    """Return how many bytes encoded data counts for."""
    return OVERHEAD + sum(len(part) for part in encoded)


def encode(data: Any) -> Encoded:
    """Write data as a Socket.IO packet does: JSON, and the bytes in it as attachments.

    :raises TypeError: if it is neither JSON nor bytes.
    """
    packet = Packet(EVENT, data=[data]).encode()
    if isinstance(packet, str):
        return (packet,)
    text, *attachments = packet
    return (text, *map(bytes, attachments))


def decode(encoded: Encoded) -> Any:
    """Read what :func:`encode` wrote.

    :raises ValueError: if it is something else.
    """
    text, *attachments = encoded
    packet = Packet(encoded_packet=text)
    for attachment in attachments:
        packet.add_attachment(attachment)
    return packet.data[0]
