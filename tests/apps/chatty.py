"""The generated service with a route that logs as much as it is asked to."""

from __future__ import annotations

import time
from typing import Any

import structlog
from flask import request
from flask_socketio import join_room
from live_board import create_app
from live_board.extensions import socketio

log = structlog.get_logger("chatty")


@socketio.on("enter")
def enter(room: str) -> None:
    join_room(room)


app = create_app()


@app.post("/log")
def write() -> dict[str, Any]:
    """Write records, and say how many seconds it took."""
    told = request.get_json()
    began_at = time.monotonic()
    for number in range(told["records"]):
        log.info("order placed", order=number)
    seconds = time.monotonic() - began_at
    log.warning(told["last"], order=7)
    return {"seconds": seconds}


@app.post("/fail")
def fail() -> dict[str, Any]:
    """Write a record with a traceback."""
    try:
        raise LookupError("no such order")
    except LookupError:
        log.exception("payment failed", order=7)
    return {}
