"""The board: channels, who watches them, and what is published on them.

What is published is numbered and kept for a while, see production/realtime/channels.py. A
subscription ends with its session, whatever ended that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import current_app, request

from production.realtime.channels import Channels
from production.realtime.creations import Creator
from production.realtime.errors import Rejected
from production.realtime.updates import Position

MAX_SUBSCRIPTIONS = 100
"""Channels that one session may watch."""


def subscribe(channels: Collection[str]) -> list[str]:
    """Let the current session watch channels; return all that it now watches.

    :raises Rejected: if they are too many together, or this process cannot know what is new.
    """
    _check_count(channels)
    for channel in channels:
        _channels().watch(_session(), channel)
    return subscriptions()


def resume(channels: Collection[str], seen: Mapping[str, Position]) -> dict[str, Any]:
    """Let the current session watch channels and send it what it missed of them.

    :param channels: the channels.
    :param seen: the last update that the client saw of each; the others start from now.
    :return: for the acknowledgement: where the channels are, and what was replayed or is gone.
    :raises Rejected: if they are too many together, or this process cannot know what was missed.
    """
    _check_count(channels)
    started = {
        channel: _channels().resume(_session(), channel, seen.get(channel))
        for channel in dict.fromkeys(channels)
    }
    return {
        "channels": subscriptions(),
        "sequences": {name: one.position.sequence for name, one in started.items()},
        "epochs": {name: one.position.epoch for name, one in started.items()},
        "replayed": {name: started[name].replayed for name in started if name in seen},
        "gaps": {
            name: {"from": one.gap.first, "to": one.gap.last}
            for name, one in started.items()
            if one.gap
        },
    }


def unsubscribe(channels: Iterable[str]) -> list[str]:
    """Let the current session no longer watch channels; return those that it still watches."""
    for channel in channels:
        _channels().leave(_session(), channel)
    return subscriptions()


def subscriptions() -> list[str]:
    """Return the channels that the current session watches, in order."""
    return _channels().watched(_session())


def publish(
    channel: str, data: Any, message_id: str | None = None, creator: Creator | None = None
) -> int:
    """Show something to everyone who watches a channel; return its number in the channel.

    :param channel: the channel's name.
    :param data: JSON, bytes, or both.
    :param message_id: unique to the message, so that it may be sent again without being published
        twice.
    :param creator: the client for whom the channel counts if it is new; nobody if the service itself
        publishes.
    :raises Rejected: if a client could not read it, there is no room for another channel, or the
        queue cannot be reached.
    """
    return _channels().publish(channel, data, message_id, creator)


def now() -> str:
    """Return the time as an ISO 8601 string, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _check_count(channels: Iterable[str]) -> None:
    if len({*channels, *subscriptions()}) > MAX_SUBSCRIPTIONS:
        raise Rejected("too_many", f"A session may watch {MAX_SUBSCRIPTIONS} channels.")


def _channels() -> Channels:
    channels: Channels = current_app.extensions["production"].channels
    return channels


def _session() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid
