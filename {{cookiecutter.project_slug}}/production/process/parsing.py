"""Look at each request as gunicorn has parsed it, and stop where one is for another worker.

The look is taken with the path and the query that the app would see, and under gunicorn's limits:
there is no second opinion on where a request ends or whom it is for.

This is the seam to :mod:`gunicorn.http`, where all kinds of workers get their parser from.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gunicorn.http
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from production.process.luggage import LARGEST_LUGGAGE, Luggage

if TYPE_CHECKING:
    from production.process.routing import Router

HEAD_TIME = 5.0
"""Seconds for the head of a request where gunicorn itself sets no limit."""


class RecordingUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads for a parser, and remembers what it has read of a head.

    :param connection: the socket.
    :param head_time: seconds for a head, or nothing if gunicorn limits it.
    """

    def __init__(self, connection: Any, head_time: float | None) -> None:
        super().__init__(connection)
        self._head_time = head_time
        self._deadline: float | None = None
        self._record: bytearray | None = None

    def start_head(self) -> None:
        """Begin to record, with what is here already."""
        self._record = bytearray(self.buf.getvalue())
        if self._head_time is not None:
            self._deadline = time.monotonic() + self._head_time

    def end_head(self) -> bytes:
        """Stop recording and return the record."""
        record, self._record = bytes(self._record or b""), None
        if self._deadline is not None:
            self._deadline = None
            self.sock.settimeout(None)
        return record

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read from the socket.

        :raises StopIteration: which ends the connection, if the head takes too long.
        """
        if self._deadline is not None:
            self.sock.settimeout(max(self._deadline - time.monotonic(), 0.001))
        try:
            data: bytes = super().chunk(size_hint)
        except TimeoutError:
            raise StopIteration from None
        if self._record is not None and len(self._record) <= LARGEST_LUGGAGE:
            self._record += data
        return data


class RoutedParser(RequestParser):  # type: ignore[misc]
    """Yields the requests of a connection until one of them is for another worker.

    :param router: this worker's router.
    :param cfg: gunicorn's configuration.
    :param connection: the socket.
    :param address: the peer's.
    :param luggage: what came with the connection, if another worker handed it over.
    """

    # gunicorn's
    mesg: Any
    req_count: int

    def __init__(
        self, router: Router, cfg: Any, connection: Any, address: Any, luggage: Luggage | None
    ) -> None:
        super().__init__(cfg, connection, address)
        self.unreader = RecordingUnreader(connection, router.head_time)
        self._router = router
        self._connection = connection
        self._proxy: dict[str, Any] | None = None
        # One that was chosen for a new session does not choose again.
        self._may_choose = True
        self._luggage = luggage
        if luggage is not None:
            self.unreader.unread(luggage.data)
            self.req_count = luggage.requests
            self._proxy = luggage.proxy
            self._may_choose = not luggage.new

    def __next__(self) -> Any:
        """Return the next request that is for this worker.

        :raises StopIteration: if there is none, or the connection belongs to another worker now.
        """
        # What gunicorn is about to do; here so that the record begins with the next request.
        if self.mesg and (self.mesg.should_close() or not self.finish_body()):
            raise StopIteration
        self.unreader.start_head()
        try:
            request = super().__next__()
        finally:
            record = self.unreader.end_head()
            if self._luggage is not None:
                # Only now: by the time that another worker looks, the session counts itself.
                self._router.has_begun(self._luggage)
                self._luggage = None
        self._proxy = request.proxy_protocol_info or self._proxy
        if not request.proxy_protocol_info:
            request.proxy_protocol_info = self._proxy
        if self._is_handed_over(request, record):
            raise StopIteration
        return request

    next = __next__

    def _is_handed_over(self, request: Any, record: bytes) -> bool:
        destination = self._router.destination(request, may_choose=self._may_choose)
        self._may_choose = True
        if destination is None:
            return False
        if len(record) > LARGEST_LUGGAGE:
            if destination.new:
                return False
            raise LimitRequestHeaders("too large for another worker's session")
        requests = self.req_count - 1
        luggage = Luggage(
            self.source_addr,
            self._router.listener_of(self._connection),
            requests,
            # At the first request the record begins with the PROXY header itself.
            self._proxy if requests else None,
            destination.slot,
            destination.new,
            record,
        )
        return self._router.hand_over(self._connection, destination, luggage)


def route_requests(router: Router) -> None:
    """Have gunicorn's workers parse with :class:`RoutedParser` from now on.

    :param router: this worker's router.
    """
    original = gunicorn.http.get_parser

    def get_parser(cfg: Any, source: Any, address: Any, http2_connection: bool = False) -> Any:
        if http2_connection or cfg.is_ssl or cfg.protocol != "http":
            return original(cfg, source, address, http2_connection=http2_connection)
        return RoutedParser(router, cfg, source, address, router.claim_luggage(source.fileno()))

    gunicorn.http.get_parser = get_parser
