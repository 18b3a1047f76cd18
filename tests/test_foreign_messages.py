"""What is in the queue and nobody can read is skipped: nobody waits for it, and who misses it is told."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from baking import Bake
from observing import MODES
from ports import free_port
from production.realtime.emitter import Emitter
from production.realtime.queue import QueueManager
from production.realtime.redis_connection import connect, name
from queues import Valkey, running
from rawclient import RawWebSocket, decode_event, open_websocket
from scraping import scrape_until
from served import ServedProject, serve
from waiting import PATIENCE, eventually

SERVICE = "foreign"
TESTS = Path(__file__).parent
LAYER = TESTS.parent / "{{cookiecutter.project_slug}}"

PLACEHOLDER = '{{"_placeholder":true,"num":{}}}'

UNREADABLE: dict[str, list[Any]] = {
    "not-a-number": ["2[NaN]"],
    "infinity": ["2[1e400]"],
    "too-many-digits": [f"2[{'1' * 101}]"],
    "too-deep-to-send": ["2" + "[" * 200 + "]" * 200],
    "too-deep-to-read": ["2" + "[" * 480 + "]" * 480],
    "much-too-deep": ["2" + "[" * 50_000],
    "half-a-character": ['2["\\ud800"]'],
    "no-text-at-all": [b"\xff\xfe"],
    "empty": [""],
    "garbage": ["garbage"],
    "no-json": ["2[1"],
    "no-list": ["2{}"],
    "two-of-them": ["2[1,2]"],
    "another-type": ['4{"message":"no"}'],
    "attachments-that-are-missing": ['51-[{"_placeholder":true,"num":0}]'],
    "attachments-that-nobody-asked-for": ["2[1]", b"x"],
    "attachments-out-of-range": ['51-[{"_placeholder":true,"num":5}]', b"x"],
    "too-many-attachments": [
        f"511-[[{','.join(PLACEHOLDER.format(n) for n in range(11))}]]",
        *[b"x"] * 11,
    ],
}

NO_ENTRIES: dict[str, dict[Any, Any]] = {
    "other-fields": {"hello": "world"},
    "no-number": {"c": "bad", "e": "e", "t": 1, "0": "2[1]"},
    "a-wrong-number": {"c": "bad", "n": "one", "e": "e", "t": 1, "0": "2[1]"},
    "a-negative-number": {"c": "bad", "n": -3, "e": "e", "t": 1, "0": "2[1]"},
    "a-wrong-total": {"c": "bad", "n": 1, "e": "e", "t": "x", "0": "2[1]"},
    "bytes-for-names": {b"c": b"\xff", b"n": 1, b"e": b"\xff", b"t": 1, b"0": b"\xff"},
    "nothing": {"": ""},
}

EMIT = {"method": "emit", "event": "said", "data": [1], "namespace": "/"}
NO_MESSAGES: list[bytes] = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"\x80\x04\x95",  # the beginning of a pickle
    b"[" * 100_000,
    b"1" * 5000,
    b"null",
    b"7",
    b'"text"',
    b"[1]",
    b"{}",
    *(
        json.dumps(message).encode()
        for message in (
            {"method": ["emit"]},
            {"method": "unheard-of"},
            {"method": "emit"},
            {**EMIT, "event": None},
            {**EMIT, "event": "disconnect"},
            {**EMIT, "room": {"a": 1}},
            {**EMIT, "room": [["a"]]},
            {**EMIT, "namespace": 7},
            {**EMIT, "data": [float("nan")]},
            {**EMIT, "data": ["\ud800"]},
            {**EMIT, "data": [10**101]},
            {**EMIT, "binary": True, "data": 1},
            {**EMIT, "binary": True, "data": []},
            {**EMIT, "binary": True, "data": [[{"_placeholder": True, "num": 9}], "eA=="]},
            {**EMIT, "binary": True, "data": [[{"_placeholder": True, "num": 0}], "x"]},
            {
                **EMIT,
                "binary": True,
                "data": [[{"_placeholder": True, "num": n} for n in range(11)], *["eA=="] * 11],
            },
            {**EMIT, "callback": "me"},
            {"method": "callback"},
            {"method": "disconnect"},
            {"method": "enter_room", "sid": ["x"], "room": "a"},
            {"method": "leave_room", "sid": "x"},
            {"method": "close_room"},
            {"method": "canary", "sender": "x"},
            {"method": "notice"},
        )
    ),
]


class Service:
    """A service of two workers, on a queue into which others write as well.

    :param served: the service.
    :param queue: the queue.
    :param metrics_port: where it is measured.
    """

    def __init__(self, served: ServedProject, queue: Valkey, metrics_port: int) -> None:
        self.served = served
        self.queue = queue
        self.metrics_port = metrics_port

    @contextlib.contextmanager
    def on_each_worker(self) -> Iterator[list[RawWebSocket]]:
        """Connect one client to each worker."""
        with contextlib.ExitStack() as stack:
            clients: dict[str, RawWebSocket] = {}
            while len(clients) < 2:
                client = stack.enter_context(contextlib.closing(open_websocket(self.served.url)))
                client.connect_namespace()
                process = client.wait_for_event("connection_ack").args[0]["process"]
                clients.setdefault(process, client)
            yield list(clients.values())

    def put(self, channel: str, entries: list[list[Any]]) -> None:
        """Have updates numbered and kept that no door lets in."""
        command = [
            sys.executable,
            str(TESTS / "older_release.py"),
            self.queue.url,
            SERVICE,
            channel,
        ]
        environment = {**os.environ, "PYTHONPATH": str(LAYER)}
        subprocess.run(
            command, input=pickle.dumps(entries), env=environment, check=True, timeout=PATIENCE
        )

    def skipped(self) -> float:
        """Return how much was skipped."""
        return scrape_until(self.metrics_port, lambda _: True).total(
            "socketio_queue_malformed_total"
        )

    def warnings(self, event: str) -> list[dict[str, Any]]:
        """Return the log records that say something."""
        return [record for record in self.served.records() if record["event"] == event]


@pytest.fixture(scope="module", params=MODES)
def service(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Serve two workers."""
    directory = tmp_path_factory.mktemp("foreign")
    port = free_port()
    with running(directory) as queue:
        settings = {
            "ASYNC_MODE": request.param,
            "REDIS_URL": queue.url,
            "SERVICE_NAME": SERVICE,
            "WEB_CONCURRENCY": "2",
            "METRICS_BIND": f"127.0.0.1:{port}",
        }
        with serve(bake(), directory / "service.log", **settings) as served:
            yield Service(served, queue, port)
            assert not [record for record in served.records() if "exception" in record]
            assert not [record for record in served.records() if record["event"].endswith("lost")]


@pytest.fixture
def channel() -> str:
    """A channel of the test's own."""
    return f"c-{uuid.uuid4().hex[:8]}"


def test_updates_that_cannot_be_read_are_gaps_and_stop_nothing(
    service: Service, channel: str
) -> None:
    before = service.skipped()
    entries = [entry for bad in UNREADABLE.values() for entry in (['2["good"]'], bad)]
    bad_numbers = list(range(2, len(entries) + 1, 2))
    with service.on_each_worker() as clients:
        for client in clients:
            client.call("subscribe", {"channels": [channel, f"{channel}.other"]})
        service.put(channel, [*entries, ['2["last"]']])
        clients[0].call("publish", {"channel": f"{channel}.other", "data": "on"})
        for client in clients:
            for number in bad_numbers:
                gap = client.wait_for_event("gap").args[0]
                assert (gap["channel"], gap["from"], gap["to"]) == (channel, number, number)
            _receive(client, f"{channel}.other", "on")
            _receive(client, channel, "last")
            assert _data(client, channel) == ["good"] * len(bad_numbers) + ["last"]
    with service.on_each_worker() as clients:
        for client in clients:
            both = {channel: 0, f"{channel}.other": 0}
            answer = client.call("subscribe", {"channels": list(both), "after": both})
            assert answer["ok"], answer
            assert answer["replayed"] == {channel: len(bad_numbers) + 1, f"{channel}.other": 1}
            assert answer["gaps"][channel]["from"] == bad_numbers[0]
            assert [e.args[0]["from"] for e in client.events if e.name == "gap"] == bad_numbers
    assert service.skipped() >= before + 2 * len(bad_numbers)
    assert len(service.warnings("an update of a channel cannot be read")) <= 2


def test_entries_that_are_none_are_left_out(service: Service, channel: str) -> None:
    stream = name(SERVICE, "channels", "stream")
    with service.on_each_worker() as clients, connect(service.queue.url) as queue:
        for client in clients:
            client.call("subscribe", {"channels": [channel]})
        for number, fields in enumerate(NO_ENTRIES.values(), 1):
            queue.xadd(stream, fields)
            assert clients[0].call("publish", {"channel": channel, "data": number})["ok"]
        for client in clients:
            for number in range(1, len(NO_ENTRIES) + 1):
                assert client.wait_for_event("update").args[0]["data"] == number
        with contextlib.closing(open_websocket(service.served.url)) as late:
            late.connect_namespace()
            answer = late.call("subscribe", {"channels": [channel], "after": {channel: 0}})
            assert answer["replayed"] == {channel: len(NO_ENTRIES)}
            assert not answer["gaps"]
    assert len(service.warnings("an entry of the stream is no update")) <= 2


def test_messages_that_are_none_are_left_out(service: Service) -> None:
    topic = name(SERVICE, "events", url=service.queue.url)
    before = service.skipped()
    emitter = Emitter(service.queue.url, SERVICE)
    with service.on_each_worker() as clients, connect(service.queue.url) as queue:
        for number, message in enumerate(NO_MESSAGES):
            queue.publish(topic, message)
            emitter.emit("said", number)
        for client in clients:
            for number in range(len(NO_MESSAGES)):
                assert client.wait_for_event("said").args == [number], NO_MESSAGES[number - 1]
    eventually(lambda: service.skipped() >= before + 2 * len(NO_MESSAGES) - 4, "they are counted")
    assert len(service.warnings("a message of the queue cannot be read")) <= 2


def _receive(client: RawWebSocket, channel: str, data: Any) -> None:
    """Receive until something has come on a channel."""
    while data not in _data(client, channel):
        client.events.append(decode_event(client.wait_for_packet("42")))


def _data(client: RawWebSocket, channel: str) -> list[Any]:
    updates = [event.args[0] for event in client.events if event.name == "update"]
    return [update["data"] for update in updates if update["channel"] == channel]


def test_members_of_a_room_that_cannot_be_read_are_none(service: Service) -> None:
    presence = partial(name, SERVICE, "presence")
    with connect(service.queue.url) as queue:
        for number, written in enumerate((b"garbage", b"\xff", b"[" * 100_000, b"7", b"[[1]]")):
            queue.zadd(presence("workers"), {f"w{number}": 9e12})
            queue.hset(presence(f"w{number}"), '["/", "channel:there"]', written)
        queue.zadd(presence("workers"), {b"\xff": 9e12})
        manager = QueueManager(service.queue.url, service=SERVICE, backlog=1, backlog_seconds=1.0)
        try:
            assert manager.presence.members("channel:there") == set()
        finally:
            queue.zrem(presence("workers"), b"\xff", *(f"w{number}" for number in range(5)))
