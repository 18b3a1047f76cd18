"""Socket.IO packets in MessagePack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from socketio.packet import ACK, EVENT

from production.realtime.msgpack_packets import StrictMsgPackPacket
from production.realtime.packets import MalformedPacket, UnsendableAnswer
from production.realtime.sendable import Unsendable


def read(packet: Any) -> StrictMsgPackPacket:
    return StrictMsgPackPacket(encoded_packet=msgpack.dumps(packet))


@pytest.mark.parametrize(
    "data", [["news", {"a": [1, None, True]}], ["bytes", b"\0\1"], ["float", 1.5], ["text", "é"]]
)
def test_an_event_arrives_as_it_was_sent(data: list[Any]) -> None:
    sent = StrictMsgPackPacket(EVENT, data, namespace="/news", id=7)
    arrived = StrictMsgPackPacket(encoded_packet=sent.encode())
    assert (arrived.packet_type, arrived.namespace, arrived.id) == (EVENT, "/news", 7)
    assert arrived.data == data


def test_what_the_official_parser_writes_is_read() -> None:
    assert read({"type": 0, "data": {"token": "a"}, "nsp": "/"}).data == {"token": "a"}
    assert read({"type": 2, "data": ["news"], "options": {"compress": True}, "nsp": "/"}).id is None


def test_an_array_buffer_of_a_browser_is_bytes() -> None:
    buffer, other = msgpack.ExtType(0, b"\0\xff"), msgpack.ExtType(5, b"\0")
    assert read({"type": 2, "nsp": "/", "data": ["a", buffer, other]}).data == [
        "a",
        b"\0\xff",
        other,
    ]


NESTED: list[Any] = []
for _ in range(600):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "packet",
    [
        None,
        [],
        "text",
        {},
        {"type": 2},
        {"type": 2, "nsp": "/"},
        {"type": 2, "nsp": "/", "data": {}},
        {"type": 2, "nsp": "/", "data": []},
        {"type": 2, "nsp": "/", "data": [1]},
        {"type": 2, "nsp": "/", "data": ["connect"]},
        {"type": 2, "nsp": "/", "data": ["disconnect"]},
        {"type": 2, "nsp": "/", "data": ["news"], "id": "7"},
        {"type": 2, "nsp": "/", "data": ["news"], "id": -1},
        {"type": 2, "nsp": "/", "data": ["news"], "id": True},
        {"type": 2, "nsp": 7, "data": ["news"]},
        {"type": 2, "nsp": None, "data": ["news"]},
        {"type": 3, "nsp": "/", "data": ["news"]},
        {"type": 3, "nsp": "/", "data": {}, "id": 1},
        {"type": 4, "nsp": "/", "data": {}},
        {"type": 5, "nsp": "/", "data": ["news"]},
        {"type": True, "nsp": "/", "data": ["news"]},
        {"type": "2", "nsp": "/", "data": ["news"]},
        {"type": [], "nsp": "/", "data": ["news"]},
        {"type": 0, "nsp": "/", "data": ["auth"]},
        {"type": 2, "nsp": "/", "data": ["news"], 7: "no text"},
    ],
)
def test_what_no_client_sends_is_refused(packet: Any) -> None:
    with pytest.raises(MalformedPacket):
        read(packet)


@pytest.mark.parametrize(
    "encoded",
    [
        b"\xc1",
        b"\x81",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        msgpack.dumps({"type": 2, "nsp": "/", "data": ["news"]}) + b"\0",
        '2["news"]',
    ],
)
def test_what_is_no_message_pack_is_refused(encoded: Any) -> None:
    with pytest.raises(MalformedPacket):
        StrictMsgPackPacket(encoded_packet=encoded)


@pytest.mark.parametrize("value", [datetime.now(UTC), {1, 2}, 1 << 64, "\ud800", object()])
def test_what_message_pack_has_no_place_for_is_refused(value: Any) -> None:
    with pytest.raises(Unsendable, match="The event 'news' cannot be sent"):
        StrictMsgPackPacket(EVENT, ["news", value]).encode()
    with pytest.raises(UnsendableAnswer):
        StrictMsgPackPacket(ACK, [value], id=1).encode()


def test_nesting_has_an_end() -> None:
    with pytest.raises(Unsendable, match="The event 'news' cannot be sent"):
        StrictMsgPackPacket(EVENT, ["news", NESTED]).encode()
    with pytest.raises(Unsendable):
        StrictMsgPackPacket(EVENT, ["news", {"a": NESTED}]).encode()
