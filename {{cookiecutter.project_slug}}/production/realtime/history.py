"""The updates that this process remembers, so that it can replay them without asking anybody."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice

from production.realtime.updates import Position, Update


@dataclass(frozen=True)
class Limits:
    """What is kept of all channels together: the most recent updates within all of these.

    :param messages: how many.
    :param bytes: how large they are together; the last one is kept whatever its size.
    :param seconds: how old they are.
    :param channels: of how many channels the number is remembered.
    """

    messages: int
    bytes: int
    seconds: float
    channels: int


@dataclass(frozen=True)
class Gap:
    """Updates that somebody missed and that are no longer kept.

    :param first: the number of the first one.
    :param last: the number of the last one; nothing if the channel's numbers started again, so
        that nobody knows it.
    """

    first: int
    last: int | None


@dataclass(frozen=True)
class Missed:
    """What somebody missed of a channel.

    :param updates: the next ones, in order.
    :param position: where they lead to.
    :param complete: whether that is where the channel is.
    :param gap: what cannot be had any more.
    """

    updates: list[Update]
    position: Position
    complete: bool
    gap: Gap | None


@dataclass
class _Channel:
    position: Position
    # Without a hole: they end with the position's number.
    updates: deque[Update] = field(default_factory=deque)

    @property
    def first(self) -> int:
        """The number of the first update that is kept, or would be."""
        return self.position.sequence + 1 - len(self.updates)


class History:
    """The most recent updates of all channels. Not safe for threads: its owner holds a lock.

    :param limits: what is kept.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # The channel that was written to last is the last one.
        self._channels: OrderedDict[str, _Channel] = OrderedDict()
        self._updates: deque[Update] = deque()
        self._bytes = 0

    def position(self, channel: str) -> Position:
        """Return where a channel is."""
        known = self._channels.get(channel)
        return known.position if known else Position()

    def add(self, update: Update) -> bool:
        """Keep an update.

        :return: whether it was new.
        """
        known = self._channels.setdefault(update.channel, _Channel(Position(0, update.epoch)))
        self._channels.move_to_end(update.channel)
        if known.position.epoch == update.epoch:
            if update.sequence <= known.position.sequence:
                return False
            if update.sequence > known.position.sequence + 1:
                known.updates.clear()
        else:
            known.updates.clear()
        known.position = Position(update.sequence, update.epoch)
        known.updates.append(update)
        self._updates.append(update)
        self._bytes += update.size
        self._trim()
        return True

    def note(self, channel: str, position: Position) -> bool:
        """Remember where a channel is whose updates are no longer kept anywhere.

        :return: whether it was somewhere else.
        """
        known = self._channels.setdefault(channel, _Channel(Position()))
        moved = (
            known.position.epoch != position.epoch or known.position.sequence < position.sequence
        )
        if moved:
            known.position = position
            known.updates.clear()
        self._forget_channels()
        return moved

    def covers(self, channel: str, seen: Position) -> bool:
        """Tell whether a position lies on the way that this process saw the channel take."""
        now = self.position(channel)
        return seen.sequence <= now.sequence and seen.epoch in ("", now.epoch)

    def missed(self, channel: str, seen: Position, max_updates: int, max_bytes: int) -> Missed:
        """Return what follows on a position.

        :param channel: the channel's name.
        :param seen: the position.
        :param max_updates: how many updates to return at most, one at least.
        :param max_bytes: how large they may be together; a single one may be larger.
        """
        self._trim()
        known = self._channels.get(channel) or _Channel(Position())
        gap = None
        start = seen.sequence + 1
        if not self.covers(channel, seen):
            gap = Gap(start, None)
            # Of one numbering, what is left was seen before the end of it was lost.
            lost_end = seen.epoch == known.position.epoch
            start = known.position.sequence + 1 if lost_end else known.first
        elif start < known.first:
            gap = Gap(start, known.first - 1)
            start = known.first
        updates: list[Update] = []
        size = 0
        for update in islice(known.updates, start - known.first, None):
            size += update.size
            if len(updates) == max_updates or (updates and size > max_bytes):
                break
            updates.append(update)
        reached = start - 1 + len(updates)
        position = Position(reached, known.position.epoch)
        return Missed(updates, position, reached == known.position.sequence, gap)

    def _trim(self) -> None:
        oldest = (time.time() - self._limits.seconds) * 1000
        while self._updates and (
            len(self._updates) > self._limits.messages
            or (self._bytes > self._limits.bytes and len(self._updates) > 1)
            or self._updates[0].sent_at < oldest
        ):
            update = self._updates.popleft()
            self._bytes -= update.size
            known = self._channels.get(update.channel)
            if known and known.updates and known.updates[0] is update:
                known.updates.popleft()
        self._forget_channels()

    def _forget_channels(self) -> None:
        """Forget the channels that were idle for longest, unless something of them is kept."""
        while len(self._channels) > self._limits.channels:
            name, known = next(iter(self._channels.items()))
            if known.updates:
                return
            del self._channels[name]
