"""Work that is done once in a service, however many processes it has: a clock, a price feed.

The processes compete for a lease in the message queue. Who holds it does the work and renews it; when
that process dies, the lease runs out and another one takes over. A process that cannot prove that it
holds the lease stops before another one may begin: :mod:`production.realtime.lease` says how, whatever
becomes of the queue::

    def clock(turn):
        while True:
            socketio.emit("time", {"now": time.time()})
            turn.sleep(1)

    production.once_per_service(app, clock)
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask

from production.realtime.lease import RENEWAL, Lease, NotHeld, NotYet, Unproven, now
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, name

log = structlog.get_logger(__name__)

ATTEMPTS = (0.1, 0.2)
"""Parts of the lease between two attempts to take it, drawn at random."""

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
        # What was over once stays over, for its work has ended or is about to.
        if self.ends_with(self._server) or now() >= self._until:
            self._ended = True
        return not self._ended

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
        until = now() + seconds
        self.check()
        while (left := until - now()) > 0:
            self._server.sleep(min(left, LOOK))
            self.check()

    def extend(self, until: float) -> None:
        """Let it last until a time of the clock of leases."""
        self._until = until

    def end(self) -> None:
        """Let it be over."""
        self._ended = True


Work = Callable[[Turn], None]


def once_per_service(
    app: Flask, work: Work, *, title: str | None = None, lease: float = 10.0
) -> None:
    """Do some work in exactly one process of the service, for as long as the service runs.

    Call it in each process, after :func:`production.init_app`; one that only uses the app, such as ``flask
    shell``, does not do it. The work runs in the background with
    the app's context. If it raises, that is logged and it begins anew, here or elsewhere; if it
    returns, it is not begun again before this process ends.

    :param app: the app.
    :param work: called with a :class:`Turn`; it has to sleep by :meth:`Turn.sleep` or to ask
        :attr:`Turn.held` before it does what must not be done twice.
    :param title: the name of the work, the same in all processes; that of the function by default.
    :param lease: seconds within which another process takes over from one that died. A turn is
        renewed every fifth of it, is over 0.6 of it after the last renewal that was confirmed, and
        begins elsewhere after 0.75 of it at the earliest: the margin is 0.15 of it, 1.5 s by
        default. What the work does between two looks at its turn has to take less than that; a
        process that is stopped in between does it late, which only a store that checks
        :attr:`Turn.fence` can refuse. On a queue that has failed over, was restarted or
        emptied, or is new, a turn begins after 0.75 of it.
    """
    state = app.extensions["production"]
    title = title or f"{work.__module__}.{work.__qualname__}"
    server = state.socketio.server
    if not state.serves:
        return
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
        self._queue = QueueClient(state.settings.redis_url.get_secret_value())
        self._lease = Lease(name(state.settings.service_name, "once", title), lease)
        self._seconds = lease
        self._outage = state.outage
        self._part = f"lock of {title}"
        self._in_doubt = False

    def begin(self) -> None:
        """Take part, in the background, until the process leaves."""
        self._server.start_background_task(self._run)

    def give_way(self) -> None:
        """Know that another process has the turn, each time that it was found to."""

    def _run(self) -> None:
        """Compete for the lease, do the work while it is held, compete again."""
        while not self._server.eio.draining:
            try:
                self.compete()
                self._settle()
            except NotYet:
                self._settle()
            except NotHeld as error:
                log.warning("turn lost", work=self._title, reason=str(error))
            except Unproven as error:
                self._doubt(error)
            except Exception as error:
                self._outage.begin(self._part, error)
            self._server.sleep(random.uniform(*ATTEMPTS) * self._seconds)  # noqa: S311

    def compete(self) -> None:
        """Do the work if nobody else does it.

        :raises NotHeld: if the lease was lost while the work was being done.
        :raises NotYet: if nobody may do it for now.
        """
        until = self._queue.ask(self._lease.take)
        if until is None:
            self.give_way()
            return
        self._settle()
        turn = self.turn_class(self._lease.fence, self._server)
        turn.extend(until)
        log.info("turn begins", work=self._title, fence=turn.fence)
        run = _Run(self._app, self._work, turn)
        self._server.start_background_task(run)
        try:
            self._renew(turn, run)
        finally:
            turn.end()
            # Nothing begins here before what began earlier has noticed that its turn is over.
            while not run.ended.is_set():
                self._server.sleep(LOOK)
            log.info("turn ends", work=self._title, fence=turn.fence)
            try:
                self._queue.ask(self._lease.release)
            finally:
                self._lease.forget()

    def _renew(self, turn: Turn, run: _Run) -> None:
        """Renew the lease until the work fails or the turn is over.

        Work that returned keeps its turn: it is done, and nobody shall begin it again.

        :raises NotHeld: if the lease is lost.
        """
        renew_at = now() + RENEWAL * self._seconds
        while turn.held and not run.failed:
            self._server.sleep(LOOK)
            asked_at = now()
            if asked_at < renew_at:
                continue
            # The turn lasts for what was confirmed, and the queue may be back by then.
            try:
                turn.extend(self._queue.ask(self._lease.renew))
            except Unproven as error:
                self._doubt(error)
            except QUEUE_ERRORS as error:
                self._outage.begin(self._part, error)
            else:
                self._settle()
                renew_at = asked_at + RENEWAL * self._seconds

    def _doubt(self, error: Unproven) -> None:
        self._outage.end(self._part)
        if not self._in_doubt:
            log.warning("turn not proven", work=self._title, reason=str(error))
        self._in_doubt = True

    def _settle(self) -> None:
        self._outage.end(self._part)
        self._in_doubt = False
