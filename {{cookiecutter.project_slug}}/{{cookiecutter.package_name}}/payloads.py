"""What clients may send."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]


class Payload(BaseModel):
    """An event's one argument; a misspelt field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")


class ChannelList(Payload):
    """Asks for or gives up channels."""

    channels: list[Channel] = Field(min_length=1, max_length=100)


class Publication(Payload):
    """Something to show to everyone who watches a channel."""

    channel: Channel
    data: Any


class Heartbeat(Payload):
    """Asks how long the way to the server and back takes."""

    sent_at: float | str
