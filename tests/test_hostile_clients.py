"""Clients that break the rules, against the generated service in each of its modes.

What all of these have in common: the session of the one who misbehaves ends, with one line at INFO
that says so, and nobody else notices. An absolute time only ever tells "answers" from "hangs".
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from observing import (
    ENDED,
    MODES,
    LogMark,
    Service,
    StartService,
    client_ports,
    cpu_seconds,
    not_json,
    open_sessions,
    resident_megabytes,
    threads,
    wait_until_quiet,
)
from rawclient import (
    CLOSE,
    CONTINUATION,
    MESSAGE_TOO_BIG,
    PACKET_SEPARATOR,
    PING,
    TEXT,
    ConnectionEndedError,
    HandshakeRefusedError,
    HttpConnection,
    PollingSession,
    RawWebSocket,
    SocketIOClient,
    encode_event,
    frame,
    handshake,
    http,
    open_websocket,
    post_json,
    raw_request,
)
from waiting import PATIENCE, eventually

# One service per mode is enough for most of these tests: the scope keeps those of a mode together.
pytestmark = pytest.mark.parametrize("mode", MODES, scope="session")

# The default of MAX_MESSAGE_BYTES.
LIMIT = 1_000_000

FAR_TOO_MANY = 1000
"""Updates of 40 kB that neither the kernel's buffers nor the default of MAX_QUEUED_BYTES hold."""


# ---------------------------------------------------------------------------------------------
# Helpers


@contextlib.contextmanager
def joined_websocket(
    service: Service, *, receive_buffer: int | None = None
) -> Iterator[RawWebSocket]:
    """A WebSocket client on the default namespace that has been greeted."""
    with open_websocket(service.url, receive_buffer=receive_buffer) as ws:
        greet(ws)
        yield ws


@contextlib.contextmanager
def joined_polling(service: Service) -> Iterator[PollingSession]:
    """A long-polling client on the default namespace that has been greeted."""
    polling = PollingSession(service.url)
    try:
        greet(polling)
        yield polling
    finally:
        # If the service has not ended the session: do not leave it to its ping time-out.
        with contextlib.suppress(OSError, ConnectionEndedError):
            polling.leave()


def greet(client: SocketIOClient) -> None:
    """Join, and wait until all that belongs to joining is over, its line in the log included."""
    client.connect_namespace()
    client.wait_for_event("connection_ack")
    client.call("heartbeat", {"sent_at": 0})


@pytest.fixture
def served(service: StartService, mode: str) -> Service:
    """A service to which nobody is connected."""
    served = service(mode)
    wait_until_quiet(served)
    return served


JOINED: dict[str, Callable[[Service], contextlib.AbstractContextManager[SocketIOClient]]] = {
    "websocket": joined_websocket,
    "polling": joined_polling,
}


def assert_healthy(service: Service) -> None:
    """Ask for both kinds of health."""
    for path in ("/health/live", "/health/ready"):
        assert http("GET", service.url + path).status == 200


def push(service: Service, channel: str, data: Any) -> None:
    """Publish to a channel from outside."""
    assert post_json(f"{service.url}/api/channels/{channel}", data).status == 202


def assert_ended_once(service: Service, log: LogMark, client: SocketIOClient) -> dict[str, Any]:
    """The client's session has ended, with one line at INFO, and nothing worse was logged."""
    record = log.wait_for_end(client.session)
    eventually(lambda: open_sessions(service) == 0, "the session leaves the health report")
    about_it = [r for r in log.records() if r["event"] == ENDED or client.session in str(r)]
    assert about_it == [record]
    assert record["level"] == "info"
    assert record["transport"] == client.transport
    assert record["reason"]
    assert log.loud() == []
    assert not_json(service) == []
    return record


# ---------------------------------------------------------------------------------------------
# Long-polling bodies


def test_a_post_that_announces_too_much_is_refused_before_its_body_arrives(served: Service) -> None:
    log = LogMark(served)
    with joined_polling(served) as polling:
        assert polling.post("abc", content_length=LIMIT + 1).status == 413

    # Sixty of them once stopped a worker for good. Here they stay connected, with their body still
    # owed, while the health is asked for.
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(max_workers=20) as pool:
        sessions = list(pool.map(PollingSession, [served.url] * 60))
        posts = [session.start_post("abc", content_length=LIMIT + 1) for session in sessions]
        for post in posts:
            stack.enter_context(contextlib.closing(post))
        assert_healthy(served)
        assert {post.response().status for post in posts} == {413}
        assert_healthy(served)
        # Whether a refused POST ends its session is up to the service.
        assert {session.leave().status for session in sessions} <= {200, 400}
    eventually(lambda: open_sessions(served) == 0, "all sessions are gone")
    assert log.loud() == []
    assert not_json(served) == []


# ---------------------------------------------------------------------------------------------
# Packets and frames that end the session of their sender

RESERVED: dict[str, list[str | bytes]] = {
    "connect": ['42["connect"]'],
    "connect-acknowledged": ['420["connect",{}]'],
    "connect-binary": ['451-["connect",{"_placeholder":true,"num":0}]', b"auth"],
    "disconnect": ['42["disconnect"]'],
    "disconnect-acknowledged": ['420["disconnect","client disconnect"]'],
    "disconnect-binary": ['451-["disconnect",{"_placeholder":true,"num":0}]', b"reason"],
}

MALFORMED: dict[str, list[str | bytes]] = {
    # Engine.IO
    "no-packet-type": ["x"],
    "unknown-packet-type": ["9"],
    "base64-that-is-none": ["b!!!"],
    # Socket.IO
    "empty-message": ["4"],
    "no-socketio-type": ["4{"],
    "no-socketio-type-but-base64": ["4b"],
    "unknown-socketio-type": ["49"],
    "connect-error-from-a-client": ["44"],
    "event-without-payload": ["42"],
    "event-with-an-object": ["42{}"],
    "event-without-name": ["42[]"],
    "event-with-a-number-as-name": ["42[1]"],
    "event-with-a-list-as-name": ['42[["a"]]'],
    "event-with-an-endless-number": ["42[" + '"a",' + "1" * 5000 + "]"],
    "event-with-an-endless-acknowledgement-id": ["42" + "1" * 200 + '["a"]'],
    "acknowledgement-with-an-object": ["430{}"],
    "deep-json": ["42" + "[" * 2000],
    "deeper-json": ["4" + "[" * 100_000],
    # Attachments
    "placeholder-beyond-the-attachments": ['451-["a",{"_placeholder":true,"num":5}]', b"x"],
    "placeholder-that-is-no-number": ['451-["a",{"_placeholder":true,"num":"0"}]', b"x"],
    "attachments-without-number": ["45-"],
    "attachments-beyond-counting": ["4510000000000-["],
    "binary-where-text-is-due": [b"\x00\x01\x02"],
    "text-where-binary-is-due": ['451-["a",{"_placeholder":true,"num":0}]', '42["a"]'],
}

# An empty packet looks different in each transport: an empty body holds no packet at all.
EMPTY = {"websocket": "", "polling": PACKET_SEPARATOR}

# Numbers are the sections of RFC 6455 that are violated.
BROKEN_FRAMES = {
    "5.1-not-masked": frame(TEXT, b'42["heartbeat",{}]', masked=False),
    "5.2-first-reserved-bit": frame(TEXT, b"3", reserved=4),
    "5.2-second-reserved-bit": frame(TEXT, b"3", reserved=2),
    "5.2-third-reserved-bit": frame(TEXT, b"3", reserved=1),
    "5.2-reserved-opcode": frame(0x3, b"3"),
    "5.2-reserved-control-opcode": frame(0xB),
    "5.2-length-with-the-highest-bit": b"\x82\xff" + b"\xff" * 8 + b"mask",
    "5.4-continuation-without-a-start": frame(CONTINUATION, b"3"),
    "5.4-start-within-a-message": frame(TEXT, b"4", fin=False) + frame(TEXT, b"3"),
    "5.5-control-frame-beyond-125": frame(PING, bytes(126)),
    "5.5-control-frame-in-fragments": frame(PING, b"3", fin=False),
    "5.5.1-close-with-half-a-code": frame(CLOSE, b"\x03"),
    "5.5.1-close-reason-not-utf-8": frame(CLOSE, struct.pack("!H", 1000) + b"\xff"),
    "7.4.1-close-code-1005": frame(CLOSE, struct.pack("!H", 1005)),
    "7.4.2-close-code-999": frame(CLOSE, struct.pack("!H", 999)),
    "8.1-text-not-utf-8": frame(TEXT, b'42["heartbeat","\xff\xfe"]'),
    "8.1-text-with-utf-8-cut-short": frame(TEXT, b'42["heartbeat","\xc3'),
    "8.1-text-with-an-encoded-surrogate": frame(TEXT, b'42["heartbeat","\xed\xa0\x80"]'),
}


@pytest.mark.parametrize("transport", JOINED)
@pytest.mark.parametrize("packets", RESERVED.values(), ids=RESERVED)
def test_a_reserved_event_name_ends_the_session_and_runs_no_handler(
    served: Service, transport: str, packets: list[str | bytes]
) -> None:
    with JOINED[transport](served) as client:
        log = LogMark(served)
        received = send_until_the_end(client, packets)
        assert not any("connection_ack" in packet for packet in received)
        assert_ended_once(served, log, client)


@pytest.mark.parametrize("transport", JOINED)
@pytest.mark.parametrize("packets", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_packet_ends_the_session_with_one_line(
    served: Service, transport: str, packets: list[str | bytes]
) -> None:
    with JOINED[transport](served) as client:
        log = LogMark(served)
        send_until_the_end(client, packets)
        assert_ended_once(served, log, client)


@pytest.mark.parametrize("transport", JOINED)
def test_an_empty_packet_ends_the_session_with_one_line(served: Service, transport: str) -> None:
    with JOINED[transport](served) as client:
        log = LogMark(served)
        send_until_the_end(client, [EMPTY[transport]])
        assert_ended_once(served, log, client)


@pytest.mark.parametrize("broken", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
def test_a_broken_frame_ends_the_session_with_one_line(served: Service, broken: bytes) -> None:
    with joined_websocket(served) as ws:
        log = LogMark(served)
        ws.send(broken)
        ws.until_closed()
        assert_ended_once(served, log, ws)


@pytest.mark.parametrize("packet", ["x", "42[1]", "", "4" + "[" * 2000])
def test_a_client_that_breaks_the_rules_before_joining_is_logged_once(
    served: Service, packet: str
) -> None:
    log = LogMark(served)
    with open_websocket(served.url) as ws:
        ws.send_text(packet)
        ws.until_closed()
    log.wait_for_end()
    eventually(lambda: open_sessions(served) == 0, "the session leaves the health report")
    assert len(log.ended()) == 1
    assert log.loud() == []
    assert not_json(served) == []


@pytest.mark.parametrize(
    "leave", [RawWebSocket.close_cleanly, RawWebSocket.fin, RawWebSocket.reset]
)
def test_a_client_that_leaves_without_joining_is_logged_once(
    served: Service, leave: Callable[[RawWebSocket], object]
) -> None:
    log = LogMark(served)
    leave(open_websocket(served.url))
    log.wait_for_end()
    eventually(lambda: open_sessions(served) == 0, "the session leaves the health report")
    assert [record["transport"] for record in log.ended()] == ["websocket"]
    assert log.loud() == []
    assert not_json(served) == []


def test_an_event_that_nobody_handles_is_harmless_whatever_its_name(served: Service) -> None:
    log = LogMark(served)
    with joined_websocket(served) as ws:
        # A forged log line, a terminal escape, and half a character that UTF-8 cannot express.
        for name in ('x"}\n{"level":"error","event":"forged"}', "\x1b[2J", "\ud800", "__class__"):
            ws.emit(name, {"argument": 1})
        ws.call("heartbeat", {"sent_at": 1})
    log.wait_for_end(ws.session)
    assert log.loud() == []
    assert not_json(served) == []


def send_until_the_end(client: SocketIOClient, packets: list[str | bytes]) -> list[str]:
    """Send packets, wait until the session has ended for it, and return what came before that."""
    if isinstance(client, RawWebSocket):
        # The first of several may already have ended it.
        with contextlib.suppress(OSError):
            for packet in packets:
                if isinstance(packet, str):
                    client.send_text(packet)
                else:
                    client.send_binary(packet)
        return [f.text for f in client.until_closed() if f.opcode == TEXT]

    assert isinstance(client, PollingSession)
    received: list[str] = []
    deadline = time.monotonic() + PATIENCE
    with contextlib.closing(client.start_poll()) as pending:
        client.post(PACKET_SEPARATOR.join(map(as_text, packets)))
        # The poll that was pending must not be forgotten when the session goes.
        received += pending.response().body.decode().split(PACKET_SEPARATOR)
    with contextlib.suppress(ConnectionEndedError):
        while True:
            received += client.poll(deadline - time.monotonic())
    return received


def as_text(packet: str | bytes) -> str:
    """A packet as it appears in the body of a POST."""
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()


# ---------------------------------------------------------------------------------------------
# Size


def test_fragments_that_together_exceed_the_limit_are_closed_with_1009(served: Service) -> None:
    with joined_websocket(served) as ws:
        log = LogMark(served)
        ws.send_frame(TEXT, b"4" * 100_000, fin=False)
        for _ in range(LIMIT // 100_000 - 1):
            ws.send_frame(CONTINUATION, b"4" * 100_000, fin=False)
        # One byte too many, and nothing after it: if the server closes with bytes unread, the
        # kernel makes that a reset, and the close frame may be lost.
        ws.send_frame(CONTINUATION, b"4")
        ws.until_closed()
        assert ws.close_code == MESSAGE_TOO_BIG
        assert_ended_once(served, log, ws)


@pytest.mark.parametrize("transport", JOINED)
def test_attachments_that_together_exceed_the_limit_end_the_session(
    served: Service, transport: str
) -> None:
    placeholders = [{"_placeholder": True, "num": number} for number in range(3)]
    event = json.dumps(["publish", {"channel": "attachments", "data": placeholders}])
    packets: list[str | bytes] = [f"453-{event}", *[bytes(LIMIT * 2 // 5)] * 3]
    with JOINED[transport](served) as client:
        log = LogMark(served)
        if isinstance(client, PollingSession):
            # Each in a POST of its own, or Content-Length would give it away.
            statuses = [client.post(as_text(packet)).status for packet in packets]
            assert statuses[0] == 200
        else:
            send_until_the_end(client, packets)
        assert_ended_once(served, log, client)


def test_a_message_beyond_the_limit_ends_the_session(served: Service) -> None:
    with joined_websocket(served) as ws:
        log = LogMark(served)
        send_until_the_end(ws, [encode_event("heartbeat", {"sent_at": "x" * LIMIT})])
        assert_ended_once(served, log, ws)


def test_compression_is_declined(service: StartService, mode: str) -> None:
    """What is not inflated cannot be a bomb."""
    served = service(mode)
    offer = "permessage-deflate; client_max_window_bits"
    with open_websocket(served.url, headers={"sec-websocket-extensions": offer}) as ws:
        assert ws.extensions == ""
        ws.connect_namespace()
        assert ws.call("heartbeat", {"sent_at": 1})["sent_at"] == 1


def test_a_large_message_in_odd_pieces_arrives_unharmed(service: StartService, mode: str) -> None:
    """Masks and characters continue across the borders of reads and of frames."""
    served = service(mode)
    chance = random.Random(mode)
    data = "".join(chance.choices("abcdefgh 0123 \u00fc \u20ac \U0001f40d", k=100_000))
    message = encode_event("publish", {"channel": "pieces", "data": data}).encode()
    message = message.replace(
        json.dumps(data).encode(), json.dumps(data, ensure_ascii=False).encode()
    )
    frames, opcode, start = b"", TEXT, 0
    while start < len(message):
        end = start + chance.randrange(1, 40_000)
        frames += frame(opcode, message[start:end], fin=end >= len(message))
        opcode, start = CONTINUATION, end
    with joined_websocket(served) as subscriber, joined_websocket(served) as ws:
        subscriber.call("subscribe", {"channels": ["pieces"]})
        start = 0
        while start < len(frames):
            end = start + chance.randrange(1, 20_000)
            ws.send(frames[start:end])
            start = end
        assert subscriber.wait_for_event("update").args[0]["data"] == data


# ---------------------------------------------------------------------------------------------
# Too slow, too fast, too much


@pytest.mark.parametrize("transport", JOINED)
def test_a_client_that_never_reads_is_disconnected_and_costs_no_memory(
    service: StartService, mode: str, transport: str
) -> None:
    served = service(mode)
    update = {"padding": "x" * 40_000}
    with joined_websocket(served) as reader:
        # So that what the service allocates once is not counted as the slow client's.
        reader.call("subscribe", {"channels": ["slow"]})
        for _ in range(50):
            push(served, "slow", update)
            reader.wait_for_event("update")
    wait_until_quiet(served)

    # The smallest window that the kernel allows: what the client does not read stays in the server.
    with (
        joined_polling(served)
        if transport == "polling"
        else joined_websocket(served, receive_buffer=4096)
    ) as client:
        client.call("subscribe", {"channels": ["slow"]})
        log = LogMark(served)
        memory = resident_megabytes(served)
        worst = memory
        for _ in range(FAR_TOO_MANY):
            push(served, "slow", update)
            worst = max(worst, resident_megabytes(served))
            if log.ended(client.session):
                break
        (record,) = log.ended(client.session)
        assert record["reason"] not in ("ping timeout", "transport close", "client disconnect")
        assert worst < memory + 30
        assert_ended_once(served, log, client)
        if isinstance(client, RawWebSocket):
            eventually(
                lambda: client.local_port not in client_ports(served),
                "the descriptor is freed although the client keeps its end open",
            )


def test_a_lower_limit_on_queued_messages_is_honoured(service: StartService, mode: str) -> None:
    served = service(mode, MAX_QUEUED_MESSAGES="50")
    wait_until_quiet(served)
    with joined_polling(served) as polling:
        polling.call("subscribe", {"channels": ["queue"]})
        log = LogMark(served)
        for number in range(45):
            push(served, "queue", number)
        assert log.ended() == []
        for number in range(45, 55):
            push(served, "queue", number)
        assert_ended_once(served, log, polling)


def test_large_messages_cost_little_of_the_time_that_all_clients_share(served: Service) -> None:
    """Unmasking in pure Python, byte by byte, held the loop of stock eventlet for so long.

    So the yardstick is half the processor time that unmasking the messages byte by byte takes here.
    """
    count = 20
    log = LogMark(served)
    event = encode_event("publish", {"channel": "nobody", "data": "x" * (LIMIT - 1000)}, ack_id=1)
    message = frame(TEXT, event.encode())
    started = time.process_time()
    b"".join(bytes((byte ^ message[10 + i % 4],)) for i, byte in enumerate(message[14:]))
    yardstick = count * (time.process_time() - started) / 2

    with joined_websocket(served) as heavy:
        before = cpu_seconds(served)
        for _ in range(count):
            heavy.send(message)
            heavy.wait_for_packet("431[")
        assert cpu_seconds(served) - before < yardstick
    assert log.loud() == []


def test_a_flood_of_events_does_not_silence_other_clients(served: Service) -> None:
    log = LogMark(served)
    with joined_websocket(served) as other, _Flood(served) as flood:
        enough = flood.bursts + 20
        rounds = itertools.count(1)
        # What is in the kernel's buffers would do for a moment; more shows that it is being served.
        while (number := next(rounds)) <= 20 or flood.bursts < enough:
            assert (
                other.call("heartbeat", {"sent_at": number}, timeout=PATIENCE)["sent_at"] == number
            )
            assert_healthy(served)
            assert number < 10_000, "the flood has dried up"
    wait_until_quiet(served)
    assert log.loud() == []
    assert not_json(served) == []


@pytest.mark.parametrize("kind", ["silent", "half-a-head", "half-a-body"])
def test_half_open_connections_do_not_stop_health_answers(
    service: StartService, mode: str, kind: str
) -> None:
    served = service(mode)
    wait_until_quiet(served)
    log = LogMark(served)
    begun = {
        "silent": b"",
        "half-a-head": b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX-",
        "half-a-body": (
            b"POST /api/channels/half HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        ),
    }
    # A connection that has begun to speak holds a thread in threading mode, of which there are
    # fewer than a loop has room for connections.
    with contextlib.ExitStack() as stack:
        for _ in range(50 if mode == "threading" else 500):
            connection = stack.enter_context(contextlib.closing(HttpConnection(served.url)))
            connection.send(begun[kind])
        for _ in range(10):
            assert_healthy(served)
    assert_healthy(served)
    assert log.loud() == []
    assert not_json(served) == []


def test_a_frozen_peer_is_freed_at_its_ping_time_out(service: StartService, mode: str) -> None:
    """It answers no ping and keeps its connection open, as a suspended process does.

    Twice, because threads that serve requests are kept for later ones: if those of the first round
    are stuck, the second round needs new ones, and that shows.
    """
    peers = 6
    served = service(mode, PING_INTERVAL="1", PING_TIMEOUT="1")
    wait_until_quiet(served)
    log = LogMark(served)
    after_first = _freeze(served, log, peers)
    after_second = _freeze(served, log, peers)
    # Less than one thread for each frozen peer; a leak costs one at least.
    assert after_second < after_first + peers
    assert log.loud() == []
    assert not_json(served) == []


def _freeze(service: Service, log: LogMark, peers: int) -> int:
    """Freeze that many clients in each transport; the number of threads after they are gone."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(joined_websocket(service)) for _ in range(peers)]
        sessions = [stack.enter_context(joined_polling(service)) for _ in range(peers)]
        polls = [
            stack.enter_context(contextlib.closing(session.start_poll())) for session in sessions
        ]
        for client in (*sockets, *sessions):
            record = log.wait_for_end(client.session)
            assert (record["reason"], record["transport"]) == ("ping timeout", client.transport)
        ports = {connection.local_port for connection in (*sockets, *polls)}
        eventually(
            lambda: not ports & client_ports(service),
            what=lambda: f"the descriptors of {ports & client_ports(service)} are freed",
        )
        assert open_sessions(service) == 0
        return threads(service)


# ---------------------------------------------------------------------------------------------
# Requests that are not a session


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.9"])
def test_an_answer_has_the_version_that_the_service_speaks(served: Service, version: str) -> None:
    with contextlib.closing(HttpConnection(served.url)) as connection:
        connection.send(f"GET /health/live HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        assert connection.read_line(time.monotonic() + PATIENCE) == b"HTTP/1.1 200 OK"


CHUNKED = (
    b"POST %s HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)

# Chunked bodies that are none (RFC 9112, section 7.1), each up to where the client goes.
GARBLED = {
    "size-that-is-no-number": b"x\r\n",
    "size-with-a-sign": b"-1\r\n",
    "size-with-a-prefix": b"0x5\r\n[1,2]\r\n0\r\n\r\n",
    "no-size": b"\r\n",
    "endless-size": b"0" * 9000,
    "chunk-that-is-longer": b"3\r\n[1,2]\r\n0\r\n\r\n",
    "chunk-that-is-shorter": b"9\r\n[1,2]\r\n0\r\n\r\n",
    "extension-that-is-none": b"5;\x00\r\n[1,2]\r\n0\r\n\r\n",
    "trailer-without-a-colon": b"5\r\n[1,2]\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    "trailer-that-is-forbidden": b"5\r\n[1,2]\r\n0\r\nHost: x\r\n\r\n",
    "cut-before-its-first-chunk": b"",
    "cut-in-a-chunk": b"5\r\n[1",
    "cut-before-its-last-chunk": b"5\r\n[1,2]\r\n",
    "cut-in-its-trailers": b"5\r\n[1,2]\r\n0\r\nX: y\r\n",
}


@pytest.mark.parametrize("body", GARBLED.values(), ids=GARBLED)
def test_a_body_that_is_garbled_or_cut_off_is_refused_without_a_traceback(
    served: Service, body: bytes
) -> None:
    log = LogMark(served)
    with contextlib.closing(HttpConnection(served.url)) as connection:
        connection.send(CHUNKED % b"/api/channels/garbled" + body)
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.response().status == 400
        # Nobody knows where the next request would begin.
        assert connection.read_to_end(time.monotonic() + PATIENCE) == b""
    assert log.loud() == []
    assert not_json(served) == []


def test_packets_in_a_request_that_is_cut_off_are_not_taken_for_all_of_it(served: Service) -> None:
    with joined_polling(served) as polling:
        log = LogMark(served)
        whole = encode_event("heartbeat", {"sent_at": 1}, ack_id=9)
        with contextlib.closing(polling.start_post(whole, len(whole) + 1)) as post:
            post.socket.shutdown(socket.SHUT_WR)
            assert post.response().status == 400
        record = assert_ended_once(served, log, polling)
        assert (record["reason"], record["detail"]) == ("transport error", "a request ended early")


def test_packets_in_chunks_are_refused_and_not_acknowledged_unread(served: Service) -> None:
    with joined_polling(served) as polling:
        post = CHUNKED % polling.target.encode() + b"1\r\n3\r\n0\r\n\r\n"
        assert raw_request(served.url, post).status == 411
        assert polling.call("heartbeat", {"sent_at": 1})["ok"]


# Headers of a WebSocket's opening handshake, and how it is answered with them.
INCOMPLETE: dict[str, tuple[dict[str, str | None], int]] = {
    "no-key": ({"sec-websocket-key": None}, 400),
    "a-key-of-15-bytes": ({"sec-websocket-key": base64.b64encode(bytes(15)).decode()}, 400),
    "a-key-that-is-no-base64": ({"sec-websocket-key": "!" * 24}, 400),
    "no-version": ({"sec-websocket-version": None}, 426),
    "unknown-version": ({"sec-websocket-version": "7"}, 426),
    "neither": ({"sec-websocket-key": None, "sec-websocket-version": None}, 426),
    "no-host": ({"host": None}, 400),
    "no-upgrade": ({"upgrade": None}, 400),
    "another-upgrade": ({"upgrade": "h2c"}, 400),
    "no-connection": ({"connection": None}, 400),
    # What nginx makes of an upgrade if it is told of one of the headers only.
    "connection-that-closes": ({"connection": "close"}, 400),
}


@pytest.mark.parametrize("incomplete", INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_handshake_that_is_incomplete_is_refused_without_a_session(
    served: Service, incomplete: tuple[dict[str, str | None], int]
) -> None:
    headers, status = incomplete
    log = LogMark(served)
    response = raw_request(served.url, handshake(served.url, headers=headers))
    assert response.status == status
    assert open_sessions(served) == 0
    assert log.ended() == []
    assert not_json(served) == []
    assert [record for record in log.loud() if record["level"] != "warning"] == []


@pytest.mark.parametrize("incomplete", INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_upgrade_that_is_incomplete_leaves_its_session_on_polling(
    served: Service, incomplete: tuple[dict[str, str | None], int]
) -> None:
    headers, status = incomplete
    with joined_polling(served) as polling:
        upgrade = handshake(served.url, sid=polling.sid, headers=headers)
        assert raw_request(served.url, upgrade).status == status
        assert polling.call("heartbeat", {"sent_at": 1})["server_time"]


@pytest.mark.parametrize("sid", [None, "nobody"])
def test_an_upgrade_from_an_older_http_is_refused(served: Service, sid: str | None) -> None:
    request = handshake(served.url, sid=sid).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert raw_request(served.url, request).status == 400
    assert open_sessions(served) == 0


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
def test_a_request_without_a_host_is_refused_where_there_must_be_one(
    served: Service, version: str, status: int
) -> None:
    """RFC 9112, section 3.2."""
    request = f"GET /health/live HTTP/{version}\r\n\r\n".encode()
    assert raw_request(served.url, request).status == status


@pytest.mark.parametrize("transport", JOINED)
@pytest.mark.parametrize(
    "late", ["40", '42["heartbeat",{}]', '451-["a",{"_placeholder":true,"num":0}]', "41", "3", "1"]
)
def test_what_comes_after_the_close_in_one_piece_is_not_looked_at(
    served: Service, transport: str, late: str
) -> None:
    with JOINED[transport](served) as client:
        log = LogMark(served)
        if isinstance(client, PollingSession):
            client.post(PACKET_SEPARATOR.join(["1", late]))
        else:
            assert isinstance(client, RawWebSocket)
            client.send(frame(TEXT, b"1") + frame(TEXT, late.encode()))
        record = assert_ended_once(served, log, client)
        assert record["reason"] == "client disconnect"


def test_an_upgrade_of_an_unknown_session_is_refused(service: StartService, mode: str) -> None:
    served = service(mode)
    log = LogMark(served)
    with pytest.raises(HandshakeRefusedError) as refused:
        open_websocket(served.url, sid="nobodys-session-id")
    assert refused.value.response.status == 400
    assert log.loud() == []


def test_two_polls_at_once_are_both_answered_when_the_session_ends(served: Service) -> None:
    with joined_polling(served) as polling:
        log = LogMark(served)
        polls = [polling.start_poll(), polling.start_poll()]
        # The service may end the session for it, or may wait until the client does.
        assert polling.leave().status in (200, 400)
        for poll in polls:
            with contextlib.closing(poll):
                assert poll.response().status in (200, 400)
        assert_ended_once(served, log, polling)


# ---------------------------------------------------------------------------------------------
# Clients in the background


class _Flood:
    """A client that sends events as fast as it can, and comes back when it is cut off."""

    def __init__(self, service: Service) -> None:
        self.bursts = 0
        self._service = service
        self._stop = threading.Event()
        self._ws: RawWebSocket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        # Not the smallest of events, so that what the buffers hold at the end is soon worked off.
        event = encode_event("publish", {"channel": "flood", "data": "x" * 1000})
        burst = frame(TEXT, event.encode()) * 100
        while not self._stop.is_set():
            ended = (OSError, ConnectionEndedError, HandshakeRefusedError)
            with contextlib.suppress(*ended), joined_websocket(self._service) as self._ws:
                while not self._stop.is_set():
                    self._ws.send(burst)
                    self.bursts += 1

    def __enter__(self) -> _Flood:
        self._thread.start()
        eventually(lambda: self.bursts >= 20, "the flood has begun")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._ws is not None:
            # Wakes it up if it is waiting for the server to read.
            with contextlib.suppress(OSError):
                self._ws.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
