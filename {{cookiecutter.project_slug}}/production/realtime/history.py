"""The updates that this process remembers, so that it can replay them without asking anybody."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from production.realtime.updates import Position, Update

START = Position()
REMEMBERED_ENDS = 32
"""Epochs of a channel that ended, of which it is remembered how, here and in the queue. What is kept of older ones
is gone for those who come."""


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
class End:
    """How an epoch of a channel ended.

    :param epoch: which.
    :param last: the last number that there is of it.
    :param lost: the highest number that was given: what is beyond ``last`` is lost. None if nobody
        knows.
    """

    epoch: str
    last: int
    lost: int | None


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
class _Run:
    """Updates of one epoch without a hole.

    :param epoch: the epoch.
    :param first: the number of the first one that is kept, or would be.
    :param updates: those that are kept.
    """

    epoch: str
    first: int
    updates: deque[Update] = field(default_factory=deque)

    @property
    def last(self) -> int:
        return self.first - 1 + len(self.updates)


@dataclass
class _Channel:
    position: Position = START
    # The epoch that goes on, if the queue has said so.
    current: str = ""
    # How its earlier epochs ended, oldest first.
    ends: tuple[End, ...] = ()
    # In order; the last one ends with the position.
    runs: deque[_Run] = field(default_factory=deque)

    def rank(self, epoch: str) -> int | None:
        """Return how many epochs there were before one; None if it is not known."""
        for rank, end in enumerate(self.ends):
            if end.epoch == epoch:
                return rank
        return len(self.ends) if epoch in (self.position.epoch, self.current) else None

    def end_of(self, epoch: str) -> End | None:
        """Return how an epoch ended, if it did."""
        return next((end for end in self.ends if end.epoch == epoch), None)

    def gap(self, seen: Position, epoch: str, first: int) -> Gap | None:
        """Return what is missing between a position and the number that follows next."""
        if seen.epoch == epoch:
            return Gap(seen.sequence + 1, first - 1) if first > seen.sequence + 1 else None
        since, until = self.rank(seen.epoch), self.rank(epoch)
        ends = self.ends[since:until] if since is not None else ()
        if not ends:
            return Gap(seen.sequence + 1, None)
        begin = min(seen.sequence, ends[0].last) + 1
        lost = [end.lost for end in ends if end.lost is not None]
        if len(lost) < len(ends):
            return Gap(begin, None)
        last = max(first - 1, seen.sequence, *lost)
        return Gap(begin, last) if last >= begin else None

    def remember(self, ends: tuple[End, ...]) -> None:
        """Remember how the earlier epochs ended, but not of all that there ever were."""
        kept = {run.epoch for run in self.runs}
        first = next((rank for rank, end in enumerate(ends) if end.epoch in kept), len(ends))
        self.ends = ends[min(first, max(0, len(ends) - REMEMBERED_ENDS)) :]

    def ends_beside(self, current: str) -> list[End]:
        """Return how its epochs ended, also the one that it is in if another one goes on."""
        here = self.position
        if here.epoch == current:
            return [end for end in self.ends if end.epoch != current]
        if not here.epoch or self.end_of(here.epoch) is not None:
            return [*self.ends]
        return [*self.ends, End(here.epoch, here.sequence, None)]

    def cut(self, end: End) -> None:
        """Forget what is beyond the end of an epoch."""
        for run in self.runs:
            while run.epoch == end.epoch and run.updates and run.last > end.last:
                run.updates.pop()
        if self.position.epoch == end.epoch and self.position.sequence > end.last:
            self.move(Position(end.last, end.epoch))

    def move(self, position: Position) -> None:
        """Go on behind a position, whether or not it follows on what is kept."""
        if position.epoch != self.position.epoch:
            self._end_epoch()
        if self.runs and not self.runs[-1].updates:
            self.runs.pop()
        self.position = position
        self.runs.append(_Run(position.epoch, position.sequence + 1))

    def _end_epoch(self) -> None:
        """Note that an epoch has ended, unless somebody has told how."""
        if self.position.epoch and self.end_of(self.position.epoch) is None:
            end = End(self.position.epoch, self.position.sequence, None)
            self.remember((*self.ends, end))


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

    def channels(self) -> list[str]:
        """Return the channels of which something is known."""
        return list(self._channels)

    def position(self, channel: str) -> Position:
        """Return where a channel is."""
        known = self._channels.get(channel)
        return known.position if known else Position()

    def epochs(self, channel: str) -> list[str]:
        """Return the epochs of a channel, the latest first."""
        known = self._channels.get(channel) or _Channel()
        ended = [end.epoch for end in reversed(known.ends) if end.epoch != known.position.epoch]
        return [known.position.epoch, *ended]

    def gap_before(self, update: Update) -> Gap | None:
        """Return what is missing between where the channel is and an update that is new."""
        known = self._channels.get(update.channel)
        if known is None or not known.position.epoch:
            return None
        seen = known.position
        if seen.epoch == update.epoch and update.sequence <= seen.sequence + 1:
            return None
        return known.gap(seen, update.epoch, update.sequence)

    def add(self, update: Update) -> bool:
        """Keep an update.

        :return: whether it was new.
        """
        known = self._channels.get(update.channel)
        if known is None:
            known = self._channels[update.channel] = _Channel(Position(0, update.epoch))
        self._channels.move_to_end(update.channel)
        if not _is_new(known, update):
            return False
        before = Position(update.sequence - 1, update.epoch)
        if known.position != before or not known.runs:
            known.move(before)
        known.position = Position(update.sequence, update.epoch)
        known.runs[-1].updates.append(update)
        self._updates.append(update)
        self._bytes += update.size
        self._trim()
        return True

    def differs(self, update: Update) -> bool:
        """Tell whether another update is kept under the number of this one."""
        known = self._channels.get(update.channel)
        for run in known.runs if known else ():
            if run.epoch == update.epoch and run.first <= update.sequence <= run.last:
                return run.updates[update.sequence - run.first] != update
        return False

    def note(self, channel: str, position: Position) -> Gap | None:
        """Remember where a channel is whose updates are no longer kept anywhere.

        :return: those updates, if there are any.
        """
        known = self._channels.setdefault(channel, _Channel())
        known.current = position.epoch
        seen = known.position
        gap = None
        if position.epoch != seen.epoch or position.sequence > seen.sequence or not known.runs:
            if seen.epoch:
                gap = known.gap(seen, position.epoch, position.sequence + 1)
            elif position.sequence:
                gap = Gap(1, position.sequence)
            known.move(position)
        self._forget_channels()
        return gap

    def learn(self, channel: str, ends: tuple[End, ...], current: str) -> Gap | None:
        """Take over how the earlier epochs of a channel ended.

        What is beyond the end of an epoch is forgotten. An epoch of which nobody else knows any more
        has ended as well, before those that are news.

        :param channel: the channel's name.
        :param ends: the ends, oldest first.
        :param current: the epoch that goes on; empty if that is not known.
        :return: what turned out to be lost, of an epoch that is over.
        """
        known = self._channels.setdefault(channel, _Channel())
        before = {end.epoch: end for end in known.ends if end.epoch != known.position.epoch}
        known.remember(_merged(known.ends_beside(current), ends))
        known.current = current
        for end in ends:
            known.cut(end)
        return joined([_further(before[end.epoch], end) for end in ends if end.epoch in before])

    def covers(self, channel: str, seen: Position) -> bool:
        """Tell whether a position lies on the way that this process saw the channel take."""
        known = self._channels.get(channel) or _Channel()
        here = known.rank(known.position.epoch)
        there = known.rank(seen.epoch) if seen.epoch else here
        if here is None or there is None or there > here:
            return False
        return there < here or seen.sequence <= known.position.sequence

    def missed(self, channel: str, seen: Position, max_updates: int, max_bytes: int) -> Missed:
        """Return what follows on a position, up to the next hole or epoch.

        :param channel: the channel's name.
        :param seen: the position.
        :param max_updates: how many updates to return at most, one at least.
        :param max_bytes: how large they may be together; a single one may be larger.
        """
        self._trim()
        known = self._channels.get(channel) or _Channel()
        run, start, gap = _next(known, seen)
        updates: list[Update] = []
        size = 0
        for update in islice(run.updates, start - run.first, None):
            size += update.size
            if len(updates) == max_updates or (updates and size > max_bytes):
                break
            updates.append(update)
        position = Position(start - 1 + len(updates), run.epoch)
        return Missed(updates, position, position == known.position, gap)

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
            if known:
                _forget(known, update)
        self._forget_channels()

    def _forget_channels(self) -> None:
        """Forget the channels that were idle for longest, unless something of them is kept."""
        while len(self._channels) > self._limits.channels:
            name, known = next(iter(self._channels.items()))
            if any(run.updates for run in known.runs):
                return
            del self._channels[name]


def _is_new(known: _Channel, update: Update) -> bool:
    """Tell whether an update follows on what is known of its channel."""
    end = known.end_of(update.epoch)
    if end and update.sequence > end.last:
        return False
    here, there = known.rank(known.position.epoch), known.rank(update.epoch)
    if there is None and known.current:
        return False
    if not known.position.epoch or here is None or there is None:
        return True
    return there > here or (there == here and update.sequence > known.position.sequence)


def _merged(own: Iterable[End], told: Iterable[End]) -> tuple[End, ...]:
    """Return all ends in one order: what is only known here stays behind what it followed on."""
    ends = {end.epoch: end for end in told}
    order = list(ends)
    place = 0
    for end in own:
        if end.epoch in ends:
            place = order.index(end.epoch) + 1
        else:
            ends[end.epoch] = end
            order.insert(place, end.epoch)
            place += 1
    return tuple(ends[epoch] for epoch in order)


def _next(known: _Channel, seen: Position) -> tuple[_Run, int, Gap | None]:
    """Return where to go on behind a position: a run, the number in it, and what is missing before it."""
    now = known.position
    runs = known.runs or [_Run(now.epoch, now.sequence + 1)]
    unknown = Gap(seen.sequence + 1, None)
    if not seen.epoch and seen.sequence > now.sequence:
        run = next(run for run in runs if run.epoch == now.epoch)
        return run, run.first, unknown
    seen = seen if seen.epoch else Position(seen.sequence, _epoch_of(known, seen.sequence))
    rank = known.rank(seen.epoch)
    if rank is None:
        # It forked from what there is, at the earliest where an epoch ended.
        run = next(run for run in runs if run.epoch == now.epoch)
        fork = min([seen.sequence, *(end.last for end in known.ends)])
        return run, run.first, Gap(fork + 1, None)
    for run in runs:
        there = known.rank(run.epoch)
        if there is None or there < rank:
            continue
        start = max(run.first, seen.sequence + 1) if there == rank else run.first
        is_last = run is runs[-1]
        if start <= run.last or (is_last and start <= run.last + 1):
            return run, start, known.gap(seen, run.epoch, start)
    return runs[-1], now.sequence + 1, unknown


def _epoch_of(known: _Channel, sequence: int) -> str:
    """Return the epoch that a number is likely to be of, where its client does not say."""
    if not sequence and known.ends:
        return known.ends[0].epoch
    current = known.position.epoch
    first = next((run.first for run in known.runs if run.epoch == current), 0)
    if sequence < first - 1:
        return next((end.epoch for end in reversed(known.ends) if sequence <= end.last), current)
    return current


def _further(before: End, end: End) -> Gap | None:
    """Return what is lost of an epoch beyond what was known to be."""
    if before.lost is None or end.lost is None:
        return None
    if end.lost > before.lost or end.last < before.last:
        return Gap(min(before.lost, end.last) + 1, end.lost)
    return None


def joined(gaps: Iterable[Gap | None]) -> Gap | None:
    """Return one gap that reaches from the beginning of the first one to the end of the last."""
    there = [gap for gap in gaps if gap is not None]
    if not there:
        return None
    ends = [gap.last for gap in there if gap.last is not None]
    return Gap(there[0].first, max(ends) if len(ends) == len(there) else None)


def _forget(known: _Channel, update: Update) -> None:
    """Remove the oldest update that is kept of a channel."""
    run = known.runs[0]
    if run.updates and run.updates[0] is update:
        run.updates.popleft()
        run.first += 1
    while len(known.runs) > 1 and not known.runs[0].updates:
        known.runs.popleft()
