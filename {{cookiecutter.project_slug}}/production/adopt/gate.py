"""Holds back, in all processes but one, what an app's start sets going in the background.

Each process runs the whole start, since each has to serve. But a thread, a background task or a
scheduler of the app that the start sets going does its work in one process only: it waits before its
first line until it is the turn of the process. It has been started all the same, so that what the
app does with it, such as ``join()``, is what it would be.

An address that the start binds is bound in its turn, too, since only one process can have it.

A thread that serves the app is not held back. The start itself is, from there on: what follows is
work beside the server, such as a loop that reads datagrams.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
from flask_socketio import SocketIO

from production.adopt.call_sites import is_made_by_the_app
from production.adopt.late import replace, when_imported
from production.adopt.serving import serves
from production.bootstrap import plain_sockets
from production.modes import AsyncMode

log = structlog.get_logger(__name__)

SPAWNERS = {
    AsyncMode.EVENTLET: ("eventlet.greenthread", ("spawn", "spawn_n")),
    AsyncMode.GEVENT: ("gevent", ("spawn",)),
    AsyncMode.THREADING: ("threading", ()),
}
"""By mode, the module and the names of the functions that start a green thread."""

Run = Callable[..., Any]


class Gate:
    """Is closed until it is this process's turn."""

    def __init__(self) -> None:
        self._turn = threading.Event()
        self._starters: set[int] = set()
        self._postponed: list[Callable[[], Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether it is, or was, this process's turn."""
        return self._turn.is_set()

    def open(self) -> None:
        """Let everything go on that is held back, and hold back nothing more."""
        for act in self._postponed:
            try:
                act()
            except OSError as error:
                log.error("what the app's start binds cannot be had", reason=str(error))
        self._turn.set()

    def postpone(self, act: Callable[[], Any]) -> None:
        """Do something when it is this process's turn, before anything else goes on."""
        self._postponed.append(act)

    def count_as_start(self) -> None:
        """Hold back what this thread starts, from now on."""
        self._starters.add(threading.get_ident())

    def concerns(self, caller: FrameType) -> bool:
        """Tell whether what is being started has to be held back.

        :param caller: who starts it.
        """
        return (
            not self.is_open
            and threading.get_ident() in self._starters
            and is_made_by_the_app(caller)
        )

    def start(self, target: Any, start: Callable[[Callable[[Run], Run]], Any]) -> Any:
        """Start something that runs in its turn, or that serves.

        :param target: what it was given to run.
        :param start: starts it, given what to make of what it runs.
        :return: what ``start`` returns.
        """
        if not serves(target):
            return start(self._in_turn)
        started = start(self._as_start)
        self._turn.wait()
        return started

    def _in_turn(self, run: Run) -> Run:
        def run_in_turn(*arguments: Any, **options: Any) -> Any:
            self._turn.wait()
            return run(*arguments, **options)

        return run_in_turn

    def _as_start(self, run: Run) -> Run:
        def run_as_start(*arguments: Any, **options: Any) -> Any:
            self.count_as_start()
            return run(*arguments, **options)

        return run_as_start


def hold_back(gate: Gate, mode: AsyncMode) -> None:
    """Hold back what the start of the app will set going, before it is started.

    :param gate: where it is held back.
    :param mode: what the process serves in.
    """
    _hold_threads(gate)
    _hold_tasks(gate)
    _hold_addresses(gate, plain_sockets(mode))
    name, spawners = SPAWNERS[mode]
    when_imported(name, lambda module: _hold_green_threads(gate, module, spawners))


def _hold_threads(gate: Gate) -> None:
    start = threading.Thread.start

    def start_in_turn(self: Any) -> None:
        def start_to_run(changed: Callable[[Run], Run]) -> None:
            self.run = changed(self.run)
            start(self)

        if gate.concerns(sys._getframe(1)):
            # What a thread was given to run it keeps to itself; a class of the app's has its own run().
            gate.start(getattr(self, "_target", None) or self.run, start_to_run)
        else:
            start(self)

    threading.Thread.start = start_in_turn  # type: ignore[method-assign]


def _hold_tasks(gate: Gate) -> None:
    start = SocketIO.start_background_task

    def start_in_turn(self: Any, target: Any, *arguments: Any, **options: Any) -> Any:
        if gate.concerns(sys._getframe(1)):
            return gate.start(
                target, lambda changed: start(self, changed(target), *arguments, **options)
            )
        return start(self, target, *arguments, **options)

    SocketIO.start_background_task = start_in_turn


def _hold_addresses(gate: Gate, sockets: Any) -> None:
    bind, listen = sockets.bind, sockets.listen
    unbound: list[Any] = []

    def bind_in_turn(self: Any, address: Any) -> None:
        if gate.concerns(sys._getframe(1)) and not _is_any_port(address):
            unbound.append(self)
            gate.postpone(lambda: bind(self, address))
        else:
            bind(self, address)

    def listen_in_turn(self: Any, *backlog: int) -> None:
        if not gate.is_open and self in unbound:
            gate.postpone(lambda: listen(self, *backlog))
        else:
            listen(self, *backlog)

    sockets.bind, sockets.listen = bind_in_turn, listen_in_turn


def _is_any_port(address: Any) -> bool:
    """Tell whether an address leaves the port to the system, which gives each process another."""
    return isinstance(address, tuple) and address[1] == 0


def _hold_green_threads(gate: Gate, module: Any, names: tuple[str, ...]) -> None:
    def held(spawn: Run) -> Run:
        def spawn_in_turn(function: Any, *arguments: Any, **options: Any) -> Any:
            if gate.concerns(sys._getframe(1)):
                return gate.start(
                    function, lambda changed: spawn(changed(function), *arguments, **options)
                )
            return spawn(function, *arguments, **options)

        return spawn_in_turn

    for name in names:
        replace(module, name, held(getattr(module, name)))
