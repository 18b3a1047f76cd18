"""What operators see live: every process of the service, and its log.

They watch in a namespace of their own. Who watches is known to one process, which tells the others;
each then reports itself to all watchers, through the queue, until it has not been told for a while.
Nobody is asked and nothing is kept, so a process that is gone just falls silent. While nobody watches
none of this happens.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

from production.http.proxy import counted_address
from production.observe import apps_logging
from production.observe.door import Door
from production.observe.log_stream import LogStream, muted
from production.observe.snapshot import Snapshots
from production.realtime.queue import QueueManager
from production.state import ServiceState

log = structlog.get_logger(__name__)

NAMESPACE = "/ops"

WATCHERS = "watchers"
"""The room of those who were let in."""

TOPIC = "operators"
"""What the processes tell each other about."""

TICK = 0.5
"""Seconds between two looks at what was logged."""

TICKS_PER_SNAPSHOT = 4
"""A process shows itself every two seconds."""

PATIENCE = 7.0
"""Seconds for which a process reports without being told again that somebody watches: two of the
notices, which are as frequent as snapshots, may be late or lost."""


class Operators:
    """The operators' namespace of this process.

    :param state: the process.
    :param door: what decides who is let in.
    :param log_stream: a handler of the root logger.
    """

    def __init__(self, state: ServiceState, door: Door, log_stream: LogStream) -> None:
        self._state = state
        self._server = state.socketio.server
        self._door = door
        self._snapshots = Snapshots(state)
        self._log_stream = log_stream
        self._lock = threading.Lock()
        self._reporting = False
        self._watched_until = 0.0

    def open(self) -> None:
        """Take watchers from now on, and hear of those of other processes."""
        # Functions on the server itself: neither the guards nor the error handlers of an adopted app
        # come between, nor a handler that it has for any namespace.
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        if isinstance(self._server.manager, QueueManager):
            self._server.manager.hear(TOPIC, self._watch)

    def _connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Let an operator in.

        :raises ConnectionRefusedError: saying why not.
        """
        token = auth.get("token") if isinstance(auth, dict) else None
        self._door.enter(token, counted_address(environ))
        self._server.enter_room(sid, WATCHERS, namespace=NAMESPACE)
        self._watch()
        self._tell_others()

    def _watch(self) -> None:
        """Report for a while, from now on."""
        with self._lock:
            self._watched_until = time.monotonic() + PATIENCE
            if self._reporting:
                return
            self._reporting = True
        self._server.start_background_task(self._report)

    def _report(self) -> None:
        self._log_stream.start()
        tick = 0
        while self._is_watched():
            try:
                # What is logged because of what is sent here is not sent.
                with muted():
                    self._report_once(tick)
            except Exception:
                log.exception("operators cannot be shown this process")
            tick += 1
            self._server.sleep(TICK)

    def _report_once(self, tick: int) -> None:
        if tick % TICKS_PER_SNAPSHOT == 0:
            self._send("process", self._snapshots.take())
        elif tick % TICKS_PER_SNAPSHOT == TICKS_PER_SNAPSHOT // 2:
            self._renew()
        records, dropped = self._log_stream.take()
        if records or dropped:
            process = self._state.process
            self._send("log", {"process": process, "records": records, "dropped": dropped})

    def _is_watched(self) -> bool:
        with self._lock:
            self._reporting = time.monotonic() < self._watched_until
            if not self._reporting:
                self._log_stream.stop()
            return self._reporting

    def _renew(self) -> None:
        """Go on reporting, here and elsewhere, while an operator is connected to this process."""
        if any(True for _ in self._server.manager.get_participants(NAMESPACE, WATCHERS)):
            self._watch()
            self._tell_others()

    def _tell_others(self) -> None:
        if isinstance(self._server.manager, QueueManager):
            self._server.manager.tell(TOPIC)

    def _send(self, event: str, data: dict[str, Any]) -> None:
        self._server.emit(event, data, to=WATCHERS, namespace=NAMESPACE)


def open_to_operators(state: ServiceState, door: Door) -> bool:
    """Let operators watch this process; return whether they can.

    :param state: the process.
    :param door: what decides who is let in.
    """
    if not state.socketio.server.may_open(NAMESPACE):
        return False
    log_stream = LogStream()
    apps_logging.keep(log_stream)
    Operators(state, door, log_stream).open()
    return True
