"""The event with which a client measures the way to the server, and says what it has measured."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from production.observe.quality import Quality
from production.realtime.errors import Rejected, error_answer
from production.realtime.validation import parse

EVENT = "heartbeat"


class Heartbeat(BaseModel):
    """Asks how long the way takes; ``quality`` is what came of that so far."""

    model_config = ConfigDict(extra="forbid")

    sent_at: float | Annotated[str, Field(max_length=64)]
    quality: Quality | None = None


def answer(*arguments: Any) -> tuple[dict[str, Any], Quality | None]:
    """Answer a heartbeat at once.

    :param arguments: what the client sent.
    :return: the acknowledgement, and what the client has measured.
    """
    try:
        heartbeat = parse(Heartbeat, *arguments)
    except Rejected as rejection:
        return error_answer(rejection.code, rejection.message), None
    server_time = datetime.now(UTC).isoformat(timespec="milliseconds")
    acknowledgement = {"ok": True, "sent_at": heartbeat.sent_at, "server_time": server_time}
    return acknowledgement, heartbeat.quality
