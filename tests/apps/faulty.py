"""The generated service with handlers that fail in every way, for tests of what is made of it."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from flask import Response, abort, got_request_exception, request, send_file
from flask_socketio import ConnectionRefusedError, Namespace, emit, join_room
from live_board import create_app
from live_board.extensions import socketio
from werkzeug.exceptions import TooManyRequests

seen: dict[str, list[Any]] = {"signals": [], "disconnects": []}


@socketio.on("explode")
def explode(payload: Any = None) -> None:
    raise RuntimeError("a secret detail")


@socketio.on("disconnect", namespace="/without-reason")
def left_without_reason() -> None:
    seen["disconnects"].append("without-reason")


@socketio.on("connect", namespace="/without-reason")
def join_without_reason() -> None:
    pass


@socketio.on("connect", namespace="/refused")
def refuse(auth: Any = None) -> bool:
    return False


@socketio.on("connect", namespace="/refused-with-reason")
def refuse_with_reason(auth: Any = None) -> None:
    raise ConnectionRefusedError("not today")


@socketio.on("connect", namespace="/broken")
def break_while_connecting(auth: Any = None) -> None:
    raise RuntimeError("a secret detail")


@socketio.on("connect", namespace="/slow")
def connect_slowly(auth: Any = None) -> bool:
    """Join a room, be broadcast to for a while, and accept or not as the client asks."""
    join_room("early")
    for number in range(5):
        socketio.emit("broadcast", number, namespace="/slow")
        socketio.emit("broadcast", number, namespace="/slow", to="early")
        socketio.sleep(0.05)
    emit("greeting", "hello")
    return bool(auth and auth.get("accept"))


class ByClass(Namespace):  # type: ignore[misc]
    """Handlers as methods, with a disconnect handler of the old signature."""

    def on_connect(self) -> None:
        pass

    def on_explode(self, payload: Any = None) -> None:
        raise RuntimeError("a secret detail")

    def on_disconnect(self) -> None:
        seen["disconnects"].append("by-class")


socketio.on_namespace(ByClass("/by-class"))

app = create_app()


@got_request_exception.connect_via(app)
def remember(sender: Any, exception: BaseException, **_: Any) -> None:
    seen["signals"].append(type(exception).__name__)


@app.get("/seen")
def show() -> dict[str, list[Any]]:
    return seen


@app.get("/explode")
def explode_over_http() -> str:
    raise RuntimeError("a secret detail")


@app.get("/too-many")
def too_many() -> str:
    raise TooManyRequests(retry_after=7)


@app.get("/own-response")
def own_response() -> str:
    abort(Response("as it is", status=418))


@app.post("/echo")
def echo() -> Any:
    return {"received": request.get_json()}


@app.get("/large-file")
def large_file() -> Response:
    """Send ten megabytes from the disk, more than any socket buffer holds."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  the response closes it
    file.write(bytes(range(256)) * 40_000)
    file.seek(0)
    return send_file(file, mimetype="application/octet-stream")


@app.get("/slow")
def slow() -> str:
    print("a slow request begins", flush=True)
    time.sleep(float(request.args["seconds"]))
    return "finished"
