"""An app that uses all that Flask-SocketIO offers; ``build`` puts it on stock or on the generated service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import flask_socketio as module
from flask import request, session
from flask_socketio import Namespace, SocketIO

#: What clients have acknowledged, and why they left, by session id.
HEARD: defaultdict[str, list[Any]] = defaultdict(list)


def build(socketio: SocketIO) -> None:
    """Register every kind of handler."""

    class Chat(Namespace):  # type: ignore[misc]
        def on_connect(self, auth: Any = None) -> None:
            self.emit("welcome", {"auth": auth})

        def on_say(self, text: str) -> str:
            self.emit("said", text, include_self=False)
            self.send(text, room=request.sid)  # type: ignore[attr-defined]
            return "ok"

        def on_ask(self) -> Any:
            return self.call("asked", 1, to=request.sid)  # type: ignore[attr-defined]

        def on_close(self) -> list[str]:
            module.join_room("closing")
            self.close_room("closing")
            return own_rooms()

        def on_fail(self) -> None:
            raise RuntimeError("in a namespace")

    socketio.on_namespace(Chat("/chat"))

    @socketio.on("connect")
    def connect(auth: Any = None) -> None:
        session["auth"] = auth
        module.emit("connected", {"auth": auth, "query": request.args.get("query")})

    @socketio.on("disconnect")
    def leave(reason: str) -> None:
        HEARD[request.sid].append(reason)  # type: ignore[attr-defined]

    @socketio.on("connect", namespace="/refused")
    def refuse() -> None:
        raise module.ConnectionRefusedError("no", {"why": 1})

    @socketio.on("connect", namespace="/false")
    def refuse_by_value() -> bool:
        return False

    @socketio.on("connect", namespace="/system")
    def refused_by_the_system() -> None:
        raise ConnectionRefusedError(111, "as a database says")

    @socketio.on("connect", namespace="/type")
    def connect_without_arguments(*arguments: Any) -> None:
        if arguments:
            raise TypeError("not with arguments")

    @socketio.on_error("/handled")
    def handled(error: Exception) -> dict[str, str]:
        return {"handled": str(error)}

    @socketio.on("fail", namespace="/handled")
    def fail_handled() -> None:
        raise RuntimeError("for a handler")

    socketio.on_event("by on_event", lambda *data: list(data))

    @socketio.event
    def by_event(*data: Any) -> Any:
        return tuple(data)

    @socketio.event(namespace="/chat")
    def by_event_in_a_namespace() -> str:
        return "not reached: the class has the namespace"

    @socketio.on("message")
    def message(data: Any) -> None:
        module.send(["message", data])

    @socketio.on("json")
    def json(data: Any) -> None:
        module.send(["json", data], json=True)

    @socketio.on("*")
    def anything(event: str, *data: Any) -> Any:
        return {"event": event, "data": list(data)}

    @socketio.on("do")
    def do(what: str, *arguments: Any) -> Any:
        return actions(socketio)[what](*arguments)


def own_rooms() -> list[str]:
    """Return the rooms of the client, its own aside."""
    return sorted(set(module.rooms()) - {request.sid})  # type: ignore[attr-defined]


def actions(socketio: SocketIO) -> dict[str, Callable[..., Any]]:
    """Return what a client can have done: each calls one thing of the interface."""
    own = request.sid  # type: ignore[attr-defined]

    def note(*answer: Any) -> None:
        HEARD[own].append(answer)

    def in_background(*arguments: Any, **options: Any) -> None:
        socketio.sleep(0.01)
        socketio.emit("background", [arguments, options], to=own)

    def join_and_emit(other: str) -> None:
        module.join_room("r1")
        module.join_room("r2", sid=other, namespace="/")
        module.emit("to a room", 1, to="r1")
        module.emit("to a room", 2, room="r2")
        module.emit("to rooms", 3, to=["r1", "r2"], skip_sid=own)
        socketio.emit("to a room", 4, to="r2", skip_sid=other)

    def leave_room() -> list[str]:
        module.join_room("left")
        module.leave_room("left")
        module.join_room("left too")
        module.leave_room("left too", sid=own, namespace="/")
        return own_rooms()

    def close_rooms() -> list[str]:
        for room in ("c1", "c2", "c3"):
            module.join_room(room)
        module.close_room("c1")
        module.close_room("c2", namespace="/")
        socketio.close_room("c3", namespace="/")
        return own_rooms()

    return {
        "nothing": lambda: None,
        "rooms": lambda: [own in module.rooms(), own in module.rooms(sid=own, namespace="/")],
        "emit": lambda: module.emit("said", {"a": [1, 2.5, None, True, "é"]}),
        "emit several": lambda: module.emit("said", (1, "two", [3])),
        "emit broadcast": lambda: module.emit("said", 1, broadcast=True),
        "emit include_self": lambda: module.emit("said", 1, broadcast=True, include_self=False),
        "emit namespace": lambda: module.emit("said", 1, namespace="/chat", broadcast=True),
        "emit callback": lambda: module.emit("asked", 1, callback=note),
        "emit bytes": lambda: module.emit("said", {"raw": b"\x00\xff"}),
        "emit ignore_queue": lambda: module.emit("said", 1, to=own, ignore_queue=True),
        "socketio.emit": lambda: socketio.emit("said", 1),
        "socketio.emit arguments": lambda: socketio.emit("said", (1, "two"), to=own, namespace="/"),
        "socketio.emit include_self": lambda: socketio.emit(
            "said", 1, include_self=False, skip_sid=own
        ),
        "socketio.emit callback": lambda: socketio.emit("asked", 1, to=own, callback=note),
        "send": lambda: module.send("text"),
        "send json": lambda: module.send({"a": 1}, json=True, namespace="/", to=own),
        "send broadcast": lambda: module.send("text", broadcast=True, include_self=False),
        "send callback": lambda: module.send("text", callback=note, skip_sid=None),
        "socketio.send": lambda: socketio.send("text", to=own, namespace="/", skip_sid=[]),
        "socketio.send json": lambda: socketio.send({"a": 1}, json=True, callback=note, to=own),
        "socketio.send include_self": lambda: socketio.send("text", include_self=True),
        "call": lambda: module.call("asked", 1, to=own, namespace="/", timeout=10),
        "call ignore_queue": lambda: module.call("asked", 1, ignore_queue=True),
        "call time-out": lambda: _outcome(lambda: module.call("silent", 1, timeout=0.05)),
        "socketio.call": lambda: socketio.call("asked", 1, to=own, namespace="/", timeout=10),
        "join and emit": join_and_emit,
        "leave_room": leave_room,
        "close_room": close_rooms,
        "join None": lambda: _outcome(lambda: module.join_room(None)),
        "answer": lambda *data: data,
        "answer NaN": lambda: float("nan"),
        "emit NaN": lambda: _outcome(lambda: module.emit("said", float("nan"))),
        "emit object": lambda: _outcome(lambda: module.emit("said", object())),
        "fail": lambda: 1 / 0,
        "background": lambda: socketio.start_background_task(in_background, 1, two=2) and None,
        "session": lambda: session.get("auth"),
        "event": lambda: [request.namespace, request.event["message"]],  # type: ignore[attr-defined]
        "disconnect": lambda: module.disconnect(),
        "disconnect other": lambda other: module.disconnect(other, namespace="/"),
        "heard": lambda sid: _heard(socketio, sid),
        "transport": lambda: socketio.server.transport(own),
    }


def _heard(socketio: SocketIO, sid: str) -> list[Any]:
    """Return what was heard of a client, once there is something."""
    for _ in range(500):
        if HEARD[sid]:
            break
        socketio.sleep(0.01)
    return HEARD[sid]


def _outcome(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "done"
