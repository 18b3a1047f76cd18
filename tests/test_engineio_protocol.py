"""What the Engine.IO protocol, revision 4, asks of a server, over both transports.

https://socket.io/docs/v4/engine-io-protocol/. A poll that was given up is not told from one that is late, so
it counts as pending.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from rawclient import (
    PACKET_SEPARATOR,
    ConnectionEndedError,
    HandshakeRefusedError,
    PollingSession,
    RawWebSocket,
    Response,
    encode_event,
    http,
    open_websocket,
    raw_request,
)
from served import ServedProject
from waiting import eventually

BYTES = '451-["message",{"_placeholder":true,"num":0}]'
BYTES_BACK = '451-["message-back",{"_placeholder":true,"num":0}]'

OPENERS: dict[str, Callable[[str], PollingSession | RawWebSocket]] = {
    "polling": PollingSession,
    "websocket": open_websocket,
}


@contextlib.contextmanager
def opened(url: str) -> Iterator[PollingSession]:
    """Open a polling session that has joined, and end it."""
    polling = PollingSession(url)
    try:
        polling.connect_namespace()
        polling.wait_for_event("auth")
        yield polling
    finally:
        with contextlib.suppress(ConnectionEndedError, OSError):
            polling.leave()


def poll(polling: PollingSession) -> Response:
    """Poll once, whatever the answer."""
    with contextlib.closing(polling.start_poll()) as connection:
        return connection.response()


def packets(polling: PollingSession, count: int) -> list[str | bytes]:
    """Return the next packets other than pings."""
    return [polling.receive_packet() for _ in range(count)]


def asked(url: str, method: str, query: str, transport: str) -> int:
    """Ask for a session and return the status of the answer."""
    target = f"/socket.io/?{query}"
    if transport == "polling":
        return http(method, url + target).status
    request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    return raw_request(url, (request + key).encode()).status


# Handshake


@pytest.mark.parametrize(("transport", "upgrades"), [("polling", ["websocket"]), ("websocket", [])])
def test_a_session_is_opened(
    impatient_echo: ServedProject, transport: str, upgrades: list[str]
) -> None:
    with contextlib.closing(OPENERS[transport](impatient_echo.url)) as client:
        said = client.opened
    assert set(said) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(said["sid"], str)
    assert said["upgrades"] == upgrades
    assert (said["pingInterval"], said["pingTimeout"]) == (300, 200)
    assert said["maxPayload"] == 1_000_000


@pytest.mark.parametrize("transport", OPENERS)
@pytest.mark.parametrize(
    "query",
    ["transport={}", "EIO=abc&transport={}", "EIO=3&transport={}", "EIO=4", "EIO=4&transport=abc"],
)
def test_another_protocol_is_refused(echo: ServedProject, query: str, transport: str) -> None:
    assert asked(echo.url, "GET", query.format(transport), transport) == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_session_is_asked_for_with_get(echo: ServedProject, method: str) -> None:
    assert asked(echo.url, method, "EIO=4&transport=polling", "polling") == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_leave_a_session_alone(echo: ServedProject, method: str) -> None:
    with opened(echo.url) as polling:
        with contextlib.closing(polling.start(method)) as connection:
            assert connection.response().status == 400
        polling.emit("message", "still there")
        assert polling.wait_for_event("message-back").args == ["still there"]


# Messages


@pytest.mark.parametrize("count", [1, 3])
def test_a_payload_holds_packets(echo: ServedProject, count: int) -> None:
    with opened(echo.url) as polling:
        sent = [encode_event("message", f"test{number}") for number in range(count)]
        answer = polling.post(PACKET_SEPARATOR.join(sent))
        assert (answer.status, answer.body) == (200, b"ok")
        back = [f'42["message-back","test{number}"]' for number in range(count)]
        assert packets(polling, count) == back


def test_a_payload_holds_text_and_bytes(echo: ServedProject) -> None:
    with opened(echo.url) as polling:
        sent = PACKET_SEPARATOR.join(['42["message","hello"]', BYTES, "bAQIDBA=="])
        assert polling.post(sent).body == b"ok"
        assert packets(polling, 3) == ['42["message-back","hello"]', BYTES_BACK, "bAQIDBA=="]


def test_what_is_no_packet_ends_a_polling_session(echo: ServedProject) -> None:
    with opened(echo.url) as polling:
        assert polling.post("abc").status == 400
        assert poll(polling).status == 400


def test_a_second_poll_ends_the_session(echo: ServedProject) -> None:
    with opened(echo.url) as polling:
        first, second = polling.start_poll(), polling.start_poll()
        with contextlib.closing(first), contextlib.closing(second):
            answers = sorted(connection.response() for connection in (first, second))
        assert [answer.status for answer in answers] == [200, 400]
        assert answers[0].body.decode().split(PACKET_SEPARATOR)[-1] == "1"
        assert poll(polling).status == 400


def test_so_does_one_after_a_poll_that_was_given_up(echo: ServedProject) -> None:
    with opened(echo.url) as polling:
        polling.start_poll().close()
        answer = poll(polling)
        # The one that was given up may have come second.
        assert answer.status == 400 or answer.body.endswith(b"1")
        assert poll(polling).status == 400


def test_a_websocket_carries_text_and_bytes(echo: ServedProject) -> None:
    with open_websocket(echo.url) as ws:
        ws.connect_namespace()
        ws.wait_for_event("auth")
        ws.send_text('42["message","hello"]')
        assert ws.receive_packet() == '42["message-back","hello"]'
        ws.send_text(BYTES)
        ws.send_binary(b"\1\2\3\4")
        assert [ws.receive_packet(), ws.receive_packet()] == [BYTES_BACK, b"\1\2\3\4"]


def test_what_is_no_packet_ends_a_websocket(echo: ServedProject) -> None:
    with open_websocket(echo.url) as ws:
        ws.send_text("abc")
        ws.until_closed()


# Heartbeat


def test_pings_come_as_long_as_they_are_answered(echo: ServedProject) -> None:
    polling = PollingSession(echo.url)
    for _ in range(3):
        assert poll(polling).body == b"2"
        assert polling.post("3").body == b"ok"
    polling.leave()
    with open_websocket(echo.url) as ws:
        for _ in range(3):
            assert ws.receive().text == "2"
            ws.send_text("3")


def test_who_does_not_answer_is_given_up(impatient_echo: ServedProject) -> None:
    with open_websocket(impatient_echo.url) as ws:
        assert [frame.text for frame in ws.until_closed()][:1] == ["2"]
    polling = PollingSession(impatient_echo.url)
    assert poll(polling).body == b"2"
    eventually(lambda: poll(polling).status == 400, "the session ends")


# Close


def test_a_client_that_leaves_has_its_poll_answered(echo: ServedProject) -> None:
    for _ in range(10):
        polling = PollingSession(echo.url)
        # A poll may be under way on one connection when the end comes on another.
        with contextlib.closing(polling.start_poll()) as connection:
            assert polling.post("1").body == b"ok"
            answer = connection.response()
        assert (answer.status, answer.body.decode().split(PACKET_SEPARATOR)[-1]) == (200, "6")
        assert poll(polling).status == 400


def test_a_websocket_that_leaves_is_closed(echo: ServedProject) -> None:
    with open_websocket(echo.url) as ws:
        ws.send_text("1")
        ws.until_closed()


# Upgrade


def test_an_upgrade_ends_polling_and_loses_nothing(echo: ServedProject) -> None:
    with opened(echo.url) as polling, open_websocket(echo.url, sid=polling.sid) as ws:
        ws.send_text("2probe")
        assert ws.receive_packet() == "3probe"
        assert poll(polling).body.decode().split(PACKET_SEPARATOR)[-1] == "6"
        ws.send_text("5")
        ws.send_text('42["message","hello"]')
        assert ws.receive_packet() == '42["message-back","hello"]'


def test_messages_come_by_polling_until_the_probe(echo: ServedProject) -> None:
    with opened(echo.url) as polling, open_websocket(echo.url, sid=polling.sid) as ws:
        polling.emit("message", "hello")
        assert polling.wait_for_event("message-back").args == ["hello"]
        ws.upgrade()
        ws.emit("message", "hello again")
        assert ws.wait_for_event("message-back").args == ["hello again"]


def test_an_upgraded_session_takes_no_other_transport(echo: ServedProject) -> None:
    with opened(echo.url) as polling, open_websocket(echo.url, sid=polling.sid) as ws:
        ws.upgrade()
        assert poll(polling).status == 400
        with open_websocket(echo.url, sid=polling.sid) as another:
            another.until_closed()
        ws.emit("message", "hello")
        assert ws.wait_for_event("message-back").args == ["hello"]


def test_a_handshake_that_is_none_leaves_the_session_alone(echo: ServedProject) -> None:
    with opened(echo.url) as polling:
        for headers in (
            {"connection": None},
            {"connection": "keep-alive"},
            {"upgrade": None},
            {"sec-websocket-key": None},
            {"sec-websocket-key": "short"},
            {"host": ""},
        ):
            with pytest.raises(HandshakeRefusedError) as refused:
                open_websocket(echo.url, sid=polling.sid, headers=headers)
            assert refused.value.response.status == 400, headers
        polling.emit("message", "still there")
        assert polling.wait_for_event("message-back").args == ["still there"]
