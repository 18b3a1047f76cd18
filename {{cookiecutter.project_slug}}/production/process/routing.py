"""Hand a connection to the worker whose session its next request is for.

A long-polling session lives in one process, and whichever worker accepts a connection has to serve
it. So each worker looks, at every request boundary of every connection, at the session id in the
request (see ``parsing.py``). If it names another worker of this gunicorn, the connection's descriptor
goes through that worker's inbox (see ``switchboard.py``), and with it every byte that was read since
the boundary (see ``luggage.py``): the head, what of the body came along, and requests that were
pipelined behind it. The worker then forgets the connection. A connection on which a session is about
to begin goes to the worker with the fewest sessions in the same way.

A request for a worker that is gone, or never was, is served where it is, and Engine.IO answers 400.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from production.process.identity import Place, place_of
from production.process.luggage import Luggage
from production.process.parsing import route_requests
from production.process.reading import Conditions
from production.process.switchboard import Parcel, Switchboard

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
    :param conditions: under which it reads requests.
    :param forget: called with a descriptor before it leaves.
    :param log: gunicorn's logger.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        place: Place,
        listeners: list[Any],
        *,
        conditions: Conditions,
        forget: Callable[[int], None],
        log: Any,
    ) -> None:
        self._conditions = conditions
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
        route_requests(self, self._conditions)
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

    def claim_luggage(self, descriptor: int) -> Luggage | None:
        """Return what came with a connection, once; nothing if no other worker handed it over."""
        return self._luggage.pop(descriptor, None)

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
