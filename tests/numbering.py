"""Processes that number and follow channels through a real queue, without gunicorn around them.

Each has one client that watches from the beginning, and clients that come late; a ledger knows what was
confirmed, and holds it against what each of them was sent or told.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from production.realtime.channels import Channels
from production.realtime.creations import LocalCreations
from production.realtime.entries import NewestEntry
from production.realtime.history import Limits
from production.realtime.outage import Outage
from production.realtime.stream_journal import StreamJournal
from production.realtime.updates import Position

SERVICE = "numbers"
START = Position()
LIMITS = Limits(messages=10_000, bytes=10**8, seconds=3600, channels=100)


class ClosedError(BaseException):
    """Ends a task of a process that is closed."""


@dataclass
class Client:
    """What a client of a channel was sent, in order, and where it is.

    :param updates: the updates.
    :param gaps: what it was told that it will never be sent: the first and the last number.
    :param position: where it is.
    """

    updates: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[tuple[int, int | None]] = field(default_factory=list)
    position: Position = START

    @property
    def data(self) -> list[Any]:
        """What it has seen."""
        return [update["data"] for update in self.updates]

    def hear(self, event: str, data: dict[str, Any]) -> None:
        """Take an event as a browser does."""
        if event == "update":
            self.updates.append(data)
        else:
            self.gaps.append((data["from"], data["to"]))
        self.position = Position(data["sequence"], data["epoch"])

    @property
    def knows_of_a_restart(self) -> bool:
        """Whether it was told that numbers start again."""
        return any(last is None for _, last in self.gaps)

    def covers(self, sequence: int) -> bool:
        """Tell whether it was told that a number is missing."""
        return any(
            first <= sequence and (last is None or sequence <= last) for first, last in self.gaps
        )


class Process:
    """One process of a service: a journal, its channels, and a client that watches each channel.

    :param url: the queue.
    :param had: what other processes of its gunicorn had, if there were any.
    """

    def __init__(self, url: str, limits: Limits = LIMITS, had: NewestEntry | None = None) -> None:
        self._clients: dict[str, list[Client]] = {}
        self._rooms: dict[str, set[str]] = {}
        self._late: dict[str, Client] = {}
        self._numbers = itertools.count()
        self._closed = False
        self.outage = Outage()
        session = types.SimpleNamespace(
            is_connected=lambda *_: True, eio_sid_from_sid=lambda sid, _: sid
        )
        server = types.SimpleNamespace(
            start_background_task=self._start,
            sleep=self._sleep,
            emit=self._emit,
            enter_room=lambda sid, room, **_: self._rooms.setdefault(sid, set()).add(room),
            leave_room=lambda sid, room, **_: self._rooms[sid].discard(room),
            rooms=lambda sid, **_: self._rooms.get(sid, set()),
            manager=session,
            eio=types.SimpleNamespace(max_queued_messages=1000, max_queued_bytes=10**7, sockets={}),
        )
        self.journal = StreamJournal(
            server,
            url,
            service=SERVICE,
            limits=limits,
            timeout=5,
            outage=self.outage,
            had=had or NewestEntry(),
        )
        self.channels = Channels(
            server, self.journal, limits, LocalCreations({}, 600), max_bytes=10**9
        )

    def _start(self, target: Callable[..., Any], *arguments: Any) -> None:
        def run() -> None:
            with contextlib.suppress(ClosedError):
                target(*arguments)

        threading.Thread(target=run, daemon=True).start()

    def _sleep(self, seconds: float) -> None:
        if self._closed:
            raise ClosedError
        time.sleep(seconds)

    def close(self) -> None:
        """Let its tasks end as soon as they notice, at the latest when the queue has gone."""
        self._closed = True

    def _emit(self, event: str, data: dict[str, Any], to: str, **_: Any) -> None:
        if to in self._late:
            self._late[to].hear(event, data)
            return
        for sid, rooms in list(self._rooms.items()):
            if to in rooms:
                self._late[sid].hear(event, data)

    def publish(self, channel: str, data: Any, message_id: str | None = None) -> int:
        """Publish."""
        return self.channels.publish(channel, data, message_id)

    def client(self, channel: str, seen: Sequence[dict[str, Any]] = ()) -> Client:
        """Return a client that comes with the updates that it has seen."""
        position = Position(seen[-1]["sequence"], seen[-1]["epoch"]) if seen else START
        sid = f"sid-{next(self._numbers)}"
        client = self._late[sid] = Client([*seen], position=position)
        answer = self.channels.resume(sid, channel, position)
        if answer.gap:
            client.gaps.append((answer.gap.first, answer.gap.last))
        assert answer.position
        client.position = answer.position
        return client


@dataclass
class Ledger:
    """What was confirmed: the data of each message and its number."""

    confirmed: dict[Any, int] = field(default_factory=dict)

    def check_words(self, clients: list[Client]) -> None:
        """Check that each was sent what was confirmed, or told that it is gone."""
        for client in clients:
            assert not self.unsaid(client), (self.unsaid(client), client.gaps)

    def unsaid(self, client: Client) -> set[Any]:
        """Return what was confirmed, and neither sent to a client nor said to be gone."""
        missing = set(self.confirmed) - set(client.data)
        return {data for data in missing if not client.covers(self.confirmed[data])}

    def check_order(self, clients: list[Client]) -> None:
        """Check that nothing came twice or out of order, and that no number was given twice."""
        given: dict[tuple[str, int], Any] = {}
        for client in clients:
            sent: dict[Any, int] = {}
            reached: dict[str, int] = {}
            for update in client.updates:
                epoch, sequence = update["epoch"], update["sequence"]
                assert sequence > reached.get(epoch, 0), update
                if epoch not in reached and sequence <= max(reached.values(), default=0):
                    told = client.knows_of_a_restart or client.covers(sequence)
                    assert told, (update, client.gaps)
                    # Numbers that are given once more leave nothing of what had them.
                    sent = {data: number for data, number in sent.items() if number < sequence}
                # What is gone is published again by those who were not told that it was kept.
                before = sent.get(update["data"])
                assert before is None or client.covers(before), (update, before, client.gaps)
                sent[update["data"]] = sequence
                reached[epoch] = sequence
                assert given.setdefault((epoch, sequence), update["data"]) == update["data"]
