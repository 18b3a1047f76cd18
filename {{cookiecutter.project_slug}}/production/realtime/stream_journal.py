"""The journal of a service with a message queue: one stream in Redis or Valkey for all channels.

One stream for the service, not one for each channel: a process follows all channels with one
blocking read, trimming bounds the memory of all together, and in a cluster everything is on one
node, so that a script can number an update and add it in one step. Each process keeps a copy of the
stream in memory, from which it replays: a storm of clients that come back costs the queue nothing,
and clients are told what they missed while the queue is away.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import structlog

from production.realtime.entries import START, EntryId, NewestEntry, read_entry, write_entry
from production.realtime.errors import Rejected
from production.realtime.eviction import EvictionWatch
from production.realtime.history import End, Limits
from production.realtime.journal import Follower, Unavailable
from production.realtime.outage import Outage
from production.realtime.publishing import AwaitedMessages, Message
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, connect, name
from production.realtime.skipped import skip
from production.realtime.stream_inspection import KEYS
from production.realtime.stream_store import (
    Appended,
    Newest,
    State,
    Store,
    Testimony,
)
from production.realtime.updates import NOTHING, Encoded, Position, Update

log = structlog.get_logger(__name__)

PAGE = 100
"""Entries that are read at a time."""

BLOCK = 1.0
"""Seconds that a read waits for the next entry."""

READ_TIMEOUT = 4.0
"""Seconds without any answer, after which the connection counts as dead: more than ``BLOCK``."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
"""Seconds between two tries to reach the queue, on average: enough not to be a storm of its own."""

CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether the queue is still what it was."""

POLICY_INTERVAL = 60.0
"""Seconds between two looks at whether the queue may evict what it keeps."""

READING = "reading channels"
WRITING = "writing channels"


class StreamJournal:
    """Numbers the updates in Redis or Valkey, for all processes alike.

    :param server: a Socket.IO server, which knows how its async mode starts a task and sleeps.
    :param url: where the queue is.
    :param service: the service's name, so that two services on one queue never mix.
    :param limits: what is kept.
    :param timeout: seconds that a publisher waits at most.
    :param outage: where to note that the queue cannot be reached.
    :param had: the newest entry that this service has had.
    """

    def __init__(
        self,
        server: Any,
        url: str,
        *,
        service: str,
        limits: Limits,
        timeout: float,
        outage: Outage,
        had: NewestEntry,
    ) -> None:
        self._server = server
        self._url = url
        self._keys = [name(service, "channels", key) for key in KEYS]
        self._stream = self._keys[KEYS.index("stream")]
        self._limits = limits
        self._timeout = timeout
        self._outbox = AwaitedMessages(limits.bytes)
        self._outage = outage
        self._had = had
        self._follower: Follower
        # Whether the reader has read what was there when it began, and what it has read up to.
        self.followed = False
        self._cursor = START
        self._total = 0
        self._turn = ""
        self._checked_at = 0.0
        self._eviction = EvictionWatch(self._stream)
        self._policy_seen_at = 0.0
        # Whether others may have published since the reader was lost, and this process has not since.
        self._cut_off = False
        # What was confirmed to publishers here, and may not have been read yet.
        self._confirmed: dict[str, dict[str, Appended]] = {}
        self._read = threading.Condition()
        # Who catches up asks one after the other, over one connection; an answer serves all who
        # were waiting when it was asked for.
        self._asking = threading.Lock()
        self._asked_at = 0.0
        self._answer = Newest("", START, 0)
        # Half of what a publisher waits: the second try has to fit in.
        self._queue = QueueClient(url, socket_timeout=timeout / 2)

    def follow(self, follower: Follower) -> None:
        """Start the two tasks that read the stream and write to it."""
        self._follower = follower
        self._server.start_background_task(self._keep_reading)
        self._server.start_background_task(self._keep_writing)

    def append(self, channel: str, encoded: Encoded, message_id: str | None) -> int:
        """Number an update and keep it; see :class:`production.realtime.journal.Journal`.

        :raises Unavailable: if that could not be confirmed in time.
        :raises Rejected: if there is no room for another channel.
        """
        message = Message(channel, encoded, message_id, self._timeout)
        if not self._outbox.put(message):
            raise Unavailable("The message queue is too slow: this was not published.")
        if not message.wait():
            raise Unavailable(
                "The message queue did not confirm that this was published: try again with the "
                "same id."
            )
        if not message.sequence:
            raise Rejected("full", f"There is room for {self._limits.channels} channels.")
        return message.sequence

    def catch_up(self) -> None:
        """Return once everything was passed on that was in the stream when this was called.

        :raises Unavailable: if that takes too long.
        """
        deadline = time.monotonic() + self._timeout
        try:
            newest = self._newest(deadline)
        except QUEUE_ERRORS as error:
            raise Unavailable("The message queue cannot be asked what was missed.") from error
        with self._read:
            if not self._read.wait_for(
                lambda: self.followed and self._has_read(newest),
                max(0.0, deadline - time.monotonic()),
            ):
                raise Unavailable("This process has not caught up with the message queue yet.")

    def _has_read(self, newest: Newest) -> bool:
        return self._turn == newest.turn and self._cursor >= newest.entry

    def _newest(self, deadline: float) -> Newest:
        called_at = time.monotonic()
        if not self._asking.acquire(timeout=max(0.0, deadline - called_at)):
            raise Unavailable("The message queue does not answer.")
        try:
            if self._asked_at < called_at:
                asked_at = time.monotonic()
                self._answer = self._queue.ask(lambda client: self._store(client).newest())
                self._asked_at = asked_at
            return self._answer
        finally:
            self._asking.release()

    # Writing

    def _keep_writing(self) -> None:
        client = None
        while True:
            # While the queue does not take anything, it is tried without anybody waiting as well.
            failing = WRITING in self._outage.faults
            batch = self._outbox.take(LONGEST_PAUSE if failing else None)
            pauses = _pauses()
            while True:
                batch = [message for message in batch if message.is_awaited]
                try:
                    client = client or self._connect(self._timeout)
                    self._write(client, batch)
                    self._outage.end(WRITING)
                    break
                except QUEUE_ERRORS as error:
                    self._outage.begin(WRITING, error)
                    client = _drop(client)
                    self._server.sleep(next(pauses))
                except Exception as error:
                    # Whatever it was: their publishers will say that it is unavailable.
                    log.exception("the channels' writer failed")
                    self._outage.begin(WRITING, error)
                    break
                if not batch:
                    break

    def _write(self, client: Any, batch: list[Message]) -> None:
        known = [(message, self._known(message.channel.decode())) for message in batch]
        results = self._store(client).append(self._limits, known, doubts=self._cut_off)
        self._cut_off = False
        for message, appended in zip(batch, results, strict=True):
            self._had.note(appended.entry)
            if appended.position.epoch:
                confirmed = self._confirmed.setdefault(message.channel.decode(), {})
                confirmed[appended.position.epoch] = appended
            message.settle(appended.position.sequence)

    def _known(self, channel: str) -> Position:
        """Return the highest number that this process knows to have been given."""
        confirmed = list(self._confirmed.get(channel, {}).values())
        if confirmed and confirmed[-1].entry > self._cursor:
            return confirmed[-1].position
        return self._follower.position(channel)

    # Reading

    def _keep_reading(self) -> None:
        client = None
        pauses = _pauses()
        while True:
            try:
                client = self._connect(READ_TIMEOUT)
                self._resume(client)
                self._outage.end(READING)
                pauses = _pauses()
                self._policy_seen_at = time.monotonic() - POLICY_INTERVAL
                while True:
                    self._read_on(client)
            except QUEUE_ERRORS as error:
                self._cut_off = self.followed
                self._outage.begin(READING, error)
            except Exception:
                # Whatever it was: a worker that has stopped to read serves silence.
                self._cut_off = self.followed
                log.exception("the channels' reader failed")
            client = _drop(client)
            self._server.sleep(next(pauses))

    def _resume(self, client: Any) -> None:
        """Read what there is, and find out what has become of the stream since it was read last."""
        store = self._store(client)
        # What is confirmed from now on may be news to the state.
        told = {channel: {**by_epoch} for channel, by_epoch in list(self._confirmed.items())}
        state = store.state()
        if testimonies := list(self._testimonies(state, told)):
            _report(testimonies, state)
            store.testify(testimonies)
            state = store.state()
        if disputed := self._read_up_to(client, state):
            store.testify(disputed)
            self._resume(client)
            return
        for channel, position in state.positions.items():
            self._follower.note(channel, position)
        if self.followed and state.turn != self._turn:
            self._note_what_is_gone(state)
        for channel, by_epoch in told.items():
            for epoch, confirmed in by_epoch.items():
                if self._confirmed[channel].get(epoch) is confirmed:
                    del self._confirmed[channel][epoch]
        self._cut_off = False
        with self._read:
            self.followed = True
            self._cursor, self._total, self._turn = state.entry, state.total, state.turn
            self._had.note(state.entry)
            self._read.notify_all()

    def _testimonies(
        self, state: State, told: dict[str, dict[str, Appended]]
    ) -> Iterator[Testimony]:
        """Yield what this process knows and the queue does not.

        :param state: what the queue knows.
        :param told: what had been confirmed before it was asked, by channel and epoch.
        """
        for channel, position in state.positions.items():
            confirmed = list(told.get(channel, {}).values())
            highest: dict[str, int] = {}
            for known in (*(each.position for each in confirmed), self._follower.position(channel)):
                if known.epoch:
                    highest[known.epoch] = max(known.sequence, highest.get(known.epoch, 0))
            epochs = {position.epoch, *(end.epoch for end in state.ends.get(channel, ()))}
            for given, sequence in highest.items():
                # An epoch that the queue has lost follows on one that it knows.
                line = (each for each in self._follower.epochs(channel) if each in epochs)
                epoch = given if given in epochs else next(line, given)
                end = next((end for end in state.ends.get(channel, ()) if end.epoch == epoch), None)
                behind = position.epoch == epoch and position.sequence < sequence
                if behind or (end and (end.lost is None or end.lost < sequence)):
                    yield Testimony(channel, Position(sequence, epoch))

    def _note_what_is_gone(self, state: State) -> None:
        """Tell of channels that the queue does not know any more; their numbers start again."""
        for channel in self._follower.channels():
            position = self._follower.position(channel)
            if channel not in state.positions and position.epoch:
                self._follower.note(channel, Position(position.sequence))

    def _read_up_to(self, client: Any, state: State) -> list[Testimony]:
        """Read on up to where the stream was.

        :return: what this process had under a number that is another update's in the stream.
        """
        for channel in {*state.positions, *state.ends}:
            current = state.positions.get(channel, Position()).epoch
            self._follower.learn(channel, state.ends.get(channel, ()), current)
        changed = state.turn != self._turn or state.entry < self._cursor
        cursor = START if changed else self._cursor
        take = self._follower.deliver if self.followed else self._follower.keep
        disputed: dict[str, Testimony] = {}
        while cursor < state.entry:
            page = client.xrange(
                self._stream, f"({write_entry(cursor)}", write_entry(state.entry), count=PAGE
            )
            for entry, _, update in _updates(page):
                cursor = entry
                if update is None or update.channel in disputed:
                    continue
                if self._follower.differs(update):
                    known = self._follower.position(update.channel)
                    disputed[update.channel] = Testimony(
                        update.channel, Position(known.sequence, update.epoch), update.sequence - 1
                    )
                else:
                    take(update)
            if len(page) < PAGE:
                break
            self._server.sleep(0)
        return list(disputed.values())

    def _read_on(self, client: Any) -> None:
        """Wait for the next entries and pass them on."""
        if self._is_turned(client):
            self._resume(client)
        if time.monotonic() - self._policy_seen_at > POLICY_INTERVAL:
            self._eviction.look(client)
            self._policy_seen_at = time.monotonic()
        answer = client.xread(
            {self._stream: write_entry(self._cursor)}, count=PAGE, block=_block_time(client)
        )
        for _, page in answer:
            for entry, total, update in _updates(page):
                if update is None:
                    self._advance(entry, self._total)
                    continue
                if total != self._total + 1 or not self._follows(update):
                    self._resume(client)
                    return
                self._follower.deliver(update)
                self._advance(entry, total)
            self._server.sleep(0)

    def _follows(self, update: Update) -> bool:
        """Tell whether an update is the next one of its channel, as far as this process knows it."""
        known = self._follower.position(update.channel)
        new = Position(update.sequence, update.epoch)
        return not known.epoch or new == Position(known.sequence + 1, known.epoch)

    def _is_turned(self, client: Any) -> bool:
        """Look now and then whether the queue is another, also while nothing is published."""
        if time.monotonic() - self._checked_at < CHECK_INTERVAL:
            return False
        newest = self._store(client).newest()
        self._checked_at = time.monotonic()
        return newest.turn != self._turn or newest.entry < self._cursor

    def _advance(self, cursor: EntryId, total: int) -> None:
        with self._read:
            self._cursor, self._total = cursor, total
            self._had.note(cursor)
            self._read.notify_all()

    def _store(self, client: Any) -> Store:
        return Store(client, self._keys, lambda: self.followed, self._had)

    def _connect(self, timeout: float) -> Any:
        return connect(self._url, socket_timeout=timeout)


def _report(testimonies: list[Testimony], state: State) -> None:
    """Say what the queue has lost, once for all channels."""
    lost = [
        each.position.sequence - end.last
        for each in testimonies
        for end in (*state.ends.get(each.channel, ()), _as_end(state.positions[each.channel]))
        if end.epoch == each.position.epoch
    ]
    updates = sum(number for number in lost if number > 0)
    if updates:
        log.error("the queue has lost updates that were confirmed", updates=updates)


def _as_end(position: Position) -> End:
    return End(position.epoch, position.sequence, None)


def _block_time(client: Any) -> int:
    """Return how many milliseconds a read may wait; the URL may set a shorter time-out."""
    timeout = client.get_connection_kwargs().get("socket_timeout") or READ_TIMEOUT
    return int(min(BLOCK, timeout / 2) * 1000)


def _pauses() -> Iterator[float]:
    """Yield pauses that grow, each with jitter: all processes lose the queue at the same moment."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311
        pause = min(2 * pause, LONGEST_PAUSE)


def _drop(client: Any) -> Any:
    """Give a client's connections up, and return none: the next may have to go to another server."""
    if client is not None:
        client.close()
    return None


def _updates(page: Any) -> Iterator[tuple[EntryId, int, Update | None]]:
    """Yield the entries of an answer with their totals, and None for what is no update."""
    for raw_id, fields in page:
        entry = read_entry(raw_id)
        try:
            yield entry, int(fields[b"t"]), _update(entry, fields)
        except (KeyError, ValueError) as error:
            skip("an entry of the stream is no update", error, entry=write_entry(entry))
            yield entry, 0, None


def _update(entry: EntryId, fields: dict[bytes, bytes]) -> Update:
    sequence = int(fields[b"n"])
    if sequence < 1:
        raise ValueError("its number is none")
    return Update(
        channel=fields[b"c"].decode(),
        sequence=sequence,
        epoch=fields[b"e"].decode(),
        sent_at=entry[0],
        encoded=_encoded(fields),
    )


def _encoded(fields: dict[bytes, bytes]) -> Encoded:
    """Return the data of an update whose number counts, whether or not that can be read."""
    try:
        attachments = (fields[str(number).encode()] for number in range(1, len(fields) - 4))
        return (fields[b"0"].decode(), *attachments)
    except (KeyError, ValueError):
        return NOTHING
