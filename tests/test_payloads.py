"""What is accepted is what every receiver can read, through whichever door it came.

Payloads are drawn at random. Whatever is drawn is refused, or arrives equal at readers as strict as the
JavaScript client: at those who listen on each worker, and at one who resumes from 0 after each.

``PAYLOADS=20000 pytest tests/test_payloads.py`` draws so many; ``make test`` draws 300.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from socketio.packet import Packet

from baking import Bake
from npm import node_with, output_of
from payloads import announced_attachments, as_javascript, bodies, payloads, read_json
from payloads import read_packet as read_strictly
from production.realtime.emitter import Emitter
from production.realtime.sendable import Unsendable
from queues import running
from rawclient import ConnectionEndedError, RawWebSocket, Response, http, open_websocket
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
EXAMPLES = int(os.environ.get("PAYLOADS", "300"))
UPDATES_OF_A_CHANNEL = 20
OUTSIDE = ("post", "publish")
OWN = ("emit", "send", "ask", "answer")


class Reader:
    """A client that believes nothing: it ends the test where the JavaScript client ends its session.

    :param url: where the service is.
    """

    def __init__(self, url: str) -> None:
        self.socket: RawWebSocket = open_websocket(url)
        self.socket.connect_namespace()
        self.events: list[tuple[str, list[Any]]] = []
        self.process = self.socket.wait_for_event("connection_ack").args[0]["process"]
        self._asked = 0

    def event(self, name: str) -> list[Any]:
        """Return what the next event brings; any other is one too many."""
        while not self.events:
            self._receive()
        came, arguments = self.events.pop(0)
        assert came == name, (came, arguments)
        return arguments

    def ask(self, event: str, *arguments: Any) -> Any:
        """Send an event and return its acknowledgement."""
        return self.ask_in_text(json.dumps([event, *arguments]))

    def ask_in_text(self, text: str, attachments: tuple[bytes, ...] = ()) -> Any:
        """Send the text of an event, and what belongs to it; return the acknowledgement."""
        self._asked += 1
        kind = f"5{len(attachments)}-" if attachments else "2"
        self.socket.send_packet(f"4{kind}{self._asked}{text}")
        for attachment in attachments:
            self.socket.send_frame(2, attachment)
        while (answer := self._receive()) is None:
            pass
        return answer[0] if answer else None

    def _receive(self) -> list[Any] | None:
        """Read a packet; return what it brings if it is an acknowledgement."""
        packet = self.socket.receive_packet()
        assert isinstance(packet, str), packet
        assert packet.startswith("4"), packet
        text = packet[1:]
        attachments = [self.socket.receive_packet() for _ in range(announced_attachments(text))]
        assert all(isinstance(each, bytes) for each in attachments)
        data = read_strictly(text, attachments)  # type: ignore[arg-type]
        if text[0] in "36":
            return data
        self.events.append((data[0], data[1:]))
        return None


class Doors:
    """A service, those who listen to it, and all ways to send something through it.

    :param served: the service.
    :param workers: how many it has.
    :param queue_url: where its queue is, if it has one.
    """

    def __init__(self, served: ServedProject, workers: int, queue_url: str | None) -> None:
        self.served = served
        self.queue_url = queue_url
        self.emitter = Emitter(queue_url, "doors") if queue_url else None
        self._workers = workers
        self._examples = 0
        self.channel = ""
        self.published: list[Any] = []
        self.open()

    def open(self) -> None:
        """Connect everyone: a listener to each worker, one who is late, and one who sends."""
        self.listeners: dict[str, Reader] = {}
        while len(self.listeners) < self._workers:
            reader = Reader(self.served.url)
            if self.listeners.setdefault(reader.process, reader) is not reader:
                reader.socket.close()
        self.late = Reader(self.served.url)
        self.publisher = Reader(self.served.url)
        self._updates_left = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The ways that there are."""
        return (*OUTSIDE, *OWN, *(("emitter",) if self.emitter else ()))

    def close(self) -> None:
        """Let everyone leave."""
        for reader in (*self.listeners.values(), self.late, self.publisher):
            reader.socket.close()

    @contextlib.contextmanager
    def example(self) -> Iterator[None]:
        """Go on to another channel now and then, so that what is resumed stays short.

        An example that fails leaves nothing to the next one, which is a smaller one.
        """
        if not self._updates_left:
            self._examples += 1
            before = self.channel or "none"
            self.channel = f"c{self._examples}"
            self.published = []
            self._updates_left = UPDATES_OF_A_CHANNEL
            for listener in self.listeners.values():
                assert listener.ask("unsubscribe", {"channels": [before]})["ok"]
                assert listener.ask("subscribe", {"channels": [self.channel]})["ok"]
        self._updates_left -= 1
        try:
            yield
        except BaseException:
            self.close()
            self.open()
            raise

    def pass_through(self, door: str, payload: Any) -> None:
        """Send something in one of the ways."""
        {
            "post": self.post,
            "publish": self.publish,
            "answer": self.answer,
            "emitter": self.emit_from_outside,
        }.get(door, partial(self.say, door))(payload)

    def post(self, body: str) -> None:
        """POST a body to the channel."""
        answer = post_text(self.served.url, self.channel, body)
        assert answer.status in (202, 400), answer
        self._expect_update(
            lambda: read_json(body.removeprefix("\ufeff")), accepted=answer.status == 202
        )

    def publish(self, payload: Any) -> None:
        """Send the event by which clients publish, with whatever it may bring."""
        message, attachments = Packet.deconstruct_binary(
            ["publish", {"channel": self.channel, "data": payload}]
        )
        try:
            text = json.dumps(message)
        except ValueError:
            return
        accepted = False
        with contextlib.suppress(ConnectionEndedError, OSError):
            accepted = self.publisher.ask_in_text(text, tuple(attachments))["ok"]
        if not accepted:
            self.publisher.socket.close()
            self.publisher = Reader(self.served.url)
        head = f"5{len(attachments)}-" if attachments else "2"
        self._expect_update(
            lambda: read_strictly(head + text, attachments)[1]["data"], accepted=accepted
        )

    def say(self, way: str, payload: Any) -> None:
        """Have the app itself emit something to everyone, or to who has asked."""
        refused = self.publisher.ask("say", way, _pickled(payload))
        if refused:
            return
        assert self._argument(self.publisher, way) == as_javascript(payload)
        if way != "ask":
            for reader in (*self.listeners.values(), self.late):
                assert self._argument(reader, way) == as_javascript(payload)

    def answer(self, payload: Any) -> None:
        """Have the app acknowledge an event with something."""
        answer = self.publisher.ask("answer", _pickled(payload))
        assert answer == [as_javascript(payload)] or answer["error"]["code"] == "internal"

    def emit_from_outside(self, payload: Any) -> None:
        """Emit something from a process that serves nobody."""
        assert self.emitter
        try:
            self.emitter.emit("said", payload)
        except Unsendable:
            return
        for reader in (*self.listeners.values(), self.late, self.publisher):
            assert self._argument(reader, "emit") == as_javascript(payload)

    def _argument(self, reader: Reader, way: str) -> Any:
        (argument,) = reader.event("message" if way == "send" else "said") or [None]
        return argument

    def _expect_update(self, expected: Any, *, accepted: bool) -> None:
        """Expect what was published everywhere if it was accepted, and nothing new if not."""
        if accepted:
            self.published.append(expected())
            for listener in self.listeners.values():
                (update,) = listener.event("update")
                assert update["data"] == self.published[-1]
        seen = {"channels": [self.channel], "after": {self.channel: 0}}
        answer = self.late.ask("subscribe", seen)
        assert answer["ok"], answer
        assert not answer["gaps"]
        assert [arguments[0]["data"] for _, arguments in self.late.events] == self.published
        self.late.events.clear()
        self.late.ask("unsubscribe", {"channels": [self.channel]})


def _pickled(payload: Any) -> str:
    return base64.b64encode(pickle.dumps(payload)).decode()


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def doors(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    """Serve one worker without a queue, or two with one."""
    directory = tmp_path_factory.mktemp("doors")
    plenty = {
        "PYTHONPATH": str(APPS),
        "MAX_CHANNELS_PER_SESSION": "10000",
        "MAX_CHANNELS_PER_ADDRESS": "10000",
        "REPLAY_BYTES": "200000000",
    }
    queue_url = None
    with contextlib.ExitStack() as stack:
        if request.param > 1:
            queue = stack.enter_context(running(directory))
            plenty |= {"REDIS_URL": queue.url, "WEB_CONCURRENCY": "2", "SERVICE_NAME": "doors"}
            queue_url = queue.url
        log_path = directory / "service.log"
        served = stack.enter_context(serve(bake(), log_path, "saying:app", **plenty))
        yield stack.enter_context(contextlib.closing(Doors(served, request.param, queue_url)))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_whatever_is_drawn_is_refused_or_arrives_equal(doors: Doors, data: st.DataObject) -> None:
    door = data.draw(st.sampled_from(doors.names), "door")
    payload = data.draw(bodies if door == "post" else payloads, "payload")
    with doors.example():
        doors.pass_through(door, payload)


UNFIT = {
    "not-a-number": ("NaN", "not_json"),
    "infinity": ('{"a":-Infinity}', "not_json"),
    "an-infinity-in-disguise": ("[1e400]", "not_json"),
    "half-a-character": ('"\\ud800"', "not_unicode"),
    "half-a-character-as-a-key": ('{"\\udfff":1}', "not_unicode"),
    "an-integer-of-101-digits": ("1" * 101, "number"),
    "an-integer-that-changes": ("9007199254740993", "number"),
    "deep": ("[" * 480 + "]" * 480, "too_deep"),
    "large": (f'"{"x" * 999_950}"', "too_large"),
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
def test_what_a_client_may_not_publish_has_a_code(doors: Doors, unfit: tuple[str, str]) -> None:
    text, code = unfit
    answer = post_text(doors.served.url, "unfit", text)
    assert (answer.status, answer.json()["code"]) == (400, code)
    if len(text) < 900_000:
        event = f'["publish",{{"channel":"unfit","data":{text}}}]'
        try:
            answered = doors.publisher.ask_in_text(event)["error"]["code"]
        except ConnectionEndedError:
            # The packet is none: nobody can decode it, and the session of who has sent it ends.
            doors.publisher.socket.close()
            doors.publisher = Reader(doors.served.url)
            answered = "number"
        assert answered == code


def test_eleven_attachments_are_one_too_many(doors: Doors) -> None:
    placeholders = [{"_placeholder": True, "num": number} for number in range(11)]
    for number, code in ((10, None), (11, "attachments")):
        message = {"channel": "unfit", "data": placeholders[:number]}
        with contextlib.closing(open_websocket(doors.served.url)) as client:
            client.connect_namespace()
            client.send_packet(f"45{number}-1{json.dumps(['publish', message])}")
            for _ in range(number):
                client.send_frame(2, b"x")
            if code is None:
                assert '"ok":true' in client.wait_for_packet("431")
            else:
                client.until_closed()
    # One attachment in eleven places is eleven attachments for those who watch.
    repeated = {"channel": "unfit", "data": placeholders[:1] * 11}
    answer = doors.publisher.ask_in_text(json.dumps(["publish", repeated]), (b"x",))
    assert answer["error"]["code"] == "attachments"


def test_a_request_that_is_nested_without_an_end_is_the_clients_fault(doors: Doors) -> None:
    answer = post_text(doors.served.url, "unfit", "[" * 200_000)
    assert (answer.status, answer.json()["code"]) == (400, "too_deep")


def test_the_app_hears_of_its_own_fault_at_the_call(doors: Doors) -> None:
    fault = doors.publisher.ask("say", "emit", _pickled({"a": float("nan")}))
    assert fault.startswith("The event 'said' cannot be sent: ")
    fault = doors.publisher.ask("say", "emit", _pickled([b"", {"_placeholder": True, "num": 0}]))
    assert fault.startswith("The event 'said' cannot be sent: beside bytes")
    fault = doors.publisher.ask("say", "send", _pickled([b"x"] * 11))
    assert fault.startswith("The event 'message' cannot be sent: it has 11 attachments")


def test_an_acknowledgement_that_cannot_be_sent_is_an_error_and_one_record(
    bake: Bake, tmp_path: Path
) -> None:
    # Of a service of its own: the log leaves out what the examples have caused too often.
    with (
        serve(bake(), tmp_path / "log", "saying:app", PYTHONPATH=str(APPS)) as served,
        open_websocket(served.url) as client,
    ):
        client.connect_namespace()
        answer = client.call("answer", _pickled({1, 2}))
        assert answer["error"]["code"] == "internal"
        request_id = answer["error"]["request_id"]

        def errors() -> list[dict[str, Any]]:
            told = [each for each in served.records() if each.get("request_id") == request_id]
            return [each for each in told if each["level"] == "error"]

        (record,) = eventually(errors, served.log_text)
        assert (record["event"], record["event_name"]) == ("event handler failed", "answer")
        assert "not JSON serializable" in record["exception"]


def test_a_command_that_emits_says_what_is_wrong(doors: Doors, bake: Bake) -> None:
    if doors.queue_url is None:
        return
    settings_of_it = {"REDIS_URL": doors.queue_url, "SERVICE_NAME": "doors"}
    for arguments, sentence in (
        (["said", "NaN"], "The event 'said' cannot be sent"),
        (["said", '"\\ud800"'], "half of a surrogate pair"),
        (["said", "[" * 20_000], "is no JSON"),
        (["disconnect", "1"], "clients keep this name"),
    ):
        finished = subprocess.run(
            [sys.executable, "-m", "production.emit", *arguments],
            cwd=bake().path,
            env={**os.environ, **settings_of_it},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert finished.returncode
        assert sentence in finished.stderr
        assert "Traceback" not in finished.stderr


def nested(depth: int) -> Any:
    """Return so many arrays within each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HARDEST: list[Any] = [
    [b"x"] * 10,
    {"a": [b"", {"b": b"\x00\xff"}], "c": None},
    {"_placeholder": True, "num": 7},
    {"__proto__": 1, "": 2, "length": 3},
    '😀 \x00 \x1e \u2028 \ufeff \uffff \\ud800 "',
    [-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**53, 2**60, -1],
    nested(99),
    "é" * 400_000,
]


def test_the_official_client_reads_the_hardest_of_what_is_accepted(
    doors: Doors, requires: Callable[[str], str]
) -> None:
    for number, payload in enumerate(HARDEST, 1):
        for text, _ in UNFIT.values():
            assert post_text(doors.served.url, "hardest", text).status == 400
        message, attachments = Packet.deconstruct_binary([{"channel": "hardest", "data": payload}])
        event = json.dumps(["publish", *message], ensure_ascii=False)
        assert doors.publisher.ask_in_text(event, tuple(attachments))["sequence"] == number
    node = node_with("socket.io-client", requires)
    arguments = (doors.served.url, "hardest", str(len(HARDEST)))
    # A line of JSON may hold what Python takes for the end of one.
    *lines, connections = output_of(node, "watching.mjs", *arguments).strip().split("\n")
    assert connections == "1"
    assert [as_javascript(json.loads(line)) for line in lines] == [
        as_javascript(_with_bytes_spelled_out(payload)) for payload in HARDEST
    ]


def post_text(url: str, channel: str, text: str) -> Response:
    """POST something that may be no JSON."""
    return http(
        "POST",
        f"{url}/api/channels/{channel}",
        text.encode("utf-8", "surrogatepass"),
        headers={"Content-Type": "application/json"},
    )


def _with_bytes_spelled_out(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return [_with_bytes_spelled_out(each) for each in value]
    if isinstance(value, dict):
        return {key: _with_bytes_spelled_out(each) for key, each in value.items()}
    return value
