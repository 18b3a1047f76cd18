"""Socket.IO packets as clients may send them."""

from __future__ import annotations

from typing import Any

import pytest
from socketio import packet

from production.realtime.packets import MalformedPacket, StrictPacket


def test_an_event_is_decoded() -> None:
    decoded = StrictPacket(encoded_packet='2/board,7["publish",{"a":1}]')
    assert (decoded.packet_type, decoded.namespace, decoded.id) == (packet.EVENT, "/board", 7)
    assert decoded.data == ["publish", {"a": 1}]


def test_attachments_are_put_in_their_places() -> None:
    decoded = StrictPacket(encoded_packet='51-["blob",{"_placeholder":true,"num":0}]')
    assert decoded.add_attachment(b"bytes") is True
    assert decoded.data == ["blob", b"bytes"]


@pytest.mark.parametrize("encoded", ["0", '0{"token":"x"}', "0/board,", "1", "3/board,1[]"])
def test_what_clients_send_besides_events_is_decoded(encoded: str) -> None:
    StrictPacket(encoded_packet=encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        "x",
        "7",
        "9[]",
        '4{"message":"no"}',
        "2",
        "2{}",
        "2[]",
        "2[1]",
        '2[["a"]]',
        '2["connect"]',
        '2["disconnect"]',
        '2["connect_error"]',
        "2" + "[" * 100_000,
        '50-["a"]',
        '5["a"]',
        '2["a"',
        "3[]",
        "31{}",
        '0"token"',
        '59999999999999-["a"]',
        {"not": "text"},
        b"binary",
    ],
)
def test_what_makes_no_sense_is_refused(encoded: Any) -> None:
    with pytest.raises(MalformedPacket):
        StrictPacket(encoded_packet=encoded)


@pytest.mark.parametrize(
    ("encoded", "attachment"),
    [
        ('51-["a",{"_placeholder":true,"num":5}]', b"x"),
        ('51-["a",{"_placeholder":true,"num":"0"}]', b"x"),
        ('51-["a",{"_placeholder":true,"num":0}]', "text"),
    ],
)
def test_attachments_that_do_not_fit_are_refused(encoded: str, attachment: Any) -> None:
    decoded = StrictPacket(encoded_packet=encoded)
    with pytest.raises(MalformedPacket):
        decoded.add_attachment(attachment)


def test_what_the_server_sends_is_encoded_as_upstream_does() -> None:
    assert StrictPacket(packet.EVENT, data=["connect", 1]).encode() == '2["connect",1]'
