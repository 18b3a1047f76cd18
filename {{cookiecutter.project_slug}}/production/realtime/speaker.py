"""wsproto's side of a WebSocket that speaks for a server, with what it does not tell or know.

This is the seam to :mod:`wsproto`; its private names are used here only.
"""

from __future__ import annotations

import struct
from typing import cast

from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol

BAD_GATEWAY = 1014
"""A close code that is registered since wsproto's list was written, for gateways:
https://www.iana.org/assignments/websocket/websocket.xml."""

_BAD_GATEWAY = struct.pack("!H", BAD_GATEWAY)
_LIKE_IT = struct.pack("!H", CloseReason.TRY_AGAIN_LATER)


class Speaker(Connection):
    """Reads what a client sends beyond plain messages, and writes what is to be said to that."""

    def __init__(self) -> None:
        super().__init__(ConnectionType.SERVER)
        self._proto = _Protocol(client=False, extensions=[])

    def announced(self) -> int:
        """Return how many bytes are still to come of a frame of a message.

        Its head says so before any of them is there.
        """
        decoder = self._proto._frame_decoder
        if decoder.header is None or decoder.header.opcode.iscontrol():
            return 0
        return decoder.header.payload_len - decoder.payload_consumed


class _Protocol(FrameProtocol):
    def _process_close(self, frame: Frame) -> Frame:
        payload = cast(bytes, frame.payload)
        if payload[:2] != _BAD_GATEWAY:
            return super()._process_close(frame)
        read = super()._process_close(frame._replace(payload=_LIKE_IT + payload[2:]))
        _, reason = cast(tuple[int, str], read.payload)
        return read._replace(payload=(BAD_GATEWAY, reason))
