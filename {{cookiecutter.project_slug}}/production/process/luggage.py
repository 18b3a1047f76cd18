"""What travels with a connection that is handed over: where it came from, and what was read of it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

LARGEST_LUGGAGE = 64 * 1024
"""Bytes that can travel with a connection. Browsers and proxies send a fraction of it as a head."""


class Luggage(NamedTuple):
    """What travels with a connection.

    :param address: the peer's.
    :param listener: which of gunicorn's listeners accepted it.
    :param requests: how many requests were parsed on it, the one that it is handed over with aside.
    :param proxy: what the PROXY protocol said at the beginning of the connection.
    :param slot: the slot of the worker that it is for.
    :param new: whether a session is expected to begin.
    :param data: what was read since the request boundary.
    """

    address: Any
    listener: int
    requests: int
    proxy: dict[str, Any] | None
    slot: int
    new: bool
    data: bytes

    def pack(self) -> bytes:
        """Return it as a message."""
        address = self.address.decode() if isinstance(self.address, bytes) else self.address
        return json.dumps([address, *self[1:-1]]).encode() + b"\n" + self.data

    @classmethod
    def unpack(cls, message: bytes) -> Luggage:
        """Read a message of :meth:`pack`."""
        head, _, data = message.partition(b"\n")
        address, listener, requests, proxy, slot, new = json.loads(head)
        if isinstance(address, list):
            address = tuple(address)
        return cls(address, listener, requests, proxy, slot, new, data)
