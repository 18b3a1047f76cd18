"""What the Socket.IO protocol, revision 5, asks of a server.

https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from rawclient import RawWebSocket, open_websocket
from served import ServedProject


def text(ws: RawWebSocket) -> str:
    """Return the next packet, which is no attachment."""
    packet = ws.receive_packet()
    assert isinstance(packet, str)
    return packet


def joined(url: str, namespace: str = "") -> RawWebSocket:
    """Open a WebSocket that has joined a namespace and heard what its connect handler says."""
    ws = open_websocket(url)
    ws.send_text(f"40{namespace}")
    assert text(ws).startswith(f"40{namespace}")
    assert ws.receive_packet() == f'42{namespace}["auth",{{}}]'
    return ws


# Connection to a namespace


@pytest.mark.parametrize("namespace", ["", "/custom,"])
@pytest.mark.parametrize("auth", [{}, {"token": "123"}], ids=["anonymous", "with a token"])
def test_connect_comes_before_what_its_handler_emits(
    echo: ServedProject, namespace: str, auth: dict[str, Any]
) -> None:
    with open_websocket(echo.url) as ws:
        ws.send_text(f"40{namespace}{json.dumps(auth) if auth else ''}")
        accepted = text(ws)
        assert accepted.startswith(f"40{namespace}{{")
        assert set(json.loads(accepted[len(f"40{namespace}") :])) == {"sid"}
        assert ws.receive_packet() == f"42{namespace}" + json.dumps(
            ["auth", auth], separators=(",", ":")
        )


def test_an_unknown_namespace_is_refused_with_a_message(echo: ServedProject) -> None:
    with open_websocket(echo.url) as ws:
        ws.send_text("40/random")
        assert ws.receive_packet() == '44/random,{"message":"Invalid namespace"}'


def test_a_refused_client_hears_nothing_else(echo: ServedProject) -> None:
    with joined(echo.url, "/custom,") as ws:
        ws.send_text('40{"refuse":true}')
        assert ws.receive_packet() == '44{"message":"not today"}'
        ws.send_text('42/custom,["message","hello"]')
        assert ws.receive_packet() == '42/custom,["message-back","hello"]'


@pytest.mark.parametrize("packet", ["4abc", "4", "49", "44", "42", '42["message"]'])
def test_what_is_no_connect_ends_the_session(echo: ServedProject, packet: str) -> None:
    with open_websocket(echo.url) as ws:
        ws.send_text(packet)
        if packet == '42["message"]':
            # An event for a namespace that was not joined: dropped, as the session may join it yet.
            ws.send_text("40")
            assert text(ws).startswith("40")
        else:
            ws.until_closed()


# Disconnection from a namespace


def test_who_leaves_the_main_namespace_keeps_the_session(echo: ServedProject) -> None:
    with joined(echo.url) as ws:
        ws.send_text("41")
        assert ws.receive().text == "2"


def test_who_leaves_one_namespace_stays_in_the_other(echo: ServedProject) -> None:
    with joined(echo.url) as ws:
        ws.send_text("40/custom")
        assert text(ws).startswith("40/custom,")
        assert ws.receive_packet() == '42/custom,["auth",{}]'
        ws.send_text("41/custom")
        ws.send_text('42["message","message to main namespace"]')
        assert ws.receive_packet() == '42["message-back","message to main namespace"]'


# Events and acknowledgements

PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


def test_an_event_has_arguments(echo: ServedProject) -> None:
    with joined(echo.url) as ws:
        ws.send_text('42["message",1,"2",{"3":[true]}]')
        assert ws.receive_packet() == '42["message-back",1,"2",{"3":[true]}]'
        ws.send_text('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert ws.receive_packet() == '43456[1,"2",{"3":[false]}]'


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (f'452-["message",{PLACEHOLDERS}]', f'452-["message-back",{PLACEHOLDERS}]'),
        (f'452-789["message-with-ack",{PLACEHOLDERS}]', f"462-789[{PLACEHOLDERS}]"),
    ],
    ids=["event", "acknowledgement"],
)
def test_bytes_follow_their_event(echo: ServedProject, sent: str, back: str) -> None:
    with joined(echo.url) as ws:
        ws.send_text(sent)
        ws.send_binary(b"\1\2\3")
        ws.send_binary(b"\4\5\6")
        received = [ws.receive_packet() for _ in range(3)]
        assert received == [back, b"\1\2\3", b"\4\5\6"]


@pytest.mark.parametrize(
    "packet", ["4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]']
)
def test_what_is_no_event_ends_the_session(echo: ServedProject, packet: str) -> None:
    with joined(echo.url) as ws:
        ws.send_text(packet)
        ws.until_closed()


# Calls of a client


@pytest.mark.parametrize(
    ("answer", "returned"),
    [("[]", "[]"), ('["fine"]', '["fine"]'), ('["fine",1]', '["fine",1]')],
)
def test_a_handler_may_ask_any_client(echo: ServedProject, answer: str, returned: str) -> None:
    # In several workers, so that one of them asks a client of another.
    clients = [open_websocket(echo.url) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
            client.connect_namespace()
            client.wait_for_event("auth")
        for asker in clients:
            for asked in clients:
                asker.send_text(f'427["ask","{asked.session}"]')
                question = text(asked)
                assert question.endswith('["question","how","are you?"]')
                number = question[2 : question.index("[")]
                asked.send_text(f"43{number}{answer}")
                assert text(asker) == f"437{returned}"
