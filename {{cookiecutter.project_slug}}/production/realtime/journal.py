"""What numbers the updates of the channels: the protocol of the journals, and of who follows one."""

from __future__ import annotations

from typing import Protocol

from production.realtime.errors import Rejected
from production.realtime.history import End
from production.realtime.updates import Encoded, Position, Update


class Unavailable(Rejected):
    """The journal cannot be reached: what was to be published may not be in it.

    :param message: one sentence for people.
    """

    retry_after = 1
    """Seconds after which it is worth to try again."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message)


class Follower(Protocol):
    """What a journal tells the channels of this process."""

    def keep(self, update: Update) -> None:
        """Remember an update from before this process began to follow the journal."""

    def deliver(self, update: Update) -> bool:
        """Remember a new update and send it to those who watch; return whether it was new."""

    def note(self, channel: str, position: Position) -> None:
        """Remember where a channel is."""

    def learn(self, channel: str, ends: tuple[End, ...], current: str) -> None:
        """Remember how the epochs of a channel ended, oldest first, before the current one."""

    def channels(self) -> list[str]:
        """Return the channels of which this process knows something."""

    def position(self, channel: str) -> Position:
        """Return where a channel is, as far as this process knows."""

    def epochs(self, channel: str) -> list[str]:
        """Return the epochs of a channel that this process knows, the latest first."""

    def differs(self, update: Update) -> bool:
        """Tell whether this process has another update under the number of this one."""


class Journal(Protocol):
    """Numbers what is published, for all processes of the service alike, and passes it on."""

    @property
    def followed(self) -> bool:
        """Whether the follower knows where the channels are."""

    def follow(self, follower: Follower) -> None:
        """Start to pass on everything that is published, in order."""

    def append(self, channel: str, encoded: Encoded, message_id: str | None) -> int:
        """Number an update and keep it.

        :param channel: the channel's name.
        :param encoded: the data.
        :param message_id: what makes a repetition of the message recognisable.
        :return: the number, once the update is kept.
        :raises Unavailable: if that could not be confirmed in time.
        :raises Rejected: if there is no room for another channel.
        """

    def catch_up(self) -> None:
        """Return once everything was passed on that was in the journal when this was called.

        :raises Unavailable: if that takes too long.
        """
