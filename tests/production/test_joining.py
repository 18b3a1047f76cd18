"""A session that ends while it joins a namespace, in another thread, leaves nothing behind."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from production.realtime.manager import LocalManager
from production.realtime.packets import StrictPacket
from production.realtime.server import Server
from production.realtime.session import Session

SID = "a-session"


@pytest.fixture
def server() -> Any:
    """A server with one session that has joined no namespace."""
    server: Any = Server(
        max_attachments=10,
        connect_timeout=45,
        sessions_per_address=10,
        handshakes_per_address=10,
        async_mode="threading",
        client_manager=LocalManager(),
        serializer=StrictPacket,
        async_handlers=False,
        max_sessions=10,
        max_queued_messages=10,
        max_queued_bytes=1000,
    )
    session = server.eio.sockets[SID] = Session(server.eio, SID)
    session.connected = True
    server._handle_eio_connect(SID, {"REMOTE_ADDR": "127.0.0.1"})
    return server


def end_elsewhere(server: Any) -> None:
    """End the session in another thread, and wait until that is done."""
    if SID in server.eio.sockets:
        ending = threading.Thread(target=server.eio.sockets[SID].close)
        ending.start()
        ending.join()


@pytest.mark.parametrize("moment", ["before", "after", "in the handler", "never"])
def test_a_session_that_ends_while_it_joins_is_no_member(server: Any, moment: str) -> None:
    called = []
    original = server.manager.pre_connect

    def pre_connect(eio_sid: str, namespace: str) -> Any:
        if moment == "before":
            end_elsewhere(server)
        sid = original(eio_sid, namespace)
        if moment == "after":
            end_elsewhere(server)
        return sid

    def connect(*_: Any) -> None:
        called.append("connect")
        if moment == "in the handler":
            end_elsewhere(server)

    server.manager.pre_connect = pre_connect
    server.on("connect", connect)
    server.on("disconnect", lambda *_: called.append("disconnect"))
    server._handle_eio_message(SID, "0")
    end_elsewhere(server)
    # The app hears of an end if it has heard of the beginning.
    assert called in ([], ["connect", "disconnect"])
    assert server.manager.rooms == {}
    assert server.manager.pending_connect == {}
    assert server.environ == {}


def test_a_session_that_has_ended_is_not_kept_until_its_ping_is_due(server: Any) -> None:
    server.eio.sockets[SID].schedule_ping()
    session = weakref.ref(server.eio.sockets[SID])
    end_elsewhere(server)
    gc.collect()
    assert session() is None


def test_who_knows_that_it_is_connected_misses_no_broadcast(server: Any) -> None:
    sent: list[str] = []
    broadcasts: list[threading.Thread] = []

    def send(_: str, packet: str) -> None:
        sent.append(packet)
        if packet.startswith("0"):
            # The client does something at once, upon which another thread tells everyone.
            broadcasts.append(threading.Thread(target=server.emit, args=("news", 1)))
            broadcasts[0].start()
            broadcasts[0].join(0.2)

    server.eio.send = send
    server.eio.send_packet = lambda sid, packet: send(sid, packet.data)
    server.on("connect", lambda *_: None)
    server._handle_eio_message(SID, "0")
    broadcasts[0].join()
    assert [packet[0] for packet in sent] == ["0", "2"]
