"""What may be the name of a room, by every way into one and out of it."""

from __future__ import annotations

from typing import Any

import pytest
import socketio
from structlog.testing import capture_logs

from production.realtime.channels import Channels
from production.realtime.creations import LocalCreations
from production.realtime.history import Limits
from production.realtime.local_journal import LocalJournal
from production.realtime.manager import LocalManager
from production.realtime.queue import QueueManager
from production.realtime.server import Server

OPTIONS: dict[str, Any] = {
    "async_mode": "threading",
    "max_attachments": 1,
    "connect_timeout": 45,
    "max_sessions": 10,
    "sessions_per_address": 10,
    "handshakes_per_address": 10,
    "max_queued_messages": 10,
    "max_queued_bytes": 10_000,
}


class Room:
    """A server with one client, who is in the room ``here``."""

    def __init__(self, manager: Any) -> None:
        self.server: Any = Server(client_manager=manager, **OPTIONS)
        self.sid = self.server.manager.connect("eio", "/")
        self.server.enter_room(self.sid, "here")

    def leave(self, room: Any) -> None:
        """Leave a room."""
        self.server.leave_room(self.sid, room)

    def members(self, room: Any) -> list[str]:
        """Return who is in a room."""
        return [sid for sid, _ in self.server.manager.get_participants("/", room)]


@pytest.fixture(params=[LocalManager, socketio.Manager])
def room(request: pytest.FixtureRequest) -> Room:
    """A room, of the layer's manager and of another one's, as an adopted app may have."""
    return Room(request.param())


WAYS = {
    "join_room": lambda room, name: room.server.enter_room(room.sid, name),
    "leave_room": lambda room, name: room.server.leave_room(room.sid, name),
    "close_room": lambda room, name: room.server.close_room(name),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by_class", [False, True])
def test_none_is_refused_by_each_way(room: Room, way: str, by_class: bool) -> None:
    def handler() -> None:
        if by_class:
            namespace = socketio.Namespace("/")
            namespace._set_server(room.server)
            arguments = [] if way == "close_room" else [room.sid]
            getattr(namespace, way.replace("join", "enter"))(*arguments, None)
        else:
            WAYS[way](room, None)

    with capture_logs() as records, pytest.raises(ValueError, match=rf"{way}\(None\)"):
        handler()
    assert room.members(None) == room.members("here") == [room.sid]
    (record,) = records
    assert "test_rooms" in record["handler"]
    assert record["call"] == f"{way}(None)"


@pytest.mark.parametrize("name", ["", 0, 7, False, b"bytes", ("a", 1), 1.5])
def test_any_other_name_is_as_good_as_it_is_upstream(room: Room, name: Any) -> None:
    room.server.enter_room(room.sid, name)
    assert name in room.server.rooms(room.sid)
    room.leave(name)
    assert name not in room.server.rooms(room.sid)
    assert room.members(None) == [room.sid]


@pytest.mark.parametrize("name", [[], {}, {"a"}])
@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_a_name_raises_and_changes_nothing(room: Room, way: str, name: Any) -> None:
    with pytest.raises(TypeError):
        WAYS[way](room, name)
    assert room.members(None) == room.members("here") == [room.sid]


@pytest.mark.parametrize("method", ["enter_room", "leave_room", "close_room"])
def test_another_process_makes_nobody_deaf(method: str) -> None:
    manager = QueueManager(
        "redis://127.0.0.1:1", service="test", backlog=10, backlog_seconds=1, channel="test"
    )
    room = Room(manager)
    message = {"method": method, "sid": room.sid, "namespace": "/", "room": None}
    getattr(manager, f"_handle_{method}")(message)
    assert room.members(None) == room.members("here") == [room.sid]


@pytest.mark.parametrize("name", [None, 7, ["a"], b"a"])
def test_a_channel_has_a_name(name: Any) -> None:
    room = Room(LocalManager())
    limits = Limits(messages=10, bytes=1000, seconds=10, channels=10)
    channels = Channels(
        room.server, LocalJournal(limits), limits, LocalCreations({}, 1), max_bytes=1
    )
    for call in (
        lambda: channels.watch(room.sid, name),
        lambda: channels.leave(room.sid, name),
        lambda: channels.resume(room.sid, name, None),
        lambda: channels.publish(name, "data"),
    ):
        with pytest.raises(TypeError, match="a channel's name is text"):
            call()
    assert room.server.rooms(room.sid) == [room.sid, "here"]
