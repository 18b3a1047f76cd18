"""The WebSocket frames that nearly all are: one whole message each (RFC 6455, section 5.2).

What is fragmented, a control frame or wrong is left to wsproto. To do that for every message would cost
more than all else that is done with a small one.
"""

from __future__ import annotations

import struct

from wsproto.frame_protocol import XorMaskerSimple

Message = str | bytes

# The first byte of a frame that is a whole message: the last of its fragments, without extensions.
WHOLE_TEXT = 0x81
WHOLE_BINARY = 0x82

MASKED = 0x80
MASK_SIZE = 4

SMALL = 1024
"""Bytes of a payload that is unmasked as one number; more are faster in wsproto's way."""

# Lengths that announce a longer one in so many further bytes, and the least that these may say.
TWO_BYTES, LEAST_OF_TWO = 126, 126
EIGHT_BYTES, LEAST_OF_EIGHT = 127, 65536


class NotPlain(Exception):
    """A frame that is for wsproto to read, or to find fault with."""


def encode_frame(message: Message) -> bytes:
    """Return the bytes of a message on the wire; a server's frames have no mask."""
    if isinstance(message, str):
        first, payload = WHOLE_TEXT, message.encode()
    else:
        first, payload = WHOLE_BINARY, message
    length = len(payload)
    if length < LEAST_OF_TWO:
        return bytes((first, length)) + payload
    if length < LEAST_OF_EIGHT:
        return struct.pack("!BBH", first, TWO_BYTES, length) + payload
    return struct.pack("!BBQ", first, EIGHT_BYTES, length) + payload


def read_plain(data: bytes, start: int, most: int) -> tuple[Message, int] | None:
    """Read a client's frame that is a whole message.

    :param data: what was received.
    :param start: where in it the frame begins.
    :param most: bytes that the message may have.
    :return: the message and where its frame ends; nothing until the frame is there completely.
    :raises NotPlain: if it is another frame, a larger one, or breaks a rule.
    """
    available = len(data) - start
    if available and data[start] not in (WHOLE_TEXT, WHOLE_BINARY):
        raise NotPlain
    if available < 2:
        return None
    length = data[start + 1] - MASKED
    begin = start + 2
    if length >= TWO_BYTES:
        size, least = (2, LEAST_OF_TWO) if length == TWO_BYTES else (8, LEAST_OF_EIGHT)
        if available < 2 + size:
            return None
        length = int.from_bytes(data[begin : begin + size])
        if length < least:
            raise NotPlain
        begin += size
    if not 0 <= length <= most:
        raise NotPlain
    begin += MASK_SIZE
    end = begin + length
    if end > len(data):
        return None
    payload = _unmask(data[begin - MASK_SIZE : begin], data[begin:end])
    if data[start] == WHOLE_BINARY:
        return payload, end
    try:
        return payload.decode(), end
    except UnicodeDecodeError:
        raise NotPlain from None


def _unmask(mask: bytes, payload: bytes) -> bytes:
    """Apply a mask (RFC 6455, section 5.3)."""
    length = len(payload)
    if length > SMALL:
        return bytes(XorMaskerSimple(mask).process(bytearray(payload)))
    key = (mask * (length // MASK_SIZE + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)
