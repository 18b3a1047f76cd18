"""Reads what a service has answered, as strictly as it must have been written."""

from __future__ import annotations

import re

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]*\r\n")
LENGTH = re.compile(rb"(?im)^content-length: *([0-9]+)\r$")
CHUNKED = re.compile(rb"(?im)^transfer-encoding: *chunked\r$")
CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")

NOT_UNDERSTOOD = 501
"""What a request with an unknown transfer coding is answered with (RFC 9112, section 6.1)."""


class NotHttp(Exception):
    """An answer that is none."""


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers on a connection, up to what is no longer HTTP.

    :param data: all that it has brought.
    :raises NotHttp: if it is not what it has to be.
    """
    found: list[int] = []
    while data:
        line = STATUS_LINE.match(data)
        if line is None:
            if b"\r\n" in data or len(data) > 100:
                raise NotHttp(data[:200])
            return found  # cut by an end of the connection
        found.append(int(line[1]))
        head, complete, data = data.partition(b"\r\n\r\n")
        if not complete or found[-1] == 101:
            return found
        data = data[_length(head + b"\r\n", found[-1], data) :]
    return found


def server_errors(data: bytes) -> list[int]:
    """Return the statuses that say that the service has failed.

    :param data: all that a connection has brought.
    """
    return [status for status in statuses(data) if status >= 500 and status != NOT_UNDERSTOOD]


def _length(head: bytes, status: int, data: bytes) -> int:
    """Return how much of the data is the answer's body; HEAD is answered without one."""
    if status < 200 or status in (204, 304) or STATUS_LINE.match(data):
        return 0
    if length := LENGTH.search(head):
        return int(length[1])
    if not CHUNKED.search(head):
        return len(data)
    end = 0
    while chunk := CHUNK.match(data, end):
        size = int(chunk[1], 16)
        end = chunk.end() + size + len(b"\r\n")
        if not size:
            return end
    return len(data)
