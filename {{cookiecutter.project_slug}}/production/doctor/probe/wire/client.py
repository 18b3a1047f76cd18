"""A Socket.IO client, revision 5 of the protocol, over a session of either transport."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from socketio import packet as types
from socketio.packet import Packet

from production.doctor.probe.wire.engine import MESSAGE, Session, excerpt
from production.doctor.probe.wire.faults import Garbled, WireFault


class NotWelcome(WireFault):
    """The server did not let the client into the namespace.

    :param said: what it said.
    """

    def __init__(self, said: Any) -> None:
        message = said.get("message", said) if isinstance(said, dict) else said
        super().__init__(str(message))
        self.message = str(message)


class Client:
    """A client that has joined a namespace.

    :param session: an open session; it ends with the client.
    :param namespace: what to join.
    :param auth: what to send along.
    :param patience: seconds within which an answer has to come.
    :raises NotWelcome: if the server declines.
    """

    def __init__(
        self, session: Session, namespace: str, auth: dict[str, Any] | None, patience: float
    ) -> None:
        self.session = session
        self.namespace = namespace
        self._patience = patience
        self._numbers = itertools.count(1)
        self._kept: list[Packet] = []
        self._send(types.CONNECT, auth)
        answer = self._wait(lambda one: one.packet_type in {types.CONNECT, types.CONNECT_ERROR})
        if answer.packet_type == types.CONNECT_ERROR:
            raise NotWelcome(answer.data)
        #: The id in the namespace.
        self.sid = str(answer.data.get("sid", "")) if isinstance(answer.data, dict) else ""

    def call(self, event: str, *data: Any, within: float | None = None) -> Any:
        """Emit an event and return what it is acknowledged with.

        :param within: seconds to wait; the client's patience by default.
        :raises TimeoutError: if it is not.
        """
        number = next(self._numbers)
        self._send(types.EVENT, [event, *data], number)
        answer = self._wait(
            lambda one: one.packet_type == types.ACK and one.id == number, within=within
        )
        return answer.data[0] if isinstance(answer.data, list) and answer.data else None

    def wait_for(self, event: str, within: float | None = None) -> list[Any]:
        """Wait for an event, which may have come already, and return what it brings.

        :param within: seconds to wait; the client's patience by default.
        :raises TimeoutError: if it does not come.
        """

        def is_wanted(one: Packet) -> bool:
            return bool(one.packet_type == types.EVENT and _name_of(one) == event)

        return list(self._wait(is_wanted, within=within).data[1:])

    def _send(self, kind: int, data: Any, number: int | None = None) -> None:
        encoded = Packet(packet_type=kind, data=data, namespace=self.namespace, id=number).encode()
        self.session.send(MESSAGE + encoded)

    def _wait(self, matches: Callable[[Packet], bool], within: float | None = None) -> Packet:
        deadline = time.monotonic() + (self._patience if within is None else within)
        for one in self._kept:
            if matches(one):
                self._kept.remove(one)
                return one
        while True:
            one = self._receive(deadline)
            if one is None:
                continue
            if matches(one):
                return one
            if one.packet_type == types.DISCONNECT:
                raise NotWelcome(one.data or "disconnected by the server")
            self._kept.append(one)

    def _receive(self, deadline: float) -> Packet | None:
        """Return the next packet of the namespace; those of others, and binary ones, are dropped."""
        text = self.session.receive(deadline - time.monotonic())
        if not text.startswith(MESSAGE):
            return None
        try:
            received = Packet(encoded_packet=text[1:])
        except (ValueError, TypeError, IndexError) as error:
            raise Garbled(f"This is no packet of Socket.IO: {excerpt(text)}.") from error
        return received if (received.namespace or "/") == self.namespace else None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.session.leave()


def _name_of(event: Packet) -> Any:
    return event.data[0] if isinstance(event.data, list) and event.data else None
