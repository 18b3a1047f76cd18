"""All of Flask-SocketIO's interface on stock and with the layer: the same, or a row of docs/differences.md."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import flask_socketio
import pytest
from flask_socketio import Namespace, SocketIO

from baking import ASYNC_MODES, Bake, clean_environment
from ports import free_port
from rawclient import ConnectionEndedError, RawWebSocket, http, open_websocket
from served import serve
from waiting import eventually

APPS = Path(__file__).parent / "apps"
PAGE = Path(__file__).parent.parent / "docs/differences.md"

Script = list[tuple[str, str]]

LEFT = "41"
"""What the server says to who is out of the default namespace, and is not answered there any more."""

UNANSWERED = 1.0
"""Seconds after which an event is one that is not answered at all."""

# What is sent, in this order, by which of two clients; ME and OTHER stand for their session ids.
DO = '421["do",%s]'

ACTIONS = [
    *("rooms", "emit", "emit several", "emit broadcast", "emit include_self", "emit namespace"),
    *("emit callback", "emit bytes", "emit ignore_queue", "socketio.emit"),
    *("socketio.emit arguments", "socketio.emit include_self", "socketio.emit callback"),
    *("send", "send json", "send broadcast", "send callback", "socketio.send"),
    *("socketio.send json", "socketio.send include_self", "call", "call ignore_queue"),
    *("call time-out", "socketio.call", "leave_room", "close_room", "join None", "answer NaN"),
    *("emit NaN", "emit object", "fail", "background", "session", "event", "transport"),
]

CASES: dict[str, Script] = {
    **{name: [("me", DO % json.dumps(name))] for name in ACTIONS},
    "join and emit": [("me", DO % '"join and emit","OTHER"')],
    "answer": [("me", DO % '"answer",1,"two",[3]')],
    "answer nothing": [("me", DO % '"nothing"')],
    "disconnect": [("me", '42["do","disconnect"]'), ("other", DO % '"heard","ME"')],
    "disconnect other": [
        ("me", '42["do","disconnect other","OTHER"]'),
        ("me", DO % '"heard","OTHER"'),
    ],
    "client leaves": [("me", "41"), ("other", DO % '"heard","ME"')],
    **{
        f"{name} and its answer": [("me", DO % json.dumps(name)), ("me", DO % '"heard","ME"')]
        for name in (
            "emit callback",
            "socketio.emit callback",
            "send callback",
            "socketio.send json",
        )
    },
    "on_event": [("me", '421["by on_event",1,2]')],
    "by event": [("me", '421["by_event",1,2]')],
    "on a message": [("me", '421["message","x"]')],
    "on json": [("me", '421["json",{"a":1}]')],
    "on any event": [("me", '421["never heard of",1]')],
    "namespace connect": [("me", '40/chat,{"token": 2}')],
    "namespace say": [("other", "40/chat,"), ("me", "40/chat,"), ("me", '42/chat,1["say","x"]')],
    "namespace ask": [("me", "40/chat,"), ("me", '42/chat,1["ask"]')],
    "namespace close_room": [("me", "40/chat,"), ("me", '42/chat,1["close"]')],
    "namespace fail": [("me", "40/chat,"), ("me", '42/chat,1["fail"]')],
    "namespace without a handler": [("me", "40/chat,"), ("me", '42/chat,1["unknown"]')],
    "refused": [("me", "40/refused,")],
    "refused by value": [("me", "40/false,")],
    "refused by the system": [("me", "40/system,")],
    "refused as unknown": [("me", "40/unknown,")],
    "connect without arguments": [("me", "40/type,")],
    "on_error": [("me", "40/handled,"), ("me", '42/handled,1["fail"]')],
    "twice in a namespace": [("me", "40")],
    "a poor packet": [("me", "42[1")],
}

COVERED = {
    "SocketIO": {
        "__init__": {"app": "by event", "kwargs": "by event"},
        "init_app": {"app": "by event", "kwargs": "by event"},
        "on": {"message": "on a message", "namespace": "refused"},
        "on_error": {"namespace": "on_error"},
        "on_error_default": {"exception_handler": "fail"},
        "on_event": {"message": "on_event", "handler": "on_event", "namespace": "on_event"},
        "event": {"args": "by event", "kwargs": "by event"},
        "on_namespace": {"namespace_handler": "namespace connect"},
        "emit": {
            "event": "socketio.emit",
            "args": "socketio.emit arguments",
            "kwargs": "socketio.emit callback",
        },
        "call": {"event": "socketio.call", "args": "socketio.call", "kwargs": "socketio.call"},
        "send": {
            "data": "socketio.send",
            "json": "socketio.send json",
            "namespace": "socketio.send",
            "to": "socketio.send",
            "callback": "socketio.send json",
            "include_self": "socketio.send include_self",
            "skip_sid": "socketio.send",
            "kwargs": "socketio.send",
        },
        "close_room": {"room": "close_room", "namespace": "close_room"},
        "run": {"app": "run", "host": "run", "port": "run", "kwargs": "run"},
        "stop": {},
        "start_background_task": {
            "target": "background",
            "args": "background",
            "kwargs": "background",
        },
        "sleep": {"seconds": "background"},
        "test_client": dict.fromkeys(
            ("app", "namespace", "query_string", "headers", "auth", "flask_test_client"),
            "test_client",
        ),
    },
    "Namespace": {
        "trigger_event": {"event": "namespace say", "args": "namespace say"},
        "emit": {"event": "namespace connect"},
        "send": {"data": "namespace say"},
        "close_room": {"room": "namespace close_room"},
    },
    "flask_socketio": {
        "emit": {"event": "emit", "args": "emit", "kwargs": "emit broadcast"},
        "call": {"event": "call", "args": "call", "kwargs": "call"},
        "send": {"message": "send", "kwargs": "send json"},
        "join_room": {
            "room": "join and emit",
            "sid": "join and emit",
            "namespace": "join and emit",
        },
        "leave_room": dict.fromkeys(("room", "sid", "namespace"), "leave_room"),
        "close_room": {"room": "close_room", "namespace": "close_room"},
        "rooms": {"sid": "rooms", "namespace": "rooms"},
        "disconnect": dict.fromkeys(("sid", "namespace", "silent"), "disconnect other"),
    },
}


def normalised(packet: str | bytes, ids: dict[str, str]) -> str:
    """Write a packet without what differs from run to run."""
    text = packet.hex() if isinstance(packet, bytes) else packet
    for sid, name in ids.items():
        text = text.replace(sid, name)
    text = re.sub(r'"request_id":"\w+"', '"request_id":"..."', text)
    text = re.sub(r'"sid":"[^"]+"', '"sid":"..."', text)
    text = re.sub(r"\\u([0-9a-f]{4})", lambda escaped: chr(int(escaped[1], 16)), text)
    # Which number the server gives an acknowledgement is its business.
    return re.sub(r"^(42(?:/\w+,)?)\d+\[", r"\1N[", text)


def conversation(url: str, script: Script) -> list[str]:
    """Return what two clients receive, the first one's packets before the second one's."""
    with open_websocket(f"{url}") as me, open_websocket(url) as other:
        ids = {}
        for client, name in ((me, "ME"), (other, "OTHER")):
            ids[name] = join(client)
        names = {sid: name for name, sid in ids.items()}
        for who, packet in script:
            sender = me if who == "me" else other
            sender.send_text(re.sub("ME|OTHER", lambda name: ids[name[0]], packet))
            # Of what comes first, only that it is done.
            received = [f"{who} hears: {each}" for each in until_answered(sender, packet, names)]
        received += [f"other hears: {each}" for each in until_marked(other, names)]
    return received


def join(client: RawWebSocket) -> str:
    """Join the default namespace and return the session id; stock emits before it says that one has."""
    client.send_text('40{"token": 1}')
    first_two = [str(client.receive_packet()) for _ in range(2)]
    [connect] = [packet for packet in first_two if packet.startswith("40{")]
    return str(json.loads(connect[2:])["sid"])


def until_answered(client: RawWebSocket, sent: str, names: dict[str, str]) -> list[str]:
    """Return what a client receives until what it has sent is answered, or its session ends."""
    received: list[str] = []
    awaited = awaited_after(sent)
    if awaited is None:
        return until_marked(client, names)
    with contextlib.suppress(OSError, ConnectionEndedError):
        while not (received and re.match(awaited, received[-1])):
            packet = client.receive_packet(UNANSWERED)
            received.append(normalised(packet, names))
            answer_if_asked(client, packet)
    return received


def awaited_after(sent: str) -> str | None:
    """Return what the answer to a packet begins with; nothing if there is none to wait for."""
    if sent.startswith("41") or '"disconnect"' in sent:
        return r"41"
    if sent.startswith("40"):
        namespace = sent.partition(",")[0][2:]
        return rf"4[04]{namespace}"
    if "background" in sent:
        return r'42N?\["background"'
    acknowledged = re.match(r"42(/\w+,)?1\[", sent)
    return rf"43{acknowledged[1] or ''}1\[" if acknowledged else None


def until_marked(client: RawWebSocket, names: dict[str, str]) -> list[str]:
    """Return what is there for a client before an answer to what it asks now."""
    received = []
    try:
        client.send_text('42999["do","nothing"]')
        while (packet := client.receive_packet()) != "43999[]":
            received.append(normalised(packet, names))
            answer_if_asked(client, packet)
            if packet == LEFT:
                break
    except (OSError, ConnectionEndedError):
        received.append("(the session ended)")
    return received


def answer_if_asked(client: RawWebSocket, packet: str | bytes) -> None:
    """Acknowledge what the server wants to have acknowledged."""
    asked = isinstance(packet, str) and re.match(r"42(/\w+,)?(\d+)\[", packet)
    if asked and '"silent"' not in packet:
        client.send_text(f'43{asked[1] or ""}{asked[2]}["an answer"]')


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Stock Flask-SocketIO on its development server."""
    port = free_port()
    log = tmp_path_factory.mktemp("stock") / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "on_stock.py", str(port)],
            cwd=APPS,
            env=clean_environment(),
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return http("GET", f"{url}/health/live").status == 200
        return False

    try:
        eventually(answers, log.read_text)
        yield url
    finally:
        server.terminate()
        server.wait()


def rows() -> dict[str, str]:
    """Return the cases that the page names as different, and its reasons."""
    cells = [
        line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("| `")
    ]
    return {
        case.strip(): reason
        for names, *_, reason in cells
        for case in re.findall(r"`([^`]+)`", names)
    }


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_each_is_the_same_or_a_row_of_the_page(
    bake: Bake, tmp_path: Path, stock: str, mode: str
) -> None:
    different = {}
    settings = {"ASYNC_MODE": mode, "PYTHONPATH": str(APPS)}
    with serve(bake(), tmp_path / "layer.log", "on_layer:app", **settings) as served:
        for case, script in CASES.items():
            on_stock, here = conversation(stock, script), conversation(served.url, script)
            if on_stock != here:
                different[case] = (on_stock, here)
    assert set(different) == set(rows()), different


def test_nothing_of_the_interface_is_left_out() -> None:
    owners = {"SocketIO": SocketIO, "Namespace": Namespace, "flask_socketio": flask_socketio}
    for owner, covered in COVERED.items():
        public = {
            name: function
            for name, function in vars(owners[owner]).items()
            if inspect.isfunction(function)
            and (not name.startswith("_") or name == "__init__")
            and (owner != "flask_socketio" or function.__module__ == "flask_socketio")
        }
        if owner == "Namespace":
            public.pop("__init__")
        assert set(public) == set(covered), owner
        for name, function in public.items():
            parameters = set(inspect.signature(function).parameters) - {"self"}
            if owner != "Namespace":
                assert parameters == set(covered[name]), name
            assert set(covered[name].values()) <= {*CASES, "run", "test_client"}
