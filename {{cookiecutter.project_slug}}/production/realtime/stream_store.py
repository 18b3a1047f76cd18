"""What the Lua scripts of the stream take and give, in Python's terms."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from production.realtime.entries import START, EntryId, NewestEntry, read_entry, write_entry
from production.realtime.history import End, Limits
from production.realtime.publishing import Message
from production.realtime.stream_scripts import APPEND, IS_ANOTHER, NEWEST, STATE, WITNESS
from production.realtime.updates import Position

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Appended:
    """What became of a message.

    :param position: its number and epoch; 0 where there was no room for another channel, and no
        epoch where it is a repetition.
    :param entry: where it is in the stream.
    """

    position: Position
    entry: EntryId


@dataclass(frozen=True)
class Newest:
    """Where the stream ends.

    :param turn: changes whenever numberings ended or more became known of how they did.
    :param entry: the newest update's entry.
    :param total: how many updates there were.
    """

    turn: str
    entry: EntryId
    total: int


@dataclass(frozen=True)
class State(Newest):
    """Where the stream and all channels are.

    :param positions: the last number of each channel.
    :param ends: how its earlier epochs ended, oldest first.
    """

    positions: dict[str, Position]
    ends: dict[str, tuple[End, ...]]


WITNESS_TIME = 2.5
"""Seconds in which a process that follows the channels has found that another server answers: it looks once a second,
and reconnects in half of one."""

WITNESS_PAUSE = 0.1
"""Seconds between two looks whether one has."""


@dataclass(frozen=True)
class Testimony:
    """What a process knows of an epoch.

    :param channel: the channel.
    :param position: the highest number that was given, as far as it knows.
    :param agreed: up to where the stream's updates are those that the process had, if not all are.
    """

    channel: str
    position: Position
    agreed: int | None = None


class Store:
    """The keys of the channels, through one client.

    :param client: the client.
    :param keys: their names.
    :param remembers: tells whether this process has followed the channels so far.
    :param had: the newest entry that this service has had.
    """

    def __init__(
        self, client: Any, keys: list[str], remembers: Callable[[], bool], had: NewestEntry
    ) -> None:
        self._client = client
        self._keys = keys
        self._remembers = remembers
        self._had = had

    def append(
        self, limits: Limits, batch: Iterable[tuple[Message, Position]], *, doubts: bool
    ) -> list[Appended]:
        """Number messages and keep them.

        :param limits: what is kept.
        :param doubts: whether this process has been cut off from what others publish.
        :param batch: each with the highest number of its channel that is known.
        """
        arguments: list[Any] = [
            limits.messages,
            limits.bytes,
            int(limits.seconds * 1000),
            limits.channels,
            int(doubts),
        ]
        for message, known in batch:
            arguments += [message.channel, message.id, secrets.token_hex(4), message.size]
            arguments += [known.sequence, known.epoch, len(message.encoded), *message.encoded]
        (results,) = self._call(APPEND, arguments)
        return [
            Appended(Position(sequence, epoch.decode()), read_entry(entry) if entry else START)
            for sequence, epoch, entry in results
        ]

    def newest(self) -> Newest:
        """Return where the stream ends."""
        turn, item = self._call(NEWEST)
        return Newest(turn.decode(), *_kept_entry(item))

    def state(self) -> State:
        """Return where the stream and all channels are."""
        turn, item, numbers, ends = self._call(STATE)
        return State(
            turn.decode(),
            *_kept_entry(item),
            positions=_by_channel(numbers, _position),
            ends=_by_channel(ends, _ends),
        )

    def testify(self, testimonies: Iterable[Testimony]) -> None:
        """Note what this process knows and the queue does not."""
        arguments: list[Any] = []
        for each in testimonies:
            agreed = "" if each.agreed is None else each.agreed
            arguments += [each.channel, each.position.sequence, each.position.epoch, agreed]
        self._call(WITNESS, arguments)

    def _call(self, script: str, arguments: Iterable[Any] = ()) -> Any:
        if not self._remembers():
            self._await_witnesses()
        memory = "1" if self._remembers() else write_entry(self._had.get())
        given = [secrets.token_hex(4), memory, *arguments]
        said, *answer = self._client.register_script(script)(self._keys, given)
        if said:
            log.warning(
                "the channels go on in another epoch",
                reasons=[fault.decode(errors="replace") for fault in said],
            )
        return answer

    def _await_witnesses(self) -> None:
        """Let those who remember be the first to find that another server answers, if there are any.

        They know what it should have, and this process could only say that nobody does.
        """
        is_another = partial(self._client.register_script(IS_ANOTHER), self._keys, ["", 0])
        until = time.monotonic() + WITNESS_TIME
        while is_another() and time.monotonic() < until:
            time.sleep(WITNESS_PAUSE)


def _by_channel(flat: list[bytes], read: Callable[[str], Any]) -> dict[str, Any]:
    """Read a hash, leaving out what somebody else has written into it."""
    found = {}
    for channel, text in zip(flat[::2], flat[1::2], strict=True):
        try:
            found[channel.decode()] = read(text.decode())
        except ValueError:
            log.warning("the position of a channel cannot be read", channel=repr(channel))
    return found


def _position(text: str) -> Position:
    sequence, _, epoch = text.partition(" ")
    return Position(int(sequence), epoch)


def _ends(text: str) -> tuple[End, ...]:
    return tuple(_end(item) for item in reversed(text.split()))


def _end(item: str) -> End:
    epoch, last, lost = item.rsplit(":", 2)
    return End(epoch, int(last), None if lost == "?" else int(lost))


def _kept_entry(item: bytes) -> tuple[EntryId, int]:
    """Return the id and the total of an item of the list ``kept``."""
    if not item:
        return START, 0
    text, total, _ = item.split(b" ", 2)
    return read_entry(text), int(total)
