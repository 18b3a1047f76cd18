"""The journal of a service with a message queue: one stream in Redis or Valkey for all channels.

One stream for the service, not one for each channel: a process follows all channels with one
blocking read, trimming bounds the memory of all together, and in a cluster everything is on one
node, so that a script can number an update and add it in one step. Each process keeps a copy of the
stream in memory, from which it replays: a storm of clients that come back costs the queue nothing,
and clients are told what they missed while the queue is away.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from production.realtime.errors import Rejected
from production.realtime.history import Limits
from production.realtime.journal import Follower, Unavailable
from production.realtime.outage import Outage
from production.realtime.publishing import AwaitedMessages, Message
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, connect, name
from production.realtime.stream_scripts import APPEND, KEYS, RENEW, STATE
from production.realtime.updates import Encoded, Position, Update

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

READING = "reading channels"
WRITING = "writing channels"

EntryId = tuple[int, int]
START: EntryId = (0, 0)


class StreamJournal:
    """Numbers the updates in Redis or Valkey, for all processes alike.

    :param server: a Socket.IO server, which knows how its async mode starts a task and sleeps.
    :param url: where the queue is.
    :param service: the service's name, so that two services on one queue never mix.
    :param limits: what is kept.
    :param timeout: seconds that a publisher waits at most.
    :param outage: where to note that the queue cannot be reached.
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
    ) -> None:
        self._server = server
        self._url = url
        self._keys = [name(service, "channels", key) for key in KEYS]
        self._stream = self._keys[KEYS.index("stream")]
        self._kept = self._keys[KEYS.index("kept")]
        self._limits = limits
        self._timeout = timeout
        self._outbox = AwaitedMessages(limits.bytes)
        self._outage = outage
        self._follower: Follower
        # Whether the reader has read what was there when it began, and what it has read up to.
        self.followed = False
        self._cursor = START
        self._total = 0
        self._read = threading.Condition()
        # Who catches up asks one after the other, over one connection; an answer serves all who
        # were waiting when it was asked for.
        self._asking = threading.Lock()
        self._asked_at = 0.0
        self._answer = START
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
            last = self._last_entry(deadline)
        except QUEUE_ERRORS as error:
            raise Unavailable("The message queue cannot be asked what was missed.") from error
        with self._read:
            if not self._read.wait_for(
                lambda: self.followed and self._cursor >= last,
                max(0.0, deadline - time.monotonic()),
            ):
                raise Unavailable("This process has not caught up with the message queue yet.")

    def _last_entry(self, deadline: float) -> EntryId:
        called_at = time.monotonic()
        if not self._asking.acquire(timeout=max(0.0, deadline - called_at)):
            raise Unavailable("The message queue does not answer.")
        try:
            if self._asked_at < called_at:
                asked_at = time.monotonic()
                newest = self._queue.ask(lambda client: client.lindex(self._kept, -1))
                self._answer = _kept_entry(newest)[0]
                self._asked_at = asked_at
            return self._answer
        finally:
            self._asking.release()

    # Writing

    def _keep_writing(self) -> None:
        client = None
        while True:
            batch = self._outbox.take()
            pauses = _pauses()
            while batch := [message for message in batch if message.is_awaited]:
                try:
                    client = client or self._connect(self._timeout)
                    self._write(client, batch)
                    break
                except QUEUE_ERRORS as error:
                    self._outage.begin(WRITING, error)
                    client = _drop(client)
                    self._server.sleep(next(pauses))
                except Exception:
                    # Whatever it was: their publishers will say that it is unavailable.
                    log.exception("the channels' writer failed")
                    break
            # Written, or given up by all who waited: nothing is left that could fail.
            self._outage.end(WRITING)

    def _write(self, client: Any, batch: list[Message]) -> None:
        limits = self._limits
        arguments: list[Any] = [
            limits.messages,
            limits.bytes,
            int(limits.seconds * 1000),
            limits.channels,
        ]
        for message in batch:
            arguments += [message.channel, message.id, secrets.token_hex(4), message.size]
            arguments += [len(message.encoded), *message.encoded]
        sequences = client.register_script(APPEND)(self._keys, arguments)
        for message, sequence in zip(batch, sequences, strict=True):
            message.settle(sequence)

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
                while True:
                    self._read_on(client)
            except QUEUE_ERRORS as error:
                self._outage.begin(READING, error)
            except Exception:
                # Whatever it was: a worker that has stopped to read serves silence.
                log.exception("the channels' reader failed")
            client = _drop(client)
            self._server.sleep(next(pauses))

    def _resume(self, client: Any) -> None:
        """Read what there is, and find out what has become of the stream since it was read last."""
        numbers, kept = client.register_script(STATE)(self._keys)
        last, total = _kept_entry(kept)
        positions = {
            channel.decode(): _position(number)
            for channel, number in zip(numbers[::2], numbers[1::2], strict=True)
        }
        if last < self._cursor:
            log.error("the stream of the channels has lost its end")
            self._cursor = START
        take = self._follower.deliver if self.followed else self._follower.keep
        self._read_up_to(last, client, positions, take)
        for channel, position in positions.items():
            known = self._follower.position(channel)
            if known.epoch == position.epoch and known.sequence > position.sequence:
                self._renew(client, channel, position.epoch)
            else:
                self._follower.note(channel, position)
        with self._read:
            self.followed = True
            self._cursor, self._total = last, total
            self._read.notify_all()

    def _read_up_to(
        self,
        last: EntryId,
        client: Any,
        positions: dict[str, Position],
        take: Callable[[Update], Any],
    ) -> None:
        """Read on up to an entry, leaving out numberings that have ended."""
        cursor = self._cursor
        while cursor < last:
            page = client.xrange(self._stream, f"({_text(cursor)}", _text(last), count=PAGE)
            for entry_id, _, update in _updates(page):
                if update and update.epoch == positions.get(update.channel, Position()).epoch:
                    take(update)
                cursor = entry_id
            if len(page) < PAGE:
                return
            self._server.sleep(0)

    def _read_on(self, client: Any) -> None:
        """Wait for the next entries and pass them on."""
        answer = client.xread(
            {self._stream: _text(self._cursor)}, count=PAGE, block=_block_time(client)
        )
        for _, page in answer:
            for entry_id, total, update in _updates(page):
                if update is None:
                    self._advance(entry_id, self._total)
                    continue
                if total != self._total + 1:
                    log.warning("updates were trimmed before this process had read them")
                    self._resume(client)
                    return
                if not self._follower.deliver(update):
                    # A number that is known under another entry: the queue came back without the
                    # last ones, and they were given again.
                    log.error("an update came twice", channel=update.channel)
                    self._renew(client, update.channel, update.epoch)
                self._advance(entry_id, total)
            self._server.sleep(0)

    def _advance(self, cursor: EntryId, total: int) -> None:
        with self._read:
            self._cursor, self._total = cursor, total
            self._read.notify_all()

    def _renew(self, client: Any, channel: str, epoch: str) -> None:
        """Start a channel's numbers again: those who watch it notice the new epoch."""
        log.error("the numbers of a channel were lost and start again", channel=channel)
        client.register_script(RENEW)(self._keys, [channel, epoch, secrets.token_hex(4)])

    def _connect(self, timeout: float) -> Any:
        return connect(self._url, socket_timeout=timeout)


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
    """Yield the entries of an answer with their totals, and nothing for what is no update."""
    for raw_id, fields in page:
        entry_id = _entry_id(raw_id)
        try:
            yield entry_id, int(fields[b"t"]), _update(entry_id, fields)
        except (KeyError, ValueError):
            log.error("an entry of the stream is no update", entry=_text(entry_id))
            yield entry_id, 0, None


def _update(entry_id: EntryId, fields: dict[bytes, bytes]) -> Update:
    text = fields[b"0"].decode()
    attachments = (fields[str(number).encode()] for number in range(1, len(fields) - 4))
    return Update(
        channel=fields[b"c"].decode(),
        sequence=int(fields[b"n"]),
        epoch=fields[b"e"].decode(),
        sent_at=entry_id[0],
        encoded=(text, *attachments),
    )


def _position(number: bytes) -> Position:
    sequence, _, epoch = number.decode().partition(" ")
    return Position(int(sequence), epoch)


def _kept_entry(item: bytes | None) -> tuple[EntryId, int]:
    """Return the id and the total of an item of the list ``kept``."""
    if item is None:
        return START, 0
    entry_id, total, _ = item.split(b" ", 2)
    return _entry_id(entry_id), int(total)


def _entry_id(text: bytes) -> EntryId:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number)


def _text(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
