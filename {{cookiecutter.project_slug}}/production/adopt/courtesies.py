"""Call styles of older releases that are still answered, each with a warning that names the line.

Upstream's present releases raise for them, or do nothing; the app ran when it was written.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from typing import Any

from flask_socketio import SocketIO

from production.adopt.call_sites import warn_of_old_style
from production.modes import AsyncMode


def extend_courtesies(mode: AsyncMode) -> None:
    """Put every courtesy in place, before the app is imported.

    :param mode: what the process serves in.
    """
    accept_broadcast_flag()
    let_tasks_say_whether_they_live()
    if mode is AsyncMode.EVENTLET:
        take_turns_at_writing()


def accept_broadcast_flag() -> None:
    """Take ``socketio.emit(…, broadcast=True)`` of Flask-SocketIO 4, where it says the obvious."""
    emit = SocketIO.emit

    def emit_to_all(self: Any, event: Any, *arguments: Any, **options: Any) -> Any:
        if "broadcast" in options:
            del options["broadcast"]
            warn_of_old_style("emit(…, broadcast=…)", "emit(…): the object's own emit always does")
        return emit(self, event, *arguments, **options)

    SocketIO.emit = emit_to_all


def let_tasks_say_whether_they_live() -> None:
    """Give what ``start_background_task()`` returns the ``is_alive()`` of a thread."""
    start = SocketIO.start_background_task

    def start_with_is_alive(self: Any, target: Any, *arguments: Any, **options: Any) -> Any:
        task = start(self, target, *arguments, **options)
        if not hasattr(task, "is_alive"):
            type(task).is_alive = _is_alive
        return task

    SocketIO.start_background_task = start_with_is_alive


def _is_alive(task: Any) -> bool:
    """Answer for a green thread: eventlet's wrapper keeps it in ``g``, gevent's is one."""
    warn_of_old_style("is_alive() of a background task", "a flag that the task itself sets")
    green = getattr(task, "g", task)
    return green is not None and not green.dead


def keep_earlier_handlers(socketio: Any, earlier: Any) -> None:
    """Give a server the handlers that were registered on the one before it.

    ``SocketIO(message_queue=…)`` makes a server that only writes, and handlers that are registered
    on the object before its ``init_app(app)`` would stay there.

    :param socketio: the Flask-SocketIO object, with its server.
    :param earlier: the server that it had before, if any.
    """
    if earlier is None:
        return
    for namespace, handlers in earlier.handlers.items():
        for event, handler in handlers.items():
            socketio.server.handlers.setdefault(namespace, {}).setdefault(event, handler)
    for namespace, handler in earlier.namespace_handlers.items():
        if namespace not in socketio.server.namespace_handlers:
            socketio.server.register_namespace(handler)


def take_turns_at_writing() -> None:
    """Let two green threads of eventlet write to one descriptor, one after the other.

    Threads may; eventlet refuses the second with a RuntimeError. A terminal that several clients
    share is written to by the handlers of each.
    """
    write = os.write
    turns: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def write_in_turn(fd: int, data: bytes) -> int:
        with turns[fd]:
            return write(fd, data)

    os.write = write_in_turn  # type: ignore[assignment]
