"""The journal of a service without a message queue, which is one process: it lasts as long as that."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from production.realtime.errors import Rejected
from production.realtime.history import Limits
from production.realtime.journal import Follower
from production.realtime.updates import Encoded, Update


@dataclass
class _Numbering:
    epoch: str
    sequence: int = 0
    used_at: float = 0.0


class LocalJournal:
    """Numbers the updates in memory.

    :param limits: how many channels and message ids are remembered; what is kept of the updates
        themselves is the follower's business.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Held until the update is delivered, so that updates leave in the order of their numbers.
        self._lock = threading.Lock()
        # The channel that was written to last is the last one.
        self._numberings: OrderedDict[str, _Numbering] = OrderedDict()
        self._sequences: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._follower: Follower
        self.followed = True

    def follow(self, follower: Follower) -> None:
        """Pass on everything that is published, in order."""
        self._follower = follower

    def append(self, channel: str, encoded: Encoded, message_id: str | None) -> int:
        """Number an update and pass it on; see :class:`production.realtime.journal.Journal`.

        :raises Rejected: if there is no room for another channel.
        """
        with self._lock:
            if message_id and (sequence := self._sequences.get((channel, message_id))):
                return sequence
            numbering = self._numbering(channel)
            numbering.sequence += 1
            numbering.used_at = time.time()
            sequence = numbering.sequence
            if message_id:
                self._remember(channel, message_id, sequence)
            sent_at = int(numbering.used_at * 1000)
            self._follower.deliver(Update(channel, sequence, numbering.epoch, sent_at, encoded))
        return sequence

    def catch_up(self) -> None:
        """Return at once: everything was passed on when it was published."""

    def _numbering(self, channel: str) -> _Numbering:
        if channel not in self._numberings:
            if len(self._numberings) >= self._limits.channels:
                self._forget_channel()
            self._numberings[channel] = _Numbering(secrets.token_hex(4))
        self._numberings.move_to_end(channel)
        return self._numberings[channel]

    def _forget_channel(self) -> None:
        name, idlest = next(iter(self._numberings.items()))
        if idlest.used_at > time.time() - self._limits.seconds:
            raise Rejected("full", f"There is room for {self._limits.channels} channels.")
        del self._numberings[name]

    def _remember(self, channel: str, message_id: str, sequence: int) -> None:
        self._sequences[channel, message_id] = sequence
        if len(self._sequences) > self._limits.messages:
            self._sequences.popitem(last=False)
