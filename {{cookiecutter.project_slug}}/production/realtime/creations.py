"""How many channels a client may begin: a channel is remembered for all, and there is room for so many.

The first message on a channel begins it, whether or not that message is kept in the end. It counts for
its session and for the address of that, or for the address that has posted it, and no longer once
``REPLAY_SECONDS`` have gone by: as soon, a channel on which nobody publishes may be forgotten. What the
service itself begins counts for nobody.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any, Protocol

import flask

from production.http.proxy import client_of
from production.realtime.errors import Rejected
from production.realtime.journal import Unavailable
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, name
from production.settings import Settings


@dataclass(frozen=True)
class Creator:
    """A client for whom new channels count.

    :param session: its Socket.IO session id, if it has one.
    :param address: where it is, as :func:`~production.http.proxy.client_of` says; None if nobody knows.
    """

    session: str | None
    address: str | None

    @property
    def shares(self) -> dict[str, str]:
        """Under what its channels are counted, by what that is."""
        if self.session is None:
            return {"posting": self.address} if self.address else {}
        shares = {"session": self.session}
        return {**shares, "address": self.address} if self.address else shares


def current_creator() -> Creator:
    """Return the client whose event or request is being handled."""
    request: Any = flask.request
    return Creator(getattr(request, "sid", None), client_of(request.environ))


class Creations(Protocol):
    """Counts the channels that clients begin."""

    def claim(self, creator: Creator, channel: str) -> None:
        """Count a channel that may be new.

        :raises Rejected: if its creator has begun too many.
        :raises Unavailable: if nobody can tell.
        """


class LocalCreations:
    """Counts in memory, for a service of one process.

    :param limits: how many channels there may be of one share, by what that is.
    :param seconds: for how long one counts.
    """

    def __init__(self, limits: dict[str, int], seconds: float) -> None:
        self._limits = limits
        self._seconds = seconds
        self._lock = threading.Lock()
        # When each was begun, the oldest first.
        self._begun: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)

    def claim(self, creator: Creator, channel: str) -> None:
        """Count a channel that may be new; see :class:`Creations`."""
        with self._lock:
            self._forget()
            shares = [
                share for share in creator.shares.items() if (*share, channel) not in self._begun
            ]
            for share in shares:
                if self._counts[share] >= self._limits[share[0]]:
                    raise _too_many(share[0], self._limits, self._seconds)
            for share in shares:
                self._begun[(*share, channel)] = time.monotonic()
                self._counts[share] += 1

    def _forget(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._begun and next(iter(self._begun.values())) < oldest:
            (kind, who, _), _ = self._begun.popitem(last=False)
            self._counts[kind, who] -= 1
            if not self._counts[kind, who]:
                del self._counts[kind, who]


CLAIM = """
local age, channel = tonumber(ARGV[1]), ARGV[2]
if redis.call('HEXISTS', KEYS[1], channel) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for share = 2, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[share], '-inf', now - age)
  local begun = redis.call('ZSCORE', KEYS[share], channel)
  if not begun and redis.call('ZCARD', KEYS[share]) >= tonumber(ARGV[share + 1]) then
    return share - 1
  end
end
for share = 2, #KEYS do
  redis.call('ZADD', KEYS[share], 'NX', now, channel)
  redis.call('PEXPIRE', KEYS[share], age)
end
return 0
"""
"""Counts a channel unless there is one of that name.

KEYS: the numbers of the channels, then a sorted set for each share: channel to the milliseconds when it
was begun. ARGV: milliseconds for which one counts, the channel, then the limit of each share. Returns
which share is used up, 0 if none is.
"""


class SharedCreations:
    """Counts in Redis or Valkey, for all processes together.

    :param url: where the queue is.
    :param service: the service's name.
    :param limits: how many channels there may be of one share, by what that is.
    :param seconds: for how long one counts.
    """

    def __init__(self, url: str, service: str, limits: dict[str, int], seconds: float) -> None:
        self._service = service
        self._limits = limits
        self._seconds = seconds
        self._queue = QueueClient(url)

    def claim(self, creator: Creator, channel: str) -> None:
        """Count a channel that may be new; see :class:`Creations`."""
        shares = list(creator.shares.items())
        if not shares:
            return
        keys = [name(self._service, "channels", "numbers")]
        keys += [name(self._service, "channels", "begun", *share) for share in shares]
        limits = [self._limits[kind] for kind, _ in shares]
        arguments = [int(self._seconds * 1000), channel, *limits]
        try:
            used_up = self._queue.ask(lambda client: client.register_script(CLAIM)(keys, arguments))
        except QUEUE_ERRORS as error:
            raise Unavailable("The message queue cannot be asked for a new channel.") from error
        if used_up:
            raise _too_many(shares[used_up - 1][0], self._limits, self._seconds)


def open_creations(settings: Settings) -> Creations:
    """Return what counts the channels that clients of this process begin.

    :param settings: the settings of the process.
    """
    limits = {
        "session": settings.max_channels_per_session,
        "address": settings.max_channels_per_address,
        "posting": settings.max_channels_per_address,
    }
    if settings.redis_url is None:
        return LocalCreations(limits, settings.replay_seconds)
    url = settings.redis_url.get_secret_value()
    return SharedCreations(url, settings.service_name, limits, settings.replay_seconds)


def _too_many(kind: str, limits: dict[str, int], seconds: float) -> Rejected:
    who = "A session" if kind == "session" else "The clients of one address"
    return Rejected(
        "too_many", f"{who} may begin {limits[kind]} channels within {seconds:g} seconds."
    )
