"""The binary parts of a packet, sent in one piece with its text.

A client takes whatever comes after such a text for its attachments, and ends the session if that is
something else: Socket.IO protocol, revision 5, section "Packet encoding". Upstream sends the parts one by
one, so that threads which emit to one client at the same time get between each other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engineio.packet import MESSAGE, Packet


class Attachment(bytes):
    """An attachment that goes with its text, and must not be sent once more by itself."""


class TextWithAttachments(str):
    """The text of a packet, and what has to follow it."""

    attachments: Sequence[Attachment]


def together(encoded: Sequence[Any]) -> list[Any]:
    """Tie the parts of an encoded packet to each other.

    :param encoded: the text, then the attachments, as Socket.IO's packets are encoded.
    :return: the same, to be sent in the same way.
    """
    text = TextWithAttachments(encoded[0])
    text.attachments = [Attachment(part) for part in encoded[1:]]
    return [text, *text.attachments]


def attachments_of(packet: Any) -> Sequence[Attachment]:
    """Return what goes with an Engine.IO packet; nothing with most.

    :param packet: an Engine.IO packet.
    """
    attachments: Sequence[Attachment] = getattr(packet.data, "attachments", ())
    return attachments


def parts_of(packet: Any) -> list[Any]:
    """Return an Engine.IO packet and those of its attachments, in the order in which they are sent.

    :param packet: an Engine.IO packet.
    """
    return [packet, *(Packet(MESSAGE, data=each) for each in attachments_of(packet))]
