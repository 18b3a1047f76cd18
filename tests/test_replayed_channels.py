"""Channels lose nothing and repeat nothing, whoever is killed: checked message by message."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baking import Bake
from following import (
    Publisher,
    Watcher,
    all_have,
    connect,
    expect_everything,
    post,
    subscribe,
    taken,
    watching,
)
from observing import MODES, not_json, worker
from outages import one_outage
from queues import Valkey, running
from rawclient import RawWebSocket, SocketIOClient, encode_event
from served import ServedProject, serve
from waiting import PATIENCE, eventually

TRANSPORTS = ("websocket", "polling")


@dataclass(frozen=True)
class Pair:
    """Two processes of one service, on one queue.

    :param services: both.
    :param queue: the queue.
    :param mode: the async mode.
    """

    services: tuple[ServedProject, ServedProject]
    queue: Valkey
    mode: str

    @property
    def urls(self) -> list[str]:
        """Where they are."""
        return [service.url for service in self.services]


@pytest.fixture(scope="module", params=MODES)
def pair(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Serve one service twice in each mode, on a queue that survives its own death."""
    directory = tmp_path_factory.mktemp("pair")
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(
            running(directory, "--appendonly", "yes", "--appendfsync", "always")
        )
        settings = {"REDIS_URL": queue.url, "SERVICE_NAME": "pair", "ASYNC_MODE": request.param}
        first, second = (
            stack.enter_context(serve(bake(), directory / f"{name}.log", **settings))
            for name in ("first", "second")
        )
        yield Pair((first, second), queue, request.param)
        for service in (first, second):
            assert not not_json(service)
            assert not [record for record in service.records() if "exception" in record]


@pytest.fixture(autouse=True)
def repaired(pair: Pair) -> Iterator[None]:
    """Repair after each test what it did to the queue."""
    yield
    pair.queue.repair()
    for service in pair.services:
        service.wait_until_ready()


@pytest.fixture
def channel() -> str:
    """A channel of the test's own."""
    return f"c-{uuid.uuid4().hex[:8]}"


def accepted_answer(client: SocketIOClient, message: dict[str, Any]) -> dict[str, Any] | None:
    """Publish; return the acknowledgement if it was accepted."""
    answer: dict[str, Any] = client.call("publish", message)
    return answer if answer["ok"] else None


def test_a_refresh_storm_while_others_publish(pair: Pair, channel: str) -> None:
    publisher = Publisher(pair.urls, channel, 250)
    chance = random.Random(7)
    with watching(pair.urls, channel, TRANSPORTS * 5) as watchers:
        publisher.start()
        while publisher.is_alive():
            chance.choice(watchers).refresh()
            publisher.join(0.05)
        expect_everything(watchers, 250)
    assert sum(watcher.sessions for watcher in watchers) > 2 * len(watchers)
    assert publisher.confirmed == {number: number for number in range(1, 251)}


def test_processes_that_are_killed(pair: Pair, channel: str) -> None:
    publisher = Publisher(pair.urls, channel, 150)
    with watching(pair.urls, channel, TRANSPORTS * 3) as watchers:
        publisher.start()
        for service, count in zip(pair.services, (30, 90), strict=True):
            eventually(all_have(watchers, count))
            worker(service).kill()
        publisher.join(PATIENCE)
        expect_everything(watchers, 150)
    for service in pair.services:
        service.wait_until_ready()


def test_a_queue_that_is_killed_and_comes_back(pair: Pair, channel: str) -> None:
    publisher = Publisher(pair.urls, channel, 150)
    with one_outage(*pair.services), watching(pair.urls, channel, TRANSPORTS * 3) as watchers:
        publisher.start()
        eventually(all_have(watchers, 30))
        pair.queue.kill()
        for watcher in watchers[:2]:
            watcher.refresh()
        declined = post(pair.urls[0], f"{channel}.other", 1)
        pair.queue.start()
        publisher.join(PATIENCE)
        expect_everything(watchers, 150)
    assert declined.status == 503


def test_what_is_declined_during_an_outage_is_published_once_when_it_is_tried_again(
    pair: Pair, channel: str
) -> None:
    message = {"channel": channel, "data": "once", "id": uuid.uuid4().hex}
    headers_id = uuid.uuid4().hex
    with contextlib.closing(connect(pair.urls[0], "websocket")) as client:
        pair.queue.kill()
        declined = client.call("publish", message)
        assert (declined["ok"], declined["error"]["code"]) == (False, "unavailable")
        assert declined["error"]["request_id"]
        refused = post(pair.urls[1], channel, 2, headers_id)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["status"] == 503
        assert client.call("heartbeat", {"sent_at": 1.0})["ok"]

        pair.queue.start()
        accepted = eventually(
            lambda: accepted_answer(client, message),
        )
        assert accepted
        assert accepted["sequence"] == client.call("publish", message)["sequence"] == 1
        for _ in range(2):
            assert post(pair.urls[1], channel, 2, headers_id).json()["sequence"] == 2
        answer = subscribe(client, channel, 0)
        assert answer["replayed"] == {channel: 2}
        assert [update["data"] for update in taken(client)] == ["once", 2]


def test_a_frozen_queue_stops_nobody_but_who_publishes(pair: Pair, channel: str) -> None:
    message = {"channel": channel, "data": 1, "id": uuid.uuid4().hex}
    with contextlib.closing(connect(pair.urls[0], "websocket")) as client:
        assert subscribe(client, channel, 0)["ok"]
        pair.queue.freeze()
        client.emit("publish", message, ack_id=99)
        client.emit("heartbeat", {"sent_at": 1.0}, ack_id=100)
        first, second = client.wait_for_packet("43"), client.wait_for_packet("43")
        assert {first[:5], second[:5]} == {"4399[", "43100"}
        # In threading mode the events of one session are handled one after the other.
        assert first.startswith("43100[") or pair.mode == "threading"
        pair.queue.thaw()
        answer = eventually(
            lambda: accepted_answer(client, message),
        )
        assert answer
        assert answer["sequence"] == 1
        assert client.wait_for_event("update").args[0]["sequence"] == 1


def test_hundreds_of_subscriptions_race_with_a_burst(pair: Pair, channel: str) -> None:
    count = 600
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(contextlib.closing(connect(url, transport)))
            for url in pair.urls
            for transport in TRANSPORTS
        ]
        sources = [
            stack.enter_context(contextlib.closing(connect(url, "websocket"))) for url in pair.urls
        ]
        received: dict[Any, list[int]] = {client: [] for client in clients}
        subscribed = 0

        def turn(client: Any) -> None:
            """Leave the channel, drop nothing, and come back for what follows."""
            nonlocal subscribed
            last = received[client][-1] if received[client] else 0
            answer = subscribe(client, channel, last)
            assert answer["ok"], answer
            assert not answer["gaps"]
            subscribed += 1
            left = client.call("unsubscribe", {"channels": [channel]})
            assert left == {"ok": True, "channels": []}
            received[client] += [update["sequence"] for update in taken(client)]

        for start in range(0, count, 20):
            for number in range(start, start + 20):
                message = {"channel": channel, "data": number}
                sources[number % 2].send_packet(encode_event("publish", message))
            for client in clients:
                turn(client)
        deadline = time.monotonic() + PATIENCE
        for client in clients:
            while len(received[client]) < count and time.monotonic() < deadline:
                turn(client)
        assert subscribed >= 120
        for sequences in received.values():
            assert sequences == list(range(1, count + 1))


def test_more_than_a_client_may_have_waiting_is_replayed_as_fast_as_it_reads(
    pair: Pair, channel: str
) -> None:
    count = 1500
    with contextlib.closing(connect(pair.urls[0], "websocket")) as source:
        for number in range(count):
            source.send_packet(encode_event("publish", {"channel": channel, "data": "x" * 2000}))
            if number % 90 == 89:
                source.call("heartbeat", {"sent_at": 1.0})
        sent = {"channel": channel, "data": "last"}
        eventually(lambda: source.call("publish", sent)["sequence"] > count)
    for transport in TRANSPORTS:
        with contextlib.closing(connect(pair.urls[1], transport)) as client:
            answer = subscribe(client, channel, 0)
            replayed = answer["replayed"][channel]
            assert [update["sequence"] for update in taken(client)] == [*range(1, replayed + 1)]
            assert answer["sequences"] == {channel: replayed}
            assert replayed > count


def cut_reader(queue: Valkey, service: ServedProject) -> None:
    """Cut the connection over which a process reads the stream: it is behind until it is back."""
    ports = {connection.laddr.port for connection in worker(service).net_connections("tcp")}
    for client in queue.client.client_list():
        if client["cmd"] == "xread" and int(client["addr"].rpartition(":")[2]) in ports:
            queue.client.client_kill_filter(_id=client["id"])


def test_a_client_that_was_ahead_of_the_process_it_comes_to_is_sent_nothing_twice(
    pair: Pair, channel: str
) -> None:
    with (
        contextlib.closing(connect(pair.urls[0], "websocket")) as first,
        contextlib.closing(connect(pair.urls[1], "websocket")) as second,
    ):
        for number in range(1, 21):
            cut_reader(pair.queue, pair.services[1])
            sequence = first.call("publish", {"channel": channel, "data": number})["sequence"]
            answer = subscribe(second, channel, sequence)
            assert (answer["replayed"], answer["gaps"]) == ({channel: 0}, {})
            second.call("unsubscribe", {"channels": [channel]})
        assert not taken(second)


def test_bytes_come_back_as_bytes(pair: Pair, channel: str) -> None:
    with contextlib.closing(connect(pair.urls[0], "websocket")) as client:
        client.send_packet(
            f'451-["publish",{{"channel":"{channel}","data":{{"_placeholder":true,"num":0}}}}]'
        )
        assert isinstance(client, RawWebSocket)
        client.send_binary(b"\x00\xff")
        with contextlib.closing(connect(pair.urls[1], "websocket")) as other:
            eventually(lambda: subscribe(other, channel, 0)["sequences"][channel] == 1)
    with contextlib.closing(connect(pair.urls[1], "websocket")) as other:
        other.emit("subscribe", {"channels": [channel], "after": {channel: 0}})
        assert '"_placeholder":true' in other.wait_for_packet("451-")
        assert other.receive_packet() == b"\x00\xff"


def test_what_others_write_into_the_stream_is_passed_over(pair: Pair, channel: str) -> None:
    with contextlib.closing(connect(pair.urls[0], "websocket")) as client:
        assert subscribe(client, channel, 0)["ok"]
        for number in (1, 2, 3):
            pair.queue.client.xadd("production:{pair}:channels:stream", {"x": "y"})
            assert post(pair.urls[1], channel, number).status == 202
            assert client.wait_for_event("update").args[0]["data"] == number


def test_a_queue_that_was_emptied_starts_another_epoch(pair: Pair, channel: str) -> None:
    with contextlib.closing(connect(pair.urls[0], "websocket")) as client:
        for number in (1, 2, 3):
            client.call("publish", {"channel": channel, "data": number})
        before = subscribe(client, channel, 3)
        pair.queue.client.flushall()
        client.call("publish", {"channel": channel, "data": "new"})
        update = client.wait_for_event("update").args[0]
        assert update["sequence"] == 1
        assert update["epoch"] != before["epochs"][channel]
    for epoch in (before["epochs"][channel], ""):
        with contextlib.closing(connect(pair.urls[1], "websocket")) as client:
            answer = subscribe(client, channel, 3, epoch)
            assert answer["gaps"] == {channel: {"from": 4, "to": None}}
            assert answer["replayed"] == {channel: 1}
            assert answer["epochs"] == {channel: update["epoch"]}
            assert taken(client) == [update]


@pytest.mark.parametrize("mode", MODES)
def test_a_gap_is_said(
    service: Callable[..., ServedProject], tmp_path: Path, mode: str, channel: str
) -> None:
    with running(tmp_path) as queue:
        url = service(mode, REDIS_URL=queue.url, REPLAY_MESSAGES="5").url
        with contextlib.closing(connect(url, "websocket")) as client:
            for number in range(1, 21):
                client.call("publish", {"channel": channel, "data": number})
            answer = subscribe(client, channel, 10)
            assert answer == {
                "ok": True,
                "channels": [channel],
                "sequences": {channel: 20},
                "epochs": answer["epochs"],
                "replayed": {channel: 5},
                "gaps": {channel: {"from": 11, "to": 15}},
            }
            assert [update["data"] for update in taken(client)] == [16, 17, 18, 19, 20]
        assert queue.client.xlen("production:{live-board}:channels:stream") == 5


@pytest.mark.parametrize("mode", MODES)
def test_a_process_that_could_not_keep_up_says_so(
    service: Callable[..., ServedProject], tmp_path: Path, mode: str, channel: str
) -> None:
    """What was trimmed before a process had read it is said to those who watch there."""
    with running(tmp_path) as queue:
        slow, other = (
            service(mode, REDIS_URL=queue.url, REPLAY_MESSAGES="5", PUBLISH_TIMEOUT="5")
            for _ in range(2)
        )
        with contextlib.closing(connect(slow.url, "websocket")) as client:
            post(other.url, channel, 1)
            assert subscribe(client, channel, 0)["replayed"] == {channel: 1}
            client.events.clear()
            worker(slow).suspend()
            try:
                for number in range(2, 9):
                    assert post(other.url, channel, number).status == 202
                for number in range(1, 9):
                    assert post(other.url, f"{channel}.other", number).status == 202
            finally:
                worker(slow).resume()
            gap = client.wait_for_event("gap").args[0]
            # A read that was under way brought the first ones.
            got = [update["sequence"] for update in taken(client)]
            assert got == list(range(2, gap["from"]))
            assert (gap["channel"], gap["to"], gap["sequence"]) == (channel, 8, 8)
            post(other.url, channel, 9)
            assert client.wait_for_event("update").args[0]["sequence"] == 9


@pytest.mark.parametrize("mode", MODES)
def test_without_a_queue(service: Callable[..., ServedProject], mode: str, channel: str) -> None:
    served = service(mode, REPLAY_MESSAGES="100")
    publisher = Publisher([served.url], channel, 90)
    chance = random.Random(11)
    with watching([served.url], channel, TRANSPORTS * 2) as watchers:
        publisher.start()
        while publisher.is_alive():
            chance.choice(watchers).refresh()
            publisher.join(0.05)
        expect_everything(watchers, 90)
    message_id = uuid.uuid4().hex
    sequences = [post(served.url, channel, 91, message_id).json()["sequence"] for _ in range(2)]
    assert sequences == [91, 91]

    with watching([served.url], channel, ["websocket"]) as [watcher]:
        eventually(all_have([watcher], 91))
        # What it kept is gone with it, and the client is told.
        worker(served).kill()
        eventually(lambda: watcher.gaps, "the gap is said")
        assert watcher.gaps == [{"from": 92, "to": None}]
        post(served.url, channel, 1)
        eventually(all_have([watcher], 92))
        check_new_epoch(watcher)


def check_new_epoch(watcher: Watcher) -> None:
    before, after = watcher.updates[-2:]
    assert (before["sequence"], after["sequence"]) == (91, 1)
    assert before["epoch"] != after["epoch"]
