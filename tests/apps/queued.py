"""The generated service with a few more handlers, for tests of the message queue."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from flask import jsonify, request
from flask_socketio import disconnect, emit, join_room, leave_room
from live_board import create_app
from live_board.extensions import socketio

import production
from production.once import Turn
from production.realtime import presence

app = create_app()
ticks: list[int] = []


@socketio.on("join")
def join(room: str) -> bool:
    join_room(room)
    return True


@socketio.on("connect", namespace="/joining")
def join_while_connecting(auth: Any = None) -> bool:
    """Join a room, take some time, and accept or not as the client asks."""
    join_room("lobby")
    socketio.sleep(0.5)
    return bool(auth and auth.get("accept"))


@socketio.on("leave")
def leave(room: str) -> bool:
    leave_room(room)
    return True


@socketio.on("reply")
def reply(data: Any) -> None:
    """Answer the sender only, and leave a room of its own."""
    emit("replied", data)
    emit("replied", data, to=[request.sid])  # type: ignore[attr-defined]


@socketio.on("disconnect_other")
def disconnect_other(sid: str) -> None:
    disconnect(sid, namespace="/")


@socketio.on("ask")
def ask(sid: str) -> None:
    """Ask a session of any process and tell the sender what it answered."""
    asker = request.sid  # type: ignore[attr-defined]
    socketio.emit(
        "question", to=sid, callback=lambda answer: socketio.emit("answer", answer, to=asker)
    )


@app.post("/say")
def say() -> Any:
    """Emit a range of numbers to a room and return the most turns that another task had in one emit."""
    room, first, last = request.args["room"], int(request.args["first"]), int(request.args["last"])
    most = 0
    with turns_of_another_task() as turns:
        for number in range(first, last):
            before = turns()
            socketio.emit("said", number, to=room)
            most = max(most, turns() - before)
    return jsonify(most)


@contextlib.contextmanager
def turns_of_another_task() -> Iterator[Callable[[], int]]:
    """Let a task take a turn every 0.01 s, and count them."""
    turns: list[None] = []
    ended: list[None] = []

    def take_turns() -> None:
        while not ended:
            turns.append(None)
            socketio.sleep(0.01)

    task = socketio.start_background_task(take_turns)
    while not turns:
        socketio.sleep(0)
    yield lambda: len(turns)
    ended.append(None)
    task.join()


@app.get("/present")
def present() -> Any:
    """Who is in a room and how many they are, at a moment when nobody comes or goes."""
    place = request.args["room"], request.args.get("namespace", "/")
    while True:
        members, count = presence.members(*place), presence.count(*place)
        if members == presence.members(*place):
            return jsonify(count=count, members=sorted(members))


@app.get("/ticks")
def show_ticks() -> Any:
    """What the work of the one process has done in this one."""
    return jsonify(process_id=os.getpid(), count=len(ticks), fence=ticks[-1] if ticks else None)


def tick(turn: Turn) -> None:
    """Count, twenty times a second, for as long as this process may."""
    while True:
        ticks.append(turn.fence)
        turn.sleep(0.05)


production.once_per_service(app, tick, lease=3.0)
