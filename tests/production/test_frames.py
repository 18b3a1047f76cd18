"""Plain frames mean what wsproto says that they mean, and whatever is none is left to it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from production.realtime.frames import NotPlain, encode_frame, read_plain

MOST = 70_000

# As many bytes as change how a length is written or a payload is unmasked.
SIZES = (0, 1, 125, 126, 1024, 1025, 65535, 65536)

TEXT, BINARY = 0x81, 0x82


def client_frame(message: str | bytes) -> bytes:
    event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
    return Connection(ConnectionType.CLIENT).send(event)


def wsproto_reads(connection_type: ConnectionType, data: bytes) -> list[Any]:
    connection = Connection(connection_type)
    connection.receive_data(data)
    return list(connection.events())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("character", ["x", b"\xff"])
def test_a_message_is_read_once_its_frame_is_there(character: str | bytes, size: int) -> None:
    message = character * size
    frame = client_frame(message)
    before = b"before"
    assert read_plain(before + frame + b"after", len(before), MOST) == (
        message,
        len(before) + len(frame),
    )
    for missing in (1, len(frame) // 2, len(frame) - 2, len(frame)):
        assert read_plain(frame[:-missing], 0, MOST) is None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("character", ["x", b"\xff"])
def test_a_message_is_written_as_wsproto_writes_it(character: str | bytes, size: int) -> None:
    message = character * size
    assert [
        event.data
        for event in wsproto_reads(ConnectionType.CLIENT, encode_frame(message))
        if isinstance(event, TextMessage | BytesMessage)
    ] == [message]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x01\x81\0\0\0\0x", id="a fragment"),
        pytest.param(b"\x80\x81\0\0\0\0x", id="a continuation"),
        pytest.param(b"\xc1\x81\0\0\0\0x", id="a reserved bit"),
        pytest.param(b"\x83\x81\0\0\0\0x", id="an unknown opcode"),
        pytest.param(b"\x88\x80\0\0\0\0", id="a close"),
        pytest.param(b"\x89\x80\0\0\0\0", id="a ping"),
        pytest.param(b"\x81\x01x", id="no mask"),
        pytest.param(b"\x81\xfe\0\x01\0\0\0\0x", id="a short length in two bytes"),
        pytest.param(b"\x81\xff\0\0\0\0\0\0\0\x01\0\0\0\0x", id="a short length in eight bytes"),
        pytest.param(b"\x81\xff\x80\0\0\0\0\0\0\0", id="a length beyond all bounds"),
        pytest.param(b"\x81\x81\0\0\0\0\xff", id="text that is no UTF-8"),
        pytest.param(client_frame("x" * (MOST + 1)), id="a message beyond the limit"),
    ],
)
def test_any_other_frame_is_left_to_wsproto(frame: bytes) -> None:
    with pytest.raises(NotPlain):
        read_plain(frame, 0, MOST)


def test_nothing_is_read_that_wsproto_reads_otherwise() -> None:
    choose = random.Random(6455)
    read = 0
    for _ in range(20_000):
        first = choose.choice([TEXT, TEXT, TEXT, BINARY, choose.randrange(256)])
        frame = bytes([first, choose.randrange(256)]) + choose.randbytes(choose.randrange(40))
        try:
            plain = read_plain(frame, 0, MOST)
        except NotPlain:
            continue
        if plain is None:
            continue
        message, end = plain
        events = wsproto_reads(ConnectionType.SERVER, frame[:end])
        assert not any(isinstance(event, CloseConnection) for event in events)
        assert [(event.data, event.message_finished) for event in events] == [(message, True)]
        read += 1
    assert read
