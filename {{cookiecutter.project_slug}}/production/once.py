"""Work that is done once in a service, however many processes it has: a clock, a price feed.

The processes compete for a lock in the message queue. Who holds it does the work and renews it; when
that process dies, the lock runs out and another one takes over::

    def clock(turn):
        while True:
            socketio.emit("time", {"now": time.time()})
            turn.sleep(1)

    production.once_per_service(app, clock)
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask
from redis.exceptions import LockError, LockNotOwnedError

from production.realtime.redis_connection import QUEUE_ERRORS, connect, name

log = structlog.get_logger(__name__)

# As parts of the lease. The lock runs out early enough for the slowest of the others to take over
# within the lease; two renewals in a row may fail before that.
LOCK_TIME = 0.75
RENEWAL = 0.25
ATTEMPTS = (0.1, 0.2)

LOOK = 0.1
"""Seconds between two looks at whether the turn is over."""

RESTART_AFTER = 1.0
"""Seconds after which work that raised begins anew where there is no other process."""


class TurnOver(Exception):
    """This process is no longer the one that does the work; another may be doing it already."""


class Turn:
    """The time for which this process is the one that does the work.

    :param fence: a number that grows from turn to turn: a store that remembers the highest one it
        was shown can refuse what comes late from a process that does not know yet that its turn is
        over. It is 0 where there is no message queue.
    :param server: the Socket.IO server, which knows how its async mode sleeps.
    """

    def __init__(self, fence: int, server: Any) -> None:
        self.fence = fence
        self._server = server
        self._until = float("inf")
        self._ended = False

    @property
    def held(self) -> bool:
        """Whether the work is still this process's."""
        if self.ends_with(self._server):
            self._ended = True
        return not self._ended and time.monotonic() < self._until

    def ends_with(self, server: Any) -> bool:
        """Tell whether the process leaves, and its turn is over with that.

        :param server: the Socket.IO server, which knows.
        """
        return bool(server.eio.draining)

    def check(self) -> None:
        """Make sure that the work is still this process's.

        :raises TurnOver: if it is not.
        """
        if not self.held:
            raise TurnOver

    def sleep(self, seconds: float) -> None:
        """Sleep while the turn lasts.

        :raises TurnOver: as soon as the turn is over.
        """
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            self._server.sleep(min(left, LOOK))
            self.check()

    def extend(self, until: float) -> None:
        """Let it last until a time of the monotonic clock."""
        self._until = until

    def end(self) -> None:
        """Let it be over."""
        self._ended = True


Work = Callable[[Turn], None]


def once_per_service(
    app: Flask, work: Work, *, title: str | None = None, lease: float = 10.0
) -> None:
    """Do some work in exactly one process of the service, for as long as the service runs.

    Call it in each process, after :func:`production.init_app`. The work runs in the background with
    the app's context. If it raises, that is logged and it begins anew, here or elsewhere; if it
    returns, it is not begun again before this process ends.

    :param app: the app.
    :param work: called with a :class:`Turn`; it has to sleep by :meth:`Turn.sleep` or to ask
        :attr:`Turn.held` before it does what must not be done twice.
    :param title: the name of the work, the same in all processes; that of the function by default.
    :param lease: seconds after which another process takes over from one that died.
    """
    state = app.extensions["production"]
    title = title or f"{work.__module__}.{work.__qualname__}"
    server = state.socketio.server
    if state.settings.redis_url is None:
        server.start_background_task(_work_alone, app, server, work)
    else:
        Contest(app, work, title, lease).begin()


def _work_alone(app: Flask, server: Any, work: Work) -> None:
    """Do the work where there is no other process."""
    while True:
        run = _Run(app, work, Turn(0, server))
        run()
        if not run.failed:
            return
        server.sleep(RESTART_AFTER)


class _Run:
    """One call of the work, in a task of its own."""

    def __init__(self, app: Flask, work: Work, turn: Turn) -> None:
        self._app = app
        self._work = work
        self._turn = turn
        #: Whether the work is no longer running.
        self.ended = threading.Event()
        #: Whether it raised.
        self.failed = False

    def __call__(self) -> None:
        try:
            with self._app.app_context():
                self._work(self._turn)
        except TurnOver:
            pass
        except Exception:
            self.failed = True
            log.exception("work failed", work=self._work.__qualname__)
        finally:
            self.ended.set()


class Contest:
    """What one process does about one work, where there are others.

    :param app: the app, with a message queue.
    :param work: as for :func:`once_per_service`, as are the others.
    """

    turn_class = Turn

    def __init__(self, app: Flask, work: Work, title: str, lease: float) -> None:
        state = app.extensions["production"]
        self._app = app
        self._server = state.socketio.server
        self._work = work
        self._title = title
        self._lease = lease
        self._url = state.settings.redis_url.get_secret_value()
        self._key = name(state.settings.service_name, "once", title)
        self._outage = state.outage
        self._part = f"lock of {title}"
        #: What the lock holds while it is this process's.
        self.token = uuid.uuid4().hex.encode()

    def begin(self) -> None:
        """Take part, in the background, until the process leaves."""
        self._server.start_background_task(self._run)

    def give_way(self) -> None:
        """Know that another process has the turn, each time that it was found to."""

    def _run(self) -> None:
        """Compete for the lock, do the work while it is held, compete again."""
        client: Any = None
        while not self._server.eio.draining:
            try:
                client = client or connect(self._url)
                self.compete(client)
                self._outage.end(self._part)
            except LockError as error:
                log.warning("turn lost", work=self._title, reason=str(error))
            except Exception as error:
                self._outage.begin(self._part, error)
                if client is not None:
                    client.close()
                client = None
            self._server.sleep(random.uniform(*ATTEMPTS) * self._lease)  # noqa: S311

    def compete(self, client: Any) -> None:
        """Do the work if nobody else does it.

        :raises LockError: if the lock ran out or was taken while the work was being done.
        """
        timeout = self._lease * LOCK_TIME
        # Not bound to a thread: the lock belongs to this object, whoever renews it.
        lock = client.lock(self._key, timeout=timeout, blocking=False, thread_local=False)
        asked_at = time.monotonic()
        if not self._take(lock):
            self.give_way()
            return
        turn = self.turn_class(_next_fence(client, f"{self._key}:fence"), self._server)
        turn.extend(asked_at + timeout)
        log.info("turn begins", work=self._title, fence=turn.fence)
        run = _Run(self._app, self._work, turn)
        self._server.start_background_task(run)
        try:
            self._renew(lock, turn, run)
        finally:
            turn.end()
            # Nothing begins here before what began earlier has noticed that its turn is over.
            while not run.ended.is_set():
                self._server.sleep(LOOK)
            log.info("turn ends", work=self._title, fence=turn.fence)
        lock.release()

    def _take(self, lock: Any) -> bool:
        """Take the lock if it is free, or this process's by an attempt that was never answered.

        A queue that comes back after it was frozen does what it was asked meanwhile.
        """
        if lock.acquire(token=self.token):
            return True
        lock.local.token = self.token
        try:
            lock.reacquire()
        except LockNotOwnedError:
            return False
        return True

    def _renew(self, lock: Any, turn: Turn, run: _Run) -> None:
        """Renew the lock until the work fails or the turn is over.

        Work that returned keeps its turn: it is done, and nobody shall begin it again.
        """
        renew_at = time.monotonic() + RENEWAL * self._lease
        while turn.held and not run.failed:
            self._server.sleep(LOOK)
            asked_at = time.monotonic()
            if asked_at < renew_at:
                continue
            try:
                lock.reacquire()
            except LockError:
                raise
            except QUEUE_ERRORS as error:
                # The turn lasts until the lock runs out, and the queue may be back by then.
                self._outage.begin(self._part, error)
                continue
            self._outage.end(self._part)
            turn.extend(asked_at + self._lease * LOCK_TIME)
            renew_at = asked_at + RENEWAL * self._lease


def _next_fence(client: Any, key: str) -> int:
    """Return a number above all before: of this queue and, by the clock, of one that lost its data."""
    fence = max(int(client.incr(key)), int(time.time() * 1000))
    client.set(key, fence)
    return fence
