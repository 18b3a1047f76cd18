"""What the three gunicorn workers have in common: how a worker starts the app and how it leaves."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.util import write_error

from production.modes import AsyncMode
from production.observe import apps_logging
from production.process.forks import set_apart
from production.process.identity import Place
from production.process.parsing import time_requests
from production.process.reading import HEAD_TIME, Conditions
from production.process.routing import Router
from production.process.supervisor import supervisor
from production.process.switchboard import Switchboard
from production.process.waiting_room import WaitingRoom
from production.refusal import ConfigurationError

if TYPE_CHECKING:
    from types import FrameType

# Descriptors that a worker needs beside those of its connections: listeners, logs, queue, pipes, and
# one for each slot of its gunicorn.
OTHER_DESCRIPTORS = 512

LOOK_AT_ALL_AFTER = 100
"""Looks for garbage among what is not new until one among all there is. One message may hold 300,000 objects;
with Python's 10, it takes up to ten times as long to decode. A rarer look among what is new would leave
so much of it that the processor's caches no longer hold it."""

START_AGAIN_AFTER = 5.0
"""Seconds between two attempts to replace a worker by code that does not start."""

LOOK = 0.05
"""Seconds between two looks at whether any connection is used."""

COULD_NOT_START = 1
"""Exit status of a worker without which the service goes on; gunicorn ends it for 3 and 4."""


class ServiceWorker:
    """A mixin, to stand before gunicorn's own worker class."""

    #: What it waits in.
    mode: AsyncMode

    # gunicorn's
    app: Any
    alive: bool
    cfg: Any
    log: Any
    sockets: list[Any]
    timeout: float
    worker_connections: int

    # Given by the master, see identity.py. A gunicorn without our configuration gives none.
    slot: int | None = None
    switchboard: Switchboard
    # Given by the master, see reloading.py: whether a reload waits for this worker.
    awaited = False
    metrics_directory: str
    age: int

    # Under which it reads requests.
    conditions: Conditions
    # What knows where requests belong, once the app is loaded.
    router: Router | None = None
    # Whether the worker has begun to leave, and when, by the monotonic clock.
    leaving = False
    left_at = 0.0
    # Set once its sessions are closed.
    drained: threading.Event
    # How many connections its tasks serve, or wait for.
    connections = 0

    def init_process(self) -> None:
        """Make ready what the connections that the settings allow need, then start."""
        self.exit_on_signals()
        self._await_next_attempt()
        self.prepare()
        raise_descriptor_limit(self.worker_connections + OTHER_DESCRIPTORS)
        if self.slot is not None:
            self.switchboard.keep(self.slot)
        super().init_process()  # type: ignore[misc]

    def prepare(self) -> None:
        """Do what the mode needs before anything else happens in the new process."""

    def exit_on_signals(self) -> None:
        """Let signals end this process until gunicorn's own handlers are in place.

        From the fork until then, a worker has the master's handlers, which would note a request to
        leave and do nothing: it would then be killed after the time that sessions are given.
        """
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))

    def load_wsgi(self) -> None:
        """Import the app; if it does not start, the service ends, unless other workers serve it."""
        try:
            self._load()
        except (Exception, SystemExit):
            if self.slot is None or not self._is_replacement():
                raise
            self.switchboard.fail(self.slot)
            self.log.exception(
                "A worker could not be replaced, and the others serve on; it is tried again soon."
            )
            sys.exit(COULD_NOT_START)
        supervisor.report_ready(self.log)

    def _load(self) -> None:
        self._share_metrics()
        self._share_memory()
        room = WaitingRoom(self.seats())
        self.conditions = Conditions(self.mode, float(self.cfg.keepalive) or HEAD_TIME, room)
        time_requests(self.conditions)
        set_apart(self.mode, self.sockets, self._leave_service)
        try:
            self._export_env_file()
            super().load_wsgi()  # type: ignore[misc]
            apps_logging.restore()
            self._check_queue()
            self._start_routing()
            self._start_sampling()
            self._keep_what_is_loaded()
        except ConfigurationError as refusal:
            self.log.critical("%s", refusal)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def _export_env_file(self) -> None:
        # Not above: pydantic is to be imported once the standard library is patched.
        from production.settings import export_env_file

        export_env_file()

    def _leave_service(self) -> None:
        """Only use the app, in a copy of this process that the app has made."""
        state = self._state()
        if state is not None:
            from production.unserved import leave_service

            leave_service(state)

    def _await_next_attempt(self) -> None:
        """Import what could not be imported a moment ago a moment later, or it would be all we do."""
        if self.slot is not None and not self.awaited:
            # At most half of the time that gunicorn waits for a sign of life.
            pause = min(START_AGAIN_AFTER, self.timeout)
            time.sleep(max(0.0, pause - self.switchboard.since_failure()))

    def _is_replacement(self) -> bool:
        """Tell whether others serve already, and a reload does not wait for this worker."""
        is_first = self.age <= self.cfg.workers
        return not (is_first or self.awaited or self.switchboard.is_empty())

    def seats(self) -> int:
        """Return how many connections may wait for their peers to say more."""
        return self.worker_connections // 2

    def timeout_ctx(self) -> AbstractContextManager[Any]:
        """Leave the wait for requests to what reads them, see reading.py."""
        return nullcontext()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that does not come, which is nothing to log; or as gunicorn does."""
        # Not above: the master must not import what the workers have yet to patch.
        from werkzeug.exceptions import RequestTimeout

        if isinstance(exc, RequestTimeout):
            with suppress(OSError):
                write_error(client, HTTPStatus.REQUEST_TIMEOUT, "Request Timeout", "")
        else:
            super().handle_error(req, client, addr, exc)  # type: ignore[misc]

    def forget(self, descriptor: int) -> None:
        """Make the mode's loop forget a descriptor that other processes will still have open."""

    def _share_metrics(self) -> None:
        """Count together with the other workers, before the app defines what it counts."""
        if self.slot is not None:
            from production.observe.shared_values import share

            share(self.metrics_directory, self.slot)

    def _share_memory(self) -> None:
        """Know what the service has had of its channels, although this worker has had nothing yet."""
        if self.slot is not None:
            from production.realtime.entries import newest_entry

            newest_entry.share(self.switchboard.entries_had(), self.slot)

    def _check_queue(self) -> None:
        state = self._state()
        if state is not None:
            from production.realtime.queue import QueueManager

            manager = state.socketio.server.manager
            # An adopted app may have a queue of another kind.
            if isinstance(manager, QueueManager):
                manager.check()

    def _start_sampling(self) -> None:
        state = self._state()
        if state is not None:
            from production.observe.sampling import Sampling

            Sampling(state).start()

    def _keep_what_is_loaded(self) -> None:
        """Look for no garbage in what stays as long as the worker; each look would stop all sessions."""
        gc.collect()
        gc.freeze()
        new, middle, all_there_is = gc.get_threshold()
        gc.set_threshold(new, middle, max(all_there_is, LOOK_AT_ALL_AFTER))

    def _state(self) -> Any:
        """Return what the layer knows of the app; nothing for an app without the layer."""
        return getattr(self.app.callable, "extensions", {}).get("production")

    def _start_routing(self) -> None:
        state = self._state()
        if self.slot is None:
            if self.cfg.workers > 1:
                raise ConfigurationError(
                    "This gunicorn gives its workers no slots, without which they cannot pass "
                    "sessions to each other: start it with the project's gunicorn.conf.py, and "
                    "again rather than by a reload if many workers are to be added."
                )
            return
        if state is None:
            # Nobody passes sessions to it, but the master waits for it on a reload.
            self.switchboard.open(self.slot, self.age)
            return
        self.router = Router(
            self.switchboard,
            Place(state.settings.host_id, self.slot, self.age),
            self.sockets,
            conditions=self.conditions,
            forget=self.forget,
            log=self.log,
        )
        self.router.start(state.socketio.server.eio)

    def note_peer(self, peer: Any) -> None:
        """Let the log know on whose account the lines of a connection are, until a request says more.

        :param peer: the address of a connection, as :meth:`socket.socket.accept` gave it.
        """
        from production.http.proxy import client_address
        from production.observe.current import UNKNOWN_CLIENT, current_client

        address = client_address(peer[0]) if isinstance(peer, tuple) else None
        current_client.set(address or UNKNOWN_CLIENT)

    def notify(self) -> None:
        """Tell the others that this worker lives, and begin to leave if gunicorn stopped it."""
        super().notify()  # type: ignore[misc]
        supervisor.report_alive(self.log)
        if self.router:
            self.router.beat()
        if not self.alive:
            self._begin_to_leave()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave on ``SIGTERM``: close the sessions first, then do as gunicorn does."""
        self._begin_to_leave()

    def run(self) -> None:
        """Serve until told to leave."""
        super().run()  # type: ignore[misc]
        self.await_drain()

    def await_drain(self) -> None:
        """Wait until the sessions are closed: gunicorn waits for requests, and some may have none."""
        if self.leaving:
            deadline = self.left_at + self.cfg.graceful_timeout
            self.drained.wait(max(0.0, deadline - time.monotonic()))

    def _begin_to_leave(self) -> None:
        if not self.leaving:
            self.leaving = True
            self.left_at = time.monotonic()
            self.drained = threading.Event()
            self.start_leaving()

    def start_leaving(self) -> None:
        """Run :meth:`leave` outside the signal handler, where blocking calls are allowed."""
        raise NotImplementedError

    def leave(self) -> None:
        """Stop accepting connections, then close the sessions within the time that is set."""
        # Imported here, since the master imports this module and must stay free of Socket.IO.
        from production.observe.repetition import repetition
        from production.process.drain import drain

        if self.router:
            self.router.stop_welcoming()
        super().handle_exit(signal.SIGTERM, None)  # type: ignore[misc]
        try:
            drain(self.app.callable, self.log)
        finally:
            repetition.tell_all()
            self.drained.set()
        self.let_go_of_idle()

    def let_go_of_idle(self) -> None:
        """Close the connections that keep this process once none of them is used."""
        # In the modes in which a connection that waits for its next request holds a task.
        while True:
            idle = self.conditions.room.idle()
            if len(idle) == self.connections:
                break
            time.sleep(LOOK)
        for visitor in idle:
            visitor.dismiss()


def raise_descriptor_limit(needed: int) -> None:
    """Raise the soft limit of open files to what is needed, as far as the hard limit lets.

    :param needed: a number of descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
