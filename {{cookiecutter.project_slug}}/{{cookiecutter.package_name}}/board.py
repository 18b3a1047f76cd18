"""The board: channels, who watches them, and what is published on them.

A channel is a Socket.IO room, so a subscription ends with its session whatever ended that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from flask_socketio import join_room, leave_room, rooms

from production.realtime.errors import Rejected

from .extensions import socketio

ROOM_PREFIX = "channel:"
MAX_CHANNELS = 10_000
"""Channels that the board remembers the last number of."""

MAX_SUBSCRIPTIONS = 100
"""Channels that one session may watch."""

_sequences: Counter[str] = Counter()
_publishing = threading.Lock()


def subscribe(channels: Iterable[str]) -> list[str]:
    """Let the current session watch channels; return all that it now watches.

    :raises Rejected: if they are too many together.
    """
    channels = set(channels)
    if len(channels.union(subscriptions())) > MAX_SUBSCRIPTIONS:
        raise Rejected("too_many", f"A session may watch {MAX_SUBSCRIPTIONS} channels.")
    for channel in channels:
        join_room(ROOM_PREFIX + channel)
    return subscriptions()


def unsubscribe(channels: Iterable[str]) -> list[str]:
    """Let the current session no longer watch channels; return those that it still watches."""
    for channel in channels:
        leave_room(ROOM_PREFIX + channel)
    return subscriptions()


def subscriptions() -> list[str]:
    """Return the channels that the current session watches, in order."""
    return sorted(
        room.removeprefix(ROOM_PREFIX) for room in rooms() if room.startswith(ROOM_PREFIX)
    )


def publish(channel: str, data: Any) -> int:
    """Show something to everyone who watches a channel; return its number in the channel.

    :raises Rejected: if the board has no room for another channel.
    """
    # Held until the update is queued, so that updates leave in the order of their numbers.
    with _publishing:
        if channel not in _sequences and len(_sequences) >= MAX_CHANNELS:
            raise Rejected("full", f"The board has room for {MAX_CHANNELS} channels.")
        _sequences[channel] += 1
        sequence = _sequences[channel]
        update = {"channel": channel, "data": data, "sequence": sequence, "sent_at": now()}
        socketio.emit("update", update, to=ROOM_PREFIX + channel)
    return sequence


def now() -> str:
    """Return the time as an ISO 8601 string, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
