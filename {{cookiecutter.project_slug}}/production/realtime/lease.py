"""A lease in the queue: at most one process holds it, whatever becomes of the queue.

A key with an expiry is not enough. A queue that fails over, restarts or is emptied forgets it, and an
old primary goes on to confirm what no longer counts. With ``T`` for the whole lease:

1. A process holds the lease for ``HELD`` = 0.6 T from the moment at which it *asked* for the last
   renewal that was confirmed, by its own clock; it stops then, whatever the reason. It asks every
   ``RENEWAL`` = 0.2 T.
2. The key expires ``EXPIRY`` = 0.75 T after a renewal, and only then may another process begin. The
   difference, ``MARGIN`` = 0.15 T or 1.5 s of 10, is for clocks that run at different rates and for
   work that looks at its turn only now and then.
3. Where a server holds the key of another server, or none of its own - it became the primary, was
   restarted, or was emptied - nobody begins before ``EXPIRY`` has passed from the first time
   that it was asked. Who held the lease before finds its own key and goes on, or is over by then.
4. With Sentinels, taking and renewing count only if more than half of them say *afterwards* that the
   server is the primary, and who begins on another server has asked them *before*: two such majorities
   have a Sentinel in common, so no renewal is confirmed by an old primary after the wait of 3. began.

The clock is the system's that never jumps, and goes on while the machine sleeps where there is one
(``CLOCK_BOOTTIME``). A process that was stopped for a while finds, as soon as it looks, that its turn
is over. What it does *without* looking nobody can prevent: see :attr:`Lease.fence`.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from redis import ConnectionError as RedisConnectionError

from production.realtime.redis_connection import leads

HELD = 0.6
EXPIRY = 0.75
RENEWAL = 0.2
"""All as parts of the lease."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

SERVER = """
local key, server, fence = KEYS[1], KEYS[2], KEYS[3]
local token, expiry = ARGV[1], ARGV[2]
local id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
"""

TAKE = (
    SERVER
    + """
if redis.call('GET', server) ~= id then
  redis.call('SET', server, id)
  if redis.call('PEXPIRE', key, expiry) == 0 then
    redis.call('SET', key, 'nobody', 'PX', expiry)
  end
end
local holder = redis.call('GET', key)
if holder == 'nobody' then return -1 end
if holder and holder ~= token then return 0 end
redis.call('SET', key, token, 'PX', expiry)
local last = tonumber(redis.call('GET', fence) or 0)
local next = string.format('%.0f', math.max(last + 1, tonumber(ARGV[3])))
redis.call('SET', fence, next)
return tonumber(next)
"""
)
"""Takes the lease if it is free, and also if an earlier attempt of this process was never answered.

Returns a number above all before, by this server and by the clock of whoever asks; 0 if another
process has the lease, -1 if nobody may have it yet.
"""

RENEW = (
    SERVER
    + """
if redis.call('GET', key) ~= token then return 0 end
redis.call('SET', server, id)
return redis.call('PEXPIRE', key, expiry)
"""
)

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class NotHeld(Exception):
    """Another process has the lease, or the queue has forgotten whose it is."""


class NotYet(Exception):
    """The queue is new, and whoever held the lease before may not have noticed."""


class Unproven(RedisConnectionError):
    """Whether the lease is held cannot be said: most Sentinels do not confirm the server."""


def now() -> float:
    """Return the time in seconds by the clock of all leases of this process."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """One process's part in a lease.

    :param key: the name of the lease in the queue, the same for all processes.
    :param seconds: the whole lease: within it another process takes over from one that died, as long
        as the queue serves.
    """

    def __init__(self, key: str, seconds: float) -> None:
        self._keys = [key, f"{key}:server", f"{key}:fence"]
        self._expiry = int(seconds * EXPIRY * 1000)
        self._held = seconds * HELD
        self._token = uuid.uuid4().hex
        #: A number that grows from holder to holder.
        self.fence = 0

    def take(self, client: Any) -> float | None:
        """Take the lease if nobody has it.

        :param client: of the queue.
        :return: until when it is held, see :func:`now`; nothing if another process holds it.
        :raises NotYet: if nobody may take it for now.
        :raises Unproven: if it may have been taken at a server that is not the primary.
        """
        client.ping()
        if not leads(client):
            raise Unproven("most Sentinels do not say that this server is the primary")
        asked_at = now()
        wall_clock = int(time.time() * 1000)
        fence = self._run(client, TAKE, wall_clock)
        if fence < 0:
            raise NotYet
        if not fence:
            return None
        self.fence = fence
        return self._until(asked_at, client)

    def renew(self, client: Any) -> float:
        """Renew the lease.

        :param client: of the queue.
        :return: until when it is held, see :func:`now`.
        :raises NotHeld: if it is not any more.
        :raises Unproven: if it may have been renewed at a server that is not the primary.
        """
        asked_at = now()
        if not self._run(client, RENEW):
            raise NotHeld("another process has it, or the queue has lost it")
        return self._until(asked_at, client)

    def release(self, client: Any) -> None:
        """Let another process have the lease at once, if it is still held."""
        self._run(client, RELEASE)

    def forget(self) -> None:
        """Be another one from now on: what was taken before is not taken again for being known."""
        self._token = uuid.uuid4().hex

    def _until(self, asked_at: float, client: Any) -> float:
        if not leads(client):
            raise Unproven("most Sentinels do not say that this server is the primary")
        return asked_at + self._held

    def _run(self, client: Any, script: str, *more: Any) -> int:
        run = client.register_script(script)
        return int(run(self._keys, [self._token, self._expiry, *more]) or 0)
