"""One update of a channel, as it is numbered, kept and sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from socketio.packet import BINARY_EVENT, EVENT, Packet

from production.realtime.sendable import MAX_ATTACHMENTS, MAX_DEPTH, check, check_numbers, write

OVERHEAD = 200
"""Bytes that an update is counted with beside its data: what a stream entry needs, rounded up."""

Encoded = tuple[str | bytes, ...]
"""A text, and the attachments that belong to it."""


NOTHING: Encoded = ("",)
"""What is left of data that cannot be read."""


class Unreadable(ValueError):
    """What was kept is no update: an older release, another program or somebody's hand wrote it."""


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
        """Return what the clients are sent.

        :raises Unreadable: if it was not written by this service.
        """
        try:
            sent_at = datetime.fromtimestamp(self.sent_at / 1000, UTC)
        except (OverflowError, ValueError) as error:
            raise Unreadable("its time is none") from error
        return {
            "channel": self.channel,
            "data": decode(self.encoded),
            "sequence": self.sequence,
            "epoch": self.epoch,
            "sent_at": sent_at.isoformat(timespec="milliseconds"),
        }


def size_of(encoded: Encoded) -> int:
    """Return how many bytes encoded data counts for, as who receives it counts them."""
    return OVERHEAD + sum(map(_length, encoded))


def _length(part: str | bytes) -> int:
    return len(part) if isinstance(part, bytes) or part.isascii() else len(part.encode())


def encode(data: Any, max_attachments: int = MAX_ATTACHMENTS) -> Encoded:
    """Write data as a Socket.IO packet does: JSON, and the bytes in it as attachments.

    :param data: JSON, bytes, or both.
    :param max_attachments: how many attachments it may have.
    :raises Unsendable: if one of those who receive it could not read it.
    """
    text, attachments = write([data])
    # The list around it is one of the two levels that are around it in the end.
    check(text, len(attachments), max_attachments, MAX_DEPTH + 1)
    check_numbers(text)
    if attachments:
        return (f"{BINARY_EVENT}{len(attachments)}-{text}", *attachments)
    return (f"{EVENT}{text}",)


def decode(encoded: Encoded) -> Any:
    """Read what :func:`encode` wrote.

    :raises Unreadable: if it is something else.
    """
    try:
        text, *attachments = encoded
        packet = Packet(encoded_packet=text)
        for attachment in attachments:
            packet.add_attachment(attachment)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Unreadable(f"it cannot be decoded: {error}") from error
    complete = packet.attachment_count == len(attachments)
    if not complete or not isinstance(packet.data, list) or len(packet.data) != 1:
        raise Unreadable("it is no update")
    return packet.data[0]
