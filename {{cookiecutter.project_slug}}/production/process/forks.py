"""A process that the app forks: it does its job, and has no part in the service.

``multiprocessing``, ``os.fork`` and ``pty.fork`` copy the whole worker: the loop in which its sessions
wait, its listeners, everybody's connections and gunicorn's signal handlers. A copy that waited in that
loop would serve, and keep the worker from hearing of whatever the two share. So it gets a loop of its
own in which nobody waits, none of the service's sockets, and the signal handlers that Python begins
with. What it emits goes the way that commands go, and where the worker would go on, it ends.

This is the seam to the hubs of eventlet and gevent and to what :mod:`threading` does after a fork.
"""

from __future__ import annotations

import _socket
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

from production.modes import AsyncMode

GUNICORNS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
"""The signals that gunicorn handles."""

# As it is before an adopted app's calls are taken over, see adopt/signals.py.
_install = signal.signal

# What the worker's sessions wait in. It is kept: greenlets that nobody remembers are ended, and would end
# their sessions with words to clients that the worker goes on to serve.
_loops_left: list[Any] = []


def set_apart(mode: AsyncMode, listeners: list[Any], leave_service: Callable[[], None]) -> None:
    """Have each process that the app forks set apart from the service.

    :param mode: what the worker waits in.
    :param listeners: gunicorn's listening sockets.
    :param leave_service: what the app needs in the new process.
    """
    let_go = partial(_let_go_of_sockets, listeners)
    for step in (_forget_signals, _forget_pools, let_go, LEAVE_LOOP[mode], leave_service):
        os.register_at_fork(after_in_child=step)


def end_if_forked() -> None:
    """End this process if the app has forked it; called where the app's code returns to the worker's."""
    if not _loops_left:
        return
    fault = sys.exception()
    if isinstance(fault, SystemExit) and isinstance(fault.code, int | None):
        os._exit(fault.code or 0)
    os._exit(1 if fault else 0)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in GUNICORNS:
        _install(number, signal.SIG_DFL)
    _install(signal.SIGINT, signal.default_int_handler)


def _forget_pools() -> None:
    """Let the process end without the threads of pools, gunicorn's own among them, which it has not."""
    # Not imported above: the lock that all pools share would be made before the worker patches.
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        pools._threads_queues.clear()


def _let_go_of_sockets(listeners: list[Any]) -> None:
    """Put nothing in the place of the listeners and of the connections that they have accepted.

    A connection of which this process had a copy would stay open when the worker closes it, and an
    address would be taken when the worker has left.
    """
    places = {_place(listener.getsockname()) for listener in listeners}
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if _place_of(descriptor) in places:
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _place_of(descriptor: int) -> Any:
    """Return to which port or path a socket is bound; nothing for what is no socket."""
    try:
        # Its methods are the system's in all modes, and it belongs to no loop.
        borrowed = _socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        return _place(borrowed.getsockname())
    except OSError:
        return None
    finally:
        borrowed.detach()


def _place(address: Any) -> Any:
    """Leave out the host: what a listener of all hosts has accepted has one of them."""
    return address[1] if isinstance(address, tuple) else address


def _leave_hub_of_eventlet() -> None:
    from eventlet import hubs, patcher

    _loops_left.append(hubs.get_hub())
    hubs.use_hub()
    # eventlet takes this out of the standard library, as green threads survive a fork. These do not.
    after_fork = patcher.original("threading")._after_fork
    FunctionType(after_fork.__code__, vars(threading))()
    _end_with_the_job()


def _leave_hub_of_gevent() -> None:
    hub: Any = importlib.import_module("gevent.hub")
    left = hub.get_hub()
    _loops_left.append(left)
    # The new one could not await processes of its own beside it: only the system's first loop does.
    left.loop.destroy()
    hub.set_loop(None)
    hub.set_hub(None)
    _end_with_the_job()


def _leave_no_loop() -> None:
    _loops_left.append(None)


LEAVE_LOOP = {
    AsyncMode.EVENTLET: _leave_hub_of_eventlet,
    AsyncMode.GEVENT: _leave_hub_of_gevent,
    AsyncMode.THREADING: _leave_no_loop,
}


def _end_with_the_job() -> None:
    """End the process with the greenlet that forked, which would return into the worker's loop."""
    from greenlet import getcurrent, greenlet

    forked = getcurrent()
    if forked.parent is None:
        return

    def end_afterwards() -> None:
        try:
            forked.switch()
        finally:
            end_if_forked()

    last = greenlet(end_afterwards, forked.parent)
    last.switch()
    forked.parent = last
