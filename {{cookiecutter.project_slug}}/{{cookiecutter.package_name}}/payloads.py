"""What clients may send."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from production.realtime.updates import Position

Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]

Epoch = Annotated[str, StringConstraints(max_length=64)]
MessageId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class Payload(BaseModel):
    """An event's one argument; a misspelt field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")


class ChannelList(Payload):
    """Asks for or gives up channels."""

    channels: list[Channel] = Field(min_length=1, max_length=100)


class Subscription(ChannelList):
    """Asks for channels and, if it says what was seen of them, for what was missed since.

    ``after`` holds the last sequence that was seen of a channel, ``epochs`` the epoch it belonged to.
    """

    after: dict[Channel, Annotated[int, Field(ge=0)]] | None = None
    epochs: dict[Channel, Epoch] = {}

    @model_validator(mode="after")
    def _only_asked_for(self) -> Self:
        strangers = {*(self.after or ()), *self.epochs}.difference(self.channels)
        if strangers:
            raise ValueError("after and epochs may only name what is in channels")
        return self

    def seen(self) -> dict[str, Position]:
        """Return the last update that the client saw of each channel that it knows."""
        return {
            channel: Position(sequence, self.epochs.get(channel, ""))
            for channel, sequence in (self.after or {}).items()
        }


class Publication(Payload):
    """Something to show to everyone who watches a channel.

    ``id`` is unique to it, such as a UUID: sent again, it is not published twice.
    """

    channel: Channel
    data: Any
    id: MessageId | None = None
