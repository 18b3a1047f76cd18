"""Look at each request as gunicorn has parsed it, and stop where one is for another worker.

The look is taken with the path and the query that the app would see, and under gunicorn's limits:
there is no second opinion on where a request ends or whom it is for.

This is the seam to :mod:`gunicorn.http`, where all kinds of workers get their parser from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gunicorn.http
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders
from gunicorn.http.parser import RequestParser

from production.process.broken_bodies import BodyReader
from production.process.luggage import LARGEST_LUGGAGE, Luggage
from production.process.reading import Conditions, TimedUnreader

if TYPE_CHECKING:
    from production.process.routing import Router

HTTP_1_1 = (1, 1)


class TimedParser(RequestParser):  # type: ignore[misc]
    """Yields the requests of a connection as long as they come in time, and in turn with others.

    :param conditions: under which this worker reads.
    :param cfg: gunicorn's configuration.
    :param connection: the socket.
    :param address: the peer's.
    """

    # gunicorn's
    mesg: Any

    def __init__(self, conditions: Conditions, cfg: Any, connection: Any, address: Any) -> None:
        super().__init__(cfg, connection, address)
        self.unreader = TimedUnreader(connection, conditions)

    def __next__(self) -> Any:
        """Return the next request.

        :raises StopIteration: if there is none.
        :raises RequestTimeout: if it does not come in time.
        """
        # What gunicorn is about to do; here so that the head begins with the next request.
        if self.mesg and (self.mesg.should_close() or not self.finish_body()):
            raise StopIteration
        self.unreader.start_head()
        try:
            request = super().__next__()
        finally:
            self.unreader.end_head()
        _check_host(request)
        # Answered as what it is, and not as what the client says (RFC 9110, section 6.2).
        request.version = min(request.version, HTTP_1_1)
        request.body.reader = BodyReader(request.body.reader)
        self.unreader.start_body(request)
        return request

    next = __next__


class RoutedParser(TimedParser):
    """Yields the requests of a connection until one of them is for another worker.

    :param router: this worker's router.
    :param conditions: under which this worker reads.
    :param cfg: gunicorn's configuration.
    :param connection: the socket.
    :param address: the peer's.
    :param luggage: what came with the connection, if another worker handed it over.
    """

    # gunicorn's
    req_count: int

    def __init__(
        self,
        router: Router,
        conditions: Conditions,
        cfg: Any,
        connection: Any,
        address: Any,
        luggage: Luggage | None,
    ) -> None:
        super().__init__(conditions, cfg, connection, address)
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
        try:
            request = super().__next__()
        finally:
            if self._luggage is not None:
                # Only now: by the time that another worker looks, the session counts itself.
                self._router.has_begun(self._luggage)
                self._luggage = None
        self._proxy = request.proxy_protocol_info or self._proxy
        if not request.proxy_protocol_info:
            request.proxy_protocol_info = self._proxy
        if self._is_handed_over(request, self.unreader.take_head()):
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


def _check_host(request: Any) -> None:
    """Refuse what RFC 9112, section 3.2, has a server refuse; of more than one, gunicorn sees to it.

    :raises InvalidHeader: if a request of HTTP/1.1 names no host.
    """
    if request.version >= HTTP_1_1 and all(name != "HOST" for name, _ in request.headers):
        raise InvalidHeader("HOST is missing", req=request)


_original_get_parser = gunicorn.http.get_parser


def time_requests(conditions: Conditions) -> None:
    """Have gunicorn's workers parse with :class:`TimedParser` from now on.

    :param conditions: under which this worker reads.
    """

    def get_parser(cfg: Any, source: Any, address: Any, http2_connection: bool = False) -> Any:
        if http2_connection or cfg.protocol != "http":
            return _original_get_parser(cfg, source, address, http2_connection=http2_connection)
        return TimedParser(conditions, cfg, source, address)

    gunicorn.http.get_parser = get_parser


def route_requests(router: Router, conditions: Conditions) -> None:
    """Have gunicorn's workers parse with :class:`RoutedParser` from now on, where they can.

    :param router: this worker's router.
    :param conditions: under which this worker reads.
    """
    timed = gunicorn.http.get_parser

    def get_parser(cfg: Any, source: Any, address: Any, http2_connection: bool = False) -> Any:
        if http2_connection or cfg.is_ssl or cfg.protocol != "http":
            return timed(cfg, source, address, http2_connection=http2_connection)
        luggage = router.claim_luggage(source.fileno())
        return RoutedParser(router, conditions, cfg, source, address, luggage)

    gunicorn.http.get_parser = get_parser
