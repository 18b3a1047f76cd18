"""Hand a connection to the worker whose session its next request is for.

A long-polling session lives in one process, and whichever worker accepts a connection has to serve
it. So each worker looks, at every request boundary of every connection, at the session id in the
request. If it names another worker of this gunicorn, the connection's descriptor goes through that
worker's inbox (see ``switchboard.py``), and with it every byte that was read since the boundary: the
head, what of the body came along, and requests that were pipelined behind it. The worker then
forgets the connection. A connection on which a session is about to begin goes to the worker with
the fewest sessions in the same way.

The look is taken at the request as gunicorn has parsed it, with the path and the query that the app
would see, and under gunicorn's limits: there is no second opinion on where a request ends or whom
it is for. A request for a worker that is gone, or never was, is served where it is, and Engine.IO
answers 400.

This is the seam to :mod:`gunicorn.http`, where all kinds of workers get their parser from.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import gunicorn.http
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from production.process.identity import Place, place_of
from production.process.switchboard import Parcel, Switchboard

HEAD_TIME = 5.0
"""Seconds for the head of a request where gunicorn itself sets no limit."""

LARGEST_LUGGAGE = 64 * 1024
"""Bytes that can travel with a connection. Browsers and proxies send a fraction of it as a head."""

ARRIVALS_AT_ONCE = 64
"""Connections that are taken from the inbox before others have their turn."""


class Listener(NamedTuple):
    """What gunicorn asks a listening socket for, of one that may be closed already."""

    name: Any

    def getsockname(self) -> Any:
        """Return the address that it listens on."""
        return self.name


class Arrival(NamedTuple):
    """A connection that another worker has handed over.

    :param descriptor: the connection, the taker's to close.
    :param address: the peer's, as :meth:`socket.socket.accept` gave it.
    :param listener: where it was accepted.
    """

    descriptor: int
    address: Any
    listener: Listener


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


class Destination(NamedTuple):
    """Another worker that a request is for.

    :param slot: its slot.
    :param new: whether it was chosen for a session that is about to begin.
    """

    slot: int
    new: bool


class CountedSessions(dict[str, Any]):
    """Engine.IO's table of sessions; whoever wants to know is told how many they are.

    :param tell: called with the number after each change.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._tell = tell

    def __setitem__(self, sid: str, session: Any) -> None:
        super().__setitem__(sid, session)
        self._tell(len(self))

    def __delitem__(self, sid: str) -> None:
        super().__delitem__(sid)
        self._tell(len(self))

    def pop(self, *args: Any) -> Any:
        """Remove a session."""
        session = super().pop(*args)
        self._tell(len(self))
        return session


class Router:
    """What one worker knows of where requests belong.

    :param switchboard: what it shares with the others.
    :param place: which worker it is.
    :param listeners: the sockets on which it accepts.
    :param head_time: seconds for the head of a request, or nothing if gunicorn limits it.
    :param forget: called with a descriptor before it leaves.
    :param log: gunicorn's logger.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        place: Place,
        listeners: list[Any],
        *,
        head_time: float | None,
        forget: Callable[[int], None],
        log: Any,
    ) -> None:
        self.head_time = head_time
        self._switchboard = switchboard
        self._place = place
        # Asked for now: a worker that leaves has closed them.
        self._listeners = [Listener(listener.getsockname()) for listener in listeners]
        self._forget = forget
        self._log = log
        self._endpoint = ""
        self._script_name = os.environ.get("SCRIPT_NAME", "")
        self._luggage: dict[int, Luggage] = {}

    def start(self, engine: Any) -> None:
        """Let gunicorn's parsers look where requests belong, and say that this worker is there.

        :param engine: the app's :class:`~production.realtime.engine.EngineServer`.
        """
        slot = self._place.slot
        engine.id_prefix = self._place.prefix
        engine.sockets = CountedSessions(
            lambda count: self._switchboard.count_sessions(slot, count)
        )
        self._endpoint = engine.endpoint
        original = gunicorn.http.get_parser

        def get_parser(cfg: Any, source: Any, address: Any, http2_connection: bool = False) -> Any:
            if http2_connection or cfg.is_ssl or cfg.protocol != "http":
                return original(cfg, source, address, http2_connection=http2_connection)
            return RoutedParser(
                self, cfg, source, address, self._luggage.pop(source.fileno(), None)
            )

        gunicorn.http.get_parser = get_parser
        self._switchboard.open(slot, self._place.age)

    def beat(self) -> None:
        """Say that this worker is alive."""
        self._switchboard.beat(self._place.slot)

    def stop_welcoming(self) -> None:
        """Leave new sessions to the other workers."""
        self._switchboard.stop_welcoming(self._place.slot)

    def destination(self, request: Any, *, may_choose: bool) -> Destination | None:
        """Return the worker that a request is for, unless this one shall answer it.

        :param request: as gunicorn has parsed it.
        :param may_choose: whether a new session may begin elsewhere.
        """
        if not self._path(request).startswith(self._endpoint) or self._switchboard.is_alone():
            return None
        # As production/realtime/engine.py reads it.
        sid = parse_qs(request.query).get("sid", [None])[0]
        if sid is not None:
            slot = self._slot_of(sid)
            return None if slot is None else Destination(slot, new=False)
        if may_choose and request.method == "GET":
            slot = self._emptiest()
            return None if slot is None else Destination(slot, new=True)
        return None

    def listener_of(self, connection: Any) -> int:
        """Return which of the listeners has accepted a connection."""
        address = connection.getsockname()
        for number, listener in enumerate(self._listeners):
            if listener.name == address or (
                isinstance(address, tuple)
                and isinstance(listener.name, tuple)
                and listener.name[1] == address[1]
            ):
                return number
        return 0

    def hand_over(self, connection: Any, destination: Destination, luggage: Luggage) -> bool:
        """Give a connection to another worker and close this one's copy.

        :return: whether it is gone; if the other worker takes nothing, it is still here.
        """
        descriptor = connection.fileno()
        self._forget(descriptor)
        sent = self._switchboard.send(
            self._place.slot, destination.slot, luggage.pack(), descriptor, new=destination.new
        )
        if sent:
            connection.close()
        else:
            self._log.warning("The worker in slot %d takes no connections", destination.slot)
        return sent

    def has_begun(self, luggage: Luggage) -> None:
        """Count a connection that was handed over no longer as under way."""
        # It never did if the master took it out of the inbox of a worker that is gone.
        if luggage.new and luggage.slot == self._place.slot:
            self._switchboard.count_received(self._place.slot)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a connection arrives."""
        return self._switchboard.fileno(self._place.slot)

    def arrivals(self) -> Iterator[Arrival]:
        """Yield connections that have arrived, some at a time."""
        for _ in range(ARRIVALS_AT_ONCE):
            parcel = self._switchboard.receive(self._place.slot)
            if parcel is None:
                return
            arrival = self._unpack(parcel)
            if arrival is not None:
                yield arrival

    def _unpack(self, parcel: Parcel) -> Arrival | None:
        luggage = Luggage.unpack(parcel.message)
        if parcel.descriptor is None:
            self._log.warning("A connection could not be taken over: out of descriptors")
            self.has_begun(luggage)
            return None
        self._luggage[parcel.descriptor] = luggage
        return Arrival(parcel.descriptor, luggage.address, self._listeners[luggage.listener])

    def _path(self, request: Any) -> str:
        """Return the path below the app's root, as gunicorn puts it into ``PATH_INFO``."""
        script_name = self._script_name
        for name, value in request.headers:
            if name == "SCRIPT_NAME":
                script_name = value
        return unquote(request.path.removeprefix(script_name), "latin-1")

    def _slot_of(self, sid: str) -> int | None:
        """Return the slot of the other worker that a session id names, if that one lives."""
        place = place_of(sid)
        if place is None or place.host != self._place.host or place == self._place:
            return None
        return place.slot if self._switchboard.age(place.slot) == place.age else None

    def _emptiest(self) -> int | None:
        """Return the slot of a worker that has fewer sessions than this one, if there is one."""
        loads = self._switchboard.loads()
        own = loads.pop(self._place.slot, None)
        if not loads:
            return None
        least = min(loads.values())
        if own is not None and own <= least:
            return None
        return random.choice([slot for slot, load in loads.items() if load == least])  # noqa: S311
