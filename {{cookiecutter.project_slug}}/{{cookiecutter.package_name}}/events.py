"""The Socket.IO events: what a client may ask, and what it is told."""

from __future__ import annotations

import os
from typing import Any

from flask import current_app, request
from flask_socketio import SocketIO, emit

from production.realtime.creations import current_creator
from production.realtime.validation import accepts

from . import board
from .payloads import ChannelList, Publication, Subscription


def register(socketio: SocketIO) -> None:
    """Say which function handles which event."""
    socketio.on_event("connect", connect)
    socketio.on_event("disconnect", disconnect)
    socketio.on_event("subscribe", subscribe)
    socketio.on_event("unsubscribe", unsubscribe)
    socketio.on_event("publish", publish)


def connect(auth: Any = None) -> None:
    """Tell a new client what it is connected to; this is the place to check who it is."""
    state = current_app.extensions["production"]
    emit(
        "connection_ack",
        {
            "session_id": request.sid,  # type: ignore[attr-defined]
            "process": state.process,
            "process_id": os.getpid(),
            "server_time": board.now(),
            "heartbeat_interval": state.settings.ping_interval,
            "heartbeat_timeout": state.settings.ping_timeout,
        },
    )


def disconnect(reason: str | None = None) -> None:
    """Clean up after a client; its subscriptions have ended by themselves."""


@accepts(Subscription)
def subscribe(payload: Subscription) -> dict[str, Any]:
    """Watch channels, from now on or from the last update that the client saw."""
    if payload.after is not None:
        return {"ok": True, **board.resume(payload.channels, payload.seen())}
    return {"ok": True, "channels": board.subscribe(payload.channels)}


@accepts(ChannelList)
def unsubscribe(payload: ChannelList) -> dict[str, Any]:
    """No longer watch channels."""
    return {"ok": True, "channels": board.unsubscribe(payload.channels)}


@accepts(Publication)
def publish(payload: Publication) -> dict[str, Any]:
    """Publish on a channel."""
    sequence = board.publish(payload.channel, payload.data, payload.id, current_creator())
    return {"ok": True, "channel": payload.channel, "sequence": sequence}
