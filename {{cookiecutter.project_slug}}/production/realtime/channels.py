"""Channels whose updates are acknowledged, numbered and replayed.

Who publishes is answered once the update is in the journal, which numbers it. Who watches receives the
updates in the order of their numbers and, after an interruption, those that were missed, first.

Updates are ``update`` events with the data, its number in the channel and the numbering's ``epoch``.
To a session that names the last update that it saw, all that were confirmed since then are sent
before its subscription is acknowledged; live ones follow, before the acknowledgement or after it.
What this process itself missed and cannot have any more shows in the next number, or is said in a
``gap`` event.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from production.realtime.creations import Creations, Creator, open_creations
from production.realtime.entries import newest_entry
from production.realtime.errors import Rejected
from production.realtime.history import End, Gap, History, Limits, joined
from production.realtime.journal import Journal, Unavailable
from production.realtime.lines import Line
from production.realtime.local_journal import LocalJournal
from production.realtime.outage import Outage
from production.realtime.sendable import MAX_ATTACHMENTS, Unsendable
from production.realtime.skipped import skip
from production.realtime.stream_journal import StreamJournal
from production.realtime.updates import (
    Encoded,
    Position,
    Unreadable,
    Update,
    encode,
    size_of,
)
from production.settings import Settings

EVENT = "update"
GAP_EVENT = "gap"
ROOM_PREFIX = "channel:"
NAMESPACE = "/"

MAX_CHANNELS = 10_000
"""Channels of which the number is remembered. One that was idle for as long as updates are kept may
be forgotten for another; its numbers then start again, in another epoch."""

BEGIN_TIME = 5.0
"""Seconds that a publisher waits for others who ask whether there may be its channel."""

PATIENCE = 0.01
"""Seconds between two looks at whether a client has taken enough of what was replayed."""


@dataclass(frozen=True)
class Subscription:
    """What a session was given when it began to watch a channel.

    :param position: where the live updates follow on.
    :param replayed: how many updates it had missed and was sent.
    :param gap: those that it missed and that are no longer kept.
    """

    position: Position
    replayed: int = 0
    gap: Gap | None = None


class Channels:
    """The channels of this process's clients.

    :param server: the Socket.IO server.
    :param journal: what numbers the updates.
    :param limits: what is kept.
    :param creations: counts who begins how many channels.
    :param max_bytes: how large an update may be.
    :param max_attachments: how many attachments it may have.
    """

    def __init__(
        self,
        server: Any,
        journal: Journal,
        limits: Limits,
        creations: Creations,
        *,
        max_bytes: int,
        max_attachments: int = MAX_ATTACHMENTS,
    ) -> None:
        self._server = server
        self._journal = journal
        self._creations = creations
        self._max_bytes = max_bytes
        self._max_attachments = max_attachments
        # More channels than the journal takes: what it forgets is to be forgotten, and nothing else.
        self._history = History(replace(limits, channels=2 * limits.channels))
        # Held while an update is sent and while a session joins, so that each update is either
        # replayed to a session or sent to it live.
        self._lock = threading.Lock()
        self._joining: set[tuple[str, str]] = set()
        # Those who ask whether there may be a channel.
        self._beginning: WeakValueDictionary[str, Line] = WeakValueDictionary()
        journal.follow(self)

    # For the application

    def publish(
        self,
        channel: str,
        data: Any,
        message_id: str | None = None,
        creator: Creator | None = None,
    ) -> int:
        """Send something to everyone who watches a channel.

        :param channel: the channel's name.
        :param data: JSON, bytes, or both.
        :param message_id: unique to the message, such as a UUID: a repetition is not published
            again, as long as the first one is kept.
        :param creator: the client who publishes, to whom the channel counts if it is new; None for
            the service itself.
        :return: the number in the channel, once the update is kept.
        :raises Unavailable: if that could not be confirmed in time. With the same ``message_id``,
            it is safe to try again.
        :raises Rejected: if one of those who watch could not read it, there is no room for another
            channel, or the creator has begun too many.
        """
        room_of(channel)
        encoded = self._encode(data)
        if creator is not None:
            self._begin(channel, creator)
        return self._journal.append(channel, encoded, message_id)

    def watch(self, sid: str, channel: str) -> None:
        """Let a session receive the updates of a channel from now on.

        :param sid: the Socket.IO session id.
        :param channel: the channel's name.
        :raises Unavailable: if this process cannot know what is new from now on.
        """
        self.resume(sid, channel, None)

    def resume(self, sid: str, channel: str, seen: Position | None) -> Subscription:
        """Let a session receive the updates of a channel, those first that it has missed.

        A session that watches already misses nothing, and is sent nothing again.

        :param sid: the Socket.IO session id.
        :param channel: the channel's name.
        :param seen: the last update that its client saw, or nothing to start from now.
        :raises Unavailable: if this process cannot know what was missed.
        """
        room_of(channel)
        if seen is not None:
            self._catch_up(channel, seen)
        elif not self._journal.followed:
            # What is read until then is the beginning, and sent to nobody.
            self._journal.catch_up()
        key = (sid, channel)
        with self._lock:
            if seen is None or key in self._joining or self._watches(sid, channel):
                self._join(sid, channel)
                return Subscription(self._history.position(channel))
            self._joining.add(key)
        try:
            return self._replay(sid, channel, seen)
        finally:
            self._joining.discard(key)

    def leave(self, sid: str, channel: str) -> None:
        """Let a session no longer receive the updates of a channel."""
        room = room_of(channel)
        with self._lock:
            self._joining.discard((sid, channel))
            self._server.leave_room(sid, room, namespace=NAMESPACE)

    def watched(self, sid: str) -> list[str]:
        """Return the channels that a session watches, in alphabetical order."""
        rooms = self._server.rooms(sid, namespace=NAMESPACE)
        return sorted(
            room.removeprefix(ROOM_PREFIX) for room in rooms if room.startswith(ROOM_PREFIX)
        )

    # For the journal

    def keep(self, update: Update) -> None:
        """Remember an update from before this process began to follow the log."""
        with self._lock:
            self._history.add(update)

    def deliver(self, update: Update) -> bool:
        """Remember a new update and send it to those who watch; return whether it was new."""
        with self._lock:
            gap = self._history.gap_before(update)
            if not self._history.add(update):
                return False
            if gap is not None:
                self._tell(update.channel, gap, Position(update.sequence - 1, update.epoch))
            self._send(update, room_of(update.channel))
        return True

    def note(self, channel: str, position: Position) -> None:
        """Remember where a channel is, and tell those who watch what they will never be sent."""
        with self._lock:
            self._tell(channel, self._history.note(channel, position), position)

    def learn(self, channel: str, ends: tuple[End, ...], current: str) -> None:
        """Remember how the earlier epochs of a channel ended, and tell what is lost of them."""
        with self._lock:
            gap = self._history.learn(channel, ends, current)
            self._tell(channel, gap, self._history.position(channel))

    def channels(self) -> list[str]:
        """Return the channels of which this process knows something."""
        with self._lock:
            return self._history.channels()

    def position(self, channel: str) -> Position:
        """Return where a channel is, as far as this process knows."""
        with self._lock:
            return self._history.position(channel)

    def epochs(self, channel: str) -> list[str]:
        """Return the epochs of a channel that this process knows, the latest first."""
        with self._lock:
            return self._history.epochs(channel)

    def differs(self, update: Update) -> bool:
        """Tell whether this process has another update under the number of this one."""
        with self._lock:
            return self._history.differs(update)

    # Publishing

    def _encode(self, data: Any) -> Encoded:
        try:
            encoded = encode(data, self._max_attachments)
        except Unsendable as fault:
            raise Rejected(fault.code, f"This cannot be published: {fault}.") from fault
        if size_of(encoded) > self._max_bytes:
            raise Rejected(
                "too_large",
                f"This cannot be published: it has {size_of(encoded)} bytes, and at most "
                f"{self._max_bytes} may be.",
            )
        return encoded

    def _is_known(self, channel: str) -> bool:
        with self._lock:
            return self._history.position(channel).sequence > 0

    def _begin(self, channel: str, creator: Creator) -> None:
        """Count a channel that may be new for its creator, in the order of those who publish on it.

        Who comes while another one asks whether there may be the channel waits, so as not to overtake it.

        :raises Unavailable: if nobody can tell.
        :raises Rejected: if the creator has begun too many.
        """
        line = self._beginning.get(channel)
        if line is None:
            if self._is_known(channel):
                return
            line = self._beginning.setdefault(channel, Line())
        try:
            with line.turn(BEGIN_TIME):
                if not self._is_known(channel):
                    self._creations.claim(creator, channel)
        except TimeoutError:
            raise Unavailable("The message queue cannot be asked for a new channel.") from None

    # Replaying

    def _replay(self, sid: str, channel: str, seen: Position) -> Subscription:
        """Send what was missed, as fast as the client takes it, then join at once."""
        max_updates = max(1, self._server.eio.max_queued_messages // 2)
        max_bytes = self._server.eio.max_queued_bytes // 2
        position, replayed, gap = seen, 0, None
        while True:
            self._await_room(sid)
            with self._lock:
                missed = self._history.missed(channel, position, max_updates, max_bytes)
                gap = joined((gap, missed.gap))
                for update in missed.updates:
                    if self._send(update, sid):
                        replayed += 1
                    else:
                        gap = joined((gap, Gap(update.sequence, update.sequence)))
                position = missed.position
                # Its client may have left the channel again meanwhile, or the service.
                left = (sid, channel) not in self._joining
                if missed.complete and not left:
                    self._join(sid, channel)
                if missed.complete or left or not self._is_connected(sid):
                    return Subscription(position, replayed, gap)

    def _catch_up(self, channel: str, seen: Position) -> None:
        """Hear of what others have published up to now, which a client may know of already.

        :raises Unavailable: if that is impossible and the client knows more than this process.
        """
        try:
            self._journal.catch_up()
        except Unavailable:
            with self._lock:
                if not (self._journal.followed and self._history.covers(channel, seen)):
                    raise

    def _await_room(self, sid: str) -> None:
        """Wait until a client has taken most of what it was sent: more would cost it its session."""
        if not self._is_connected(sid):
            return
        eio_sid = self._server.manager.eio_sid_from_sid(sid, NAMESPACE)
        session = self._server.eio.sockets.get(eio_sid)
        if session is None:
            return
        most = self._server.eio.max_queued_messages // 4
        most_bytes = self._server.eio.max_queued_bytes // 4
        while session.backlog.messages > most or session.backlog.bytes > most_bytes:
            if session.closed:
                return
            self._server.sleep(PATIENCE)

    def _tell(self, channel: str, gap: Gap | None, position: Position) -> None:
        """Tell those who watch a channel what they will never be sent, and where it goes on."""
        if gap is None or not self._journal.followed:
            return
        data = {
            "channel": channel,
            "from": gap.first,
            "to": gap.last,
            "sequence": position.sequence,
            "epoch": position.epoch,
        }
        self._emit(GAP_EVENT, data, room_of(channel))

    def _send(self, update: Update, room: str) -> bool:
        """Send an update, or say that it is missing if nobody can read it; return whether it was sent."""
        try:
            self._emit(EVENT, update.payload(), room)
            return True
        except (Unreadable, Unsendable) as error:
            skip(
                "an update of a channel cannot be read",
                error,
                channel=update.channel,
                sequence=update.sequence,
            )
        gap = {
            "channel": update.channel,
            "from": update.sequence,
            "to": update.sequence,
            "sequence": update.sequence,
            "epoch": update.epoch,
        }
        self._emit(GAP_EVENT, gap, room)
        return False

    def _emit(self, event: str, data: dict[str, Any], room: str) -> None:
        self._server.emit(event, data, to=room, namespace=NAMESPACE, ignore_queue=True)

    def _join(self, sid: str, channel: str) -> None:
        # Which means that the session has ended meanwhile.
        with contextlib.suppress(KeyError, ValueError):
            self._server.enter_room(sid, room_of(channel), namespace=NAMESPACE)

    def _is_connected(self, sid: str) -> bool:
        connected: bool = self._server.manager.is_connected(sid, NAMESPACE)
        return connected

    def _watches(self, sid: str, channel: str) -> bool:
        return room_of(channel) in self._server.rooms(sid, namespace=NAMESPACE)


def room_of(channel: str) -> str:
    """Return the room of those who watch a channel.

    :param channel: the channel's name.
    :raises TypeError: if it is none, such as ``None``.
    """
    if not isinstance(channel, str):
        raise TypeError(f"a channel's name is text, and not {channel!r}")
    return ROOM_PREFIX + channel


def open_channels(server: Any, settings: Settings, outage: Outage) -> Channels:
    """Return the channels of this process.

    :param server: the Socket.IO server.
    :param settings: the settings of the process.
    :param outage: where to note that the message queue cannot be reached.
    """
    limits = Limits(
        messages=settings.replay_messages,
        bytes=settings.replay_bytes,
        seconds=settings.replay_seconds,
        channels=MAX_CHANNELS,
    )
    journal: Journal = LocalJournal(limits)
    if settings.redis_url is not None:
        journal = StreamJournal(
            server,
            settings.redis_url.get_secret_value(),
            service=settings.service_name,
            limits=limits,
            timeout=settings.publish_timeout,
            outage=outage,
            had=newest_entry,
        )
    return Channels(
        server,
        journal,
        limits,
        open_creations(settings),
        max_bytes=settings.max_message_bytes,
        max_attachments=settings.max_attachments,
    )
