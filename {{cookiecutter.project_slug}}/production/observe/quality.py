"""How good the connections of this process are, as their clients measure it.

The figures come with heartbeats, see ``static/realtime.js`` in production/browser. They are a
client's word: checked for their form, kept for as long as its session lasts, and believed by nobody
who decides something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Milliseconds = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]

Listener = Callable[[str, "Quality"], None]


class Quality(BaseModel):
    """What a client has measured over its last heartbeats.

    ``loss`` is the share of them that was not answered, ``reason`` that of the last reconnection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["connected", "degraded"]
    transport: Literal["polling", "websocket", "webtransport"]
    median_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    jitter_ms: Milliseconds | None = None
    loss: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0
    reconnects: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    reason: Annotated[str, Field(max_length=64)] = ""


class Qualities:
    """The connections of this process's sessions, by the id of the Socket.IO session."""

    def __init__(self) -> None:
        self._known: dict[str, Quality] = {}
        self._listeners: list[Listener] = []

    def of(self, sid: str) -> Quality | None:
        """Return what is known of a session's connection, if its client has said anything."""
        return self._known.get(sid)

    def all(self) -> dict[str, Quality]:
        """Return what is known now, by session."""
        return self._known.copy()

    def listen(self, listener: Listener) -> None:
        """Have a function called with the session and its new quality, in the session's turn.

        :param listener: it must be quick and must not raise.
        """
        self._listeners.append(listener)

    def note(self, sid: str, quality: Quality) -> None:
        """Remember what a client has measured, in place of what it had measured before.

        :param sid: the Socket.IO session id.
        :param quality: what it measured.
        """
        self._known[sid] = quality
        for listener in self._listeners:
            listener(sid, quality)

    def forget(self, sid: str) -> None:
        """Forget a session that has ended."""
        self._known.pop(sid, None)
