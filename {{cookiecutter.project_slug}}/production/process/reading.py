"""Read requests in time, and in turn with others.

A request that does not come is answered with 408 (RFC 9110, section 15.5.9), and its connection closed.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from gunicorn.http.unreader import SocketUnreader

from production.process.luggage import LARGEST_LUGGAGE
from production.process.waiting_room import WaitingRoom
from production.turns import Turn

HEAD_TIME = 5.0
"""Seconds for the head of a request where gunicorn itself sets no limit."""

BODY_TIME = 10.0
"""Seconds for the body of a request; half of what Apache's mod_reqtimeout gives."""

LEAST_RATE = 500
"""Bytes that earn a body another second: Apache's rate."""

SOONEST = 0.001
"""Seconds of the shortest time-out; 0 would mean not to wait at all."""


@dataclass(frozen=True)
class Conditions:
    """Under which a worker reads.

    :param mode: its async mode.
    :param head_time: seconds that the head of a request may take.
    :param room: where its connections wait for their peers.
    """

    mode: str
    head_time: float
    room: WaitingRoom


class TimedUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads for a parser, and remembers what it has read of a head.

    :param connection: the socket.
    :param conditions: under which to read.
    """

    def __init__(self, connection: Any, conditions: Conditions) -> None:
        super().__init__(connection)
        self._head_time = conditions.head_time
        self._room = conditions.room
        self._turn = Turn(conditions.mode)
        self._deadline = 0.0
        self._record: bytearray | None = None
        self._head = b""
        # The one whose body is next.
        self._request: Any = None
        self._is_dismissed = False

    def start_head(self) -> None:
        """Begin to record, with what is here already."""
        self._turn.check()
        self._request = None
        self._record = bytearray(self.buf.getvalue())
        self._deadline = time.monotonic() + self._head_time

    def end_head(self) -> None:
        """Stop recording."""
        self._head, self._record = bytes(self._record or b""), None

    def take_head(self) -> bytes:
        """Return what was read of the head, and with it, once."""
        head, self._head = self._head, b""
        return head

    def start_body(self, request: Any) -> None:
        """Begin with the body of a request; its time begins when somebody wants to read it.

        :param request: as gunicorn has parsed its head.
        """
        self._request = request
        self._deadline = 0.0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read from the socket.

        :raises StopIteration: which ends the connection, if no further request comes in time.
        :raises RequestTimeout: if one that has begun does not.
        """
        self._deadline = self._deadline or time.monotonic() + BODY_TIME
        self._turn.check()
        self._room.enter(self)
        try:
            self.sock.settimeout(max(self._deadline - time.monotonic(), SOONEST))
            data: bytes = super().chunk(size_hint)
        except OSError as error:
            if self._is_dismissed:
                self._give_up("crowded")
            if isinstance(error, TimeoutError):
                self._give_up("head" if self._request is None else "body")
            raise
        finally:
            self._turn.go_on()
            self._room.leave(self)
            self.sock.settimeout(None)
        if self._is_dismissed:
            self._give_up("crowded")
        if self._record is None:
            self._deadline += len(data) / LEAST_RATE
        elif len(self._record) <= LARGEST_LUGGAGE:
            self._record += data
        return data

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come of a next request."""
        return self._request is None and not self._record

    def dismiss(self) -> None:
        """Stop to wait."""
        self._is_dismissed = True
        # Whoever waits wakes up, and can still answer.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    def _give_up(self, why: str) -> NoReturn:
        # The master imports this module, and must not import what the workers have yet to patch.
        from werkzeug.exceptions import RequestTimeout

        from production.observe import metrics

        if self.is_idle:
            raise StopIteration
        metrics.slow_requests.labels(why).inc()
        if self._request is not None:
            self._request.force_close()
        raise RequestTimeout
