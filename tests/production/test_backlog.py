"""How much may wait for one client."""

from __future__ import annotations

from engineio.packet import MESSAGE, PING, Packet

from production.realtime.backlog import Backlog


def message(size: int) -> Packet:
    return Packet(MESSAGE, data="x" * size)


def test_messages_are_admitted_up_to_their_number() -> None:
    backlog = Backlog(max_messages=2, max_bytes=1000)
    assert [backlog.admit(message(1)) for _ in range(3)] == [True, True, False]


def test_messages_are_admitted_up_to_their_bytes() -> None:
    backlog = Backlog(max_messages=100, max_bytes=10)
    assert [backlog.admit(message(4)) for _ in range(3)] == [True, True, False]


def test_characters_count_as_the_bytes_that_they_are_sent_as() -> None:
    backlog = Backlog(max_messages=100, max_bytes=10)
    assert [backlog.admit(Packet(MESSAGE, data="日本")) for _ in range(2)] == [True, False]
    assert backlog.bytes == len("日本".encode())


def test_one_message_of_any_size_may_be_sent() -> None:
    assert Backlog(max_messages=2, max_bytes=10).admit(message(1000))


def test_what_was_taken_makes_room() -> None:
    backlog = Backlog(max_messages=1, max_bytes=10)
    first = message(10)
    assert backlog.admit(first)
    backlog.release(first)
    assert backlog.admit(message(10))
    assert (backlog.messages, backlog.bytes) == (1, 10)


def test_pings_always_have_room() -> None:
    backlog = Backlog(max_messages=1, max_bytes=1)
    backlog.admit(message(1))
    ping = Packet(PING)
    assert backlog.admit(ping)
    backlog.release(ping)
    assert (backlog.messages, backlog.bytes) == (1, 1)
