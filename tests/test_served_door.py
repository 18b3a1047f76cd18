"""The door of the generated service, in each mode: who may come in, how many, how fast, and for how long
one may stand in it; what is written of those who do not, and whether the service calls itself ready."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from baking import ASYNC_MODES, Bake
from crowds import Rush
from observing import LogMark, open_sessions, wait_until_quiet
from ports import free_port
from production.realtime.floods import MOST_ODD_PACKETS
from rawclient import (
    TEXT,
    ConnectionEndedError,
    HandshakeRefusedError,
    PollingSession,
    RawWebSocket,
    Response,
    SocketIOClient,
    frame,
    http,
    open_websocket,
)
from scraping import scrape_until
from served import ServedProject, serve
from waiting import eventually

APPS = Path(__file__).parent / "apps"

CONNECT_TIMEOUT = 6
SESSIONS = 6
LINES = 10
"""Lines alike that one client may cause in a period, see production/observe/repetition.py."""

OPEN = "/socket.io/?EIO=4&transport=polling"


@dataclasses.dataclass
class House:
    """A service behind a proxy, which is the test."""

    served: ServedProject
    metrics_port: int

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.served.url

    def open(self, address: str) -> Response:
        """Open a polling session for a client of an address."""
        return http("GET", self.url + OPEN, headers={"X-Forwarded-For": address})

    def websocket(self, address: str) -> RawWebSocket:
        """Open a WebSocket for a client of an address."""
        return open_websocket(self.url, headers={"x-forwarded-for": address})

    def refused(self, reason: str) -> Callable[[], float]:
        """Return what tells how many more were refused for a reason since."""
        return self._grown("socketio_refused_connects_total", reason)

    def ended(self, reason: str) -> Callable[[], float]:
        """Return what tells how many more sessions have ended for a reason since."""
        return self._grown("socketio_disconnects_total", reason)

    def _grown(self, name: str, reason: str) -> Callable[[], float]:
        before = self._total(name, reason)
        return lambda: self._total(name, reason) - before

    def _total(self, name: str, reason: str) -> float:
        answer = scrape_until(self.metrics_port, lambda now: name in {s.name for s in now.samples})
        return answer.total(name, reason=reason)


@pytest.fixture(scope="module", params=ASYNC_MODES)
def house(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Serve the app of doors in each mode."""
    port = free_port()
    with serve(
        bake(),
        tmp_path_factory.mktemp("doors") / "service.log",
        "doors:app",
        ASYNC_MODE=request.param,
        PYTHONPATH=str(APPS),
        TRUSTED_PROXIES="1",
        CONNECT_TIMEOUT=str(CONNECT_TIMEOUT),
        SESSIONS_PER_ADDRESS=str(SESSIONS),
        HANDSHAKES_PER_ADDRESS="1",
        METRICS_BIND=f"127.0.0.1:{port}",
    ) as served:
        yield House(served, port)


_addresses = (f"198.51.{high}.{low}" for high, low in itertools.product(range(256), repeat=2))


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return next(_addresses)


# ---------------------------------------------------------------------------------------------
# A door with a clock


def stand(client: SocketIOClient) -> None:
    """Join nothing."""


def be_refused(client: SocketIOClient) -> None:
    """Try to join where a connect handler refuses."""
    client.send_packet("40/refused,")
    client.wait_for_packet("44/refused,")


def be_lost(client: SocketIOClient) -> None:
    """Try to join what is not there."""
    client.send_packet("40/nowhere,")
    client.wait_for_packet("44/nowhere,")


def be_kept_waiting(client: SocketIOClient) -> None:
    """Try to join where the connect handler takes its time."""
    client.send_packet("40/late,")


def has_ended(client: PollingSession) -> bool:
    """Poll once more, and tell whether there is still a session."""
    try:
        client.poll()
    except ConnectionEndedError:
        return True
    return False


WAITING = (stand, be_refused, be_lost, be_kept_waiting)


def test_who_joins_nothing_is_shown_out_and_who_has_joined_stays(house: House) -> None:
    # Others have left some in the door.
    wait_until_quiet(house.served)
    mark, ended = LogMark(house.served), house.ended("connect timeout")
    with contextlib.ExitStack() as stack:
        inside = stack.enter_context(open_websocket(house.url))
        inside.connect_namespace()
        polling = PollingSession(house.url)
        polling.connect_namespace()
        gone = stack.enter_context(open_websocket(house.url))
        gone.connect_namespace()
        gone.send_packet("41")

        waiting: list[RawWebSocket] = []
        for begin in WAITING:
            waiting.append(stack.enter_context(open_websocket(house.url)))
            begin(waiting[-1])
        polls = [PollingSession(house.url) for _ in range(3)]
        for begin, client in zip((stand, be_refused, be_lost), polls, strict=True):
            begin(client)

        for websocket in waiting:
            websocket.until_closed()
        for client in polls:
            eventually(partial(has_ended, client), "the polling session has ended")
        count = len(waiting) + len(polls)
        eventually(lambda: ended() == count, "each of them is counted")
        records = [each for each in mark.ended() if each["reason"] == "connect timeout"]
        assert Counter(each["transport"] for each in records) == {
            "websocket": len(waiting),
            "polling": len(polls),
        }
        # They came before the others: by now the clock of each has run out.
        assert inside.call("tell everyone", {}) == "told"
        assert polling.call("tell everyone", {}) == "told"
        gone.connect_namespace()
        assert gone.call("tell everyone", {}) == "told"
        polling.leave()
    late = eventually(
        lambda: (found := http("GET", f"{house.url}/late").json())["left"] and found,
        "the app hears that a client that it accepted late has left",
    )
    assert late == {"left": ["connect timeout"], "there": 0}


# ---------------------------------------------------------------------------------------------
# Addresses


def test_an_address_has_its_sessions_and_keeps_nobody_else_out(house: House, address: str) -> None:
    mark, refused = LogMark(house.served), house.refused("address-full")
    with contextlib.ExitStack() as stack:
        websockets = [stack.enter_context(house.websocket(address)) for _ in range(SESSIONS)]
        answer = house.open(address)
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)
        with pytest.raises(HandshakeRefusedError) as refusal:
            house.websocket(address)
        assert refusal.value.response.status == 429
        assert house.open(f"{address}, {next(_addresses)}").status == 200
        assert http("GET", house.url + OPEN).status == 200
        eventually(lambda: refused() == 2, "each refusal is counted")
        websockets[0].close_cleanly()
        eventually(lambda: house.open(address).status == 200, "there is room for another")
    (line,) = [each for each in mark.loud() if each.get("address") == address]
    assert line["setting"] == "SESSIONS_PER_ADDRESS"


def test_an_address_opens_so_many_and_then_waits(house: House, address: str) -> None:
    mark, refused = LogMark(house.served), house.refused("address-rate")

    def come_and_go() -> int:
        answer = house.open(address)
        if answer.status == 200:
            sid = answer.body.decode().partition('"sid":"')[2].partition('"')[0]
            assert http("POST", f"{house.url}{OPEN}&sid={sid}", b"1").status == 200
        return answer.status

    statuses = Counter(come_and_go() for _ in range(60))
    assert set(statuses) == {200, 429}
    assert statuses[200] >= 30
    assert house.open(next(_addresses)).status == 200
    eventually(lambda: refused() == statuses[429], "each refusal is counted")
    (line,) = [each for each in mark.loud() if each.get("address") == address]
    assert line["setting"] == "HANDSHAKES_PER_ADDRESS"


@pytest.mark.parametrize(
    ("forwarded", "others"),
    [
        ("{client}", ["{client}:4711", "198.18.0.1, {client}", '", {client}', '"198.18.0.2", {client}']),
        ("2001:db8:{host}:{net}::1", ["2001:db8:{host}:{net}:ffff::2", "[2001:db8:{host}:{net}:a::3]:4711"]),
        ("::ffff:{client}", ["{client}", "64:ff9b::{client}"]),
    ],
)  # fmt: skip
def test_a_client_that_calls_itself_otherwise_is_the_same(
    house: House, address: str, forwarded: str, others: list[str]
) -> None:
    *_, host, net = address.split(".")

    def named(form: str) -> str:
        return form.format(client=address, host=f"{int(host):x}", net=f"{int(net):x}")

    with contextlib.ExitStack() as stack:
        for _ in range(SESSIONS):
            stack.enter_context(house.websocket(named(forwarded)))
        for other in others:
            assert house.open(named(other)).status == 429, other


# ---------------------------------------------------------------------------------------------
# The log


def refused_namespaces(house: House, address: str, count: int) -> None:
    refused(house, address, "/nowhere", count)


def refused_connects(house: House, address: str, count: int) -> None:
    refused(house, address, "/refused", count)


def refused(house: House, address: str, namespace: str, count: int) -> None:
    with house.websocket(address) as client:
        client.connect_namespace()
        client.send(frame(TEXT, f"40{namespace},".encode()) * count)
        for _ in range(count):
            client.wait_for_packet("44/")


def joining_and_leaving(house: House, address: str, count: int) -> None:
    with house.websocket(address) as client:
        for _ in range(count):
            client.connect_namespace()
            client.send_packet("41")


def failing_events(house: House, address: str, count: int) -> None:
    with house.websocket(address) as client:
        client.connect_namespace()
        for _ in range(count):
            client.call("fail")


def failing_requests(house: House, address: str, count: int) -> None:
    for number in range(count):
        headers = {"X-Forwarded-For": address}
        assert http("GET", f"{house.url}/fail?{number}", headers=headers).status == 500


def malformed_requests(house: House, address: str, count: int) -> None:
    for number in range(count):
        with contextlib.closing(socket.create_connection(("127.0.0.1", house.served.port))) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nBad Header%d: x\r\n\r\n" % number)
            assert peer.recv(1000).startswith(b"HTTP/1.1 400")


FLOODS = {
    # More of them at once would end the session.
    "refused namespaces": (refused_namespaces, MOST_ODD_PACKETS, "client refused"),
    "refused connects": (refused_connects, MOST_ODD_PACKETS, "client refused"),
    "joining and leaving": (joining_and_leaving, 200, "client connected"),
    "failing events": (failing_events, 200, "event handler failed"),
    "failing requests": (failing_requests, 100, "Exception on /fail [GET]"),
    "malformed requests": (malformed_requests, 100, "Invalid request from ip="),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_the_log_has_the_first_lines_of_a_flood_and_the_number_of_the_others(
    house: House, address: str, flood: str
) -> None:
    cause, count, event = FLOODS[flood]
    mark = LogMark(house.served)
    before = time.monotonic()
    cause(house, address, count)
    # Another one's lines are written all the same.
    with house.websocket(next(_addresses)) as other:
        other.connect_namespace()
        other.call("fail")
        mark_of_other = other.session

    def lines() -> list[dict[str, Any]]:
        return [each for each in mark.records() if each.get("session") != mark_of_other]

    def written() -> int:
        return sum(each["event"].startswith(event) for each in lines())

    def told() -> list[int]:
        return [each["left_out"] for each in lines() if str(each.get("like", "")).startswith(event)]

    eventually(
        lambda: written() + sum(told()) == count,
        what=lambda: f"all lines are accounted for: {written()} + {told()} of {count}",
    )
    # Each period is twice as long as the one before it.
    periods = 2 + math.log2(1 + time.monotonic() - before)
    assert written() <= LINES * periods
    assert 1 <= len(told()) <= periods
    assert any(
        each["event"] == "event handler failed" and each["session"] == mark_of_other
        for each in mark.records()
    )


# ---------------------------------------------------------------------------------------------
# None as a room


@pytest.mark.parametrize("event", ["join", "leave", "close"])
def test_a_room_that_is_none_is_refused_and_nobody_goes_deaf(
    house: House, address: str, event: str
) -> None:
    mark = LogMark(house.served)
    with house.websocket(address) as culprit, open_websocket(house.url) as bystander:
        culprit.connect_namespace()
        bystander.connect_namespace()
        assert culprit.call(event, {})["error"]["code"] == "internal"
        assert culprit.call("tell everyone", {}) == "told"
        for client in (culprit, bystander):
            client.wait_for_event("told")
        assert culprit.call(event, {"room": "a room"}) is not None
    (line,) = [each for each in mark.loud() if each["event"] == "None was refused as a room"]
    assert line["call"] == f"{event}_room(None)"
    assert line["handler"].startswith(f"doors.{event}, line ")
    assert (line["event_name"], line["session"]) == (event, culprit.session)


def test_the_log_names_a_handler_that_keeps_the_refusal_to_itself(
    house: House, address: str
) -> None:
    mark = LogMark(house.served)
    with house.websocket(address) as client:
        client.connect_namespace()
        assert client.call("close carefully", {}) == "declined"
        assert client.call("tell everyone", {}) == "told"
        client.wait_for_event("told")
    (line,) = mark.loud()
    assert line["handler"].startswith("doors.close_carefully, line ")


# ---------------------------------------------------------------------------------------------
# Ready or not


@pytest.fixture(scope="module", params=ASYNC_MODES)
def crowded(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProject]:
    """Serve a project in each mode that has room for a crowd, and the default time to be late."""
    log_path = tmp_path_factory.mktemp("crowded") / "service.log"
    settings = {"ASYNC_MODE": request.param, "MAX_SESSIONS": "1500", "MAX_LOOP_LAG": "1"}
    with serve(bake(), log_path, **settings) as served:
        yield served


def ready(service: ServedProject) -> int:
    """Ask whether a service is to be sent new clients."""
    return http("GET", f"{service.url}/health/ready").status


def test_a_crowd_is_taken_in_by_a_service_that_stays_ready(crowded: ServedProject) -> None:
    eventually(lambda: ready(crowded) == 200, "it is ready")
    looks = Counter[int]()
    with Rush(crowded.url, 1000) as rush:
        while rush.on_their_way:
            rush.go_on(0.2)
            looks[ready(crowded)] += 1
        assert (len(rush.joined), Counter(rush.failed)) == (1000, Counter())
    assert looks[200] > looks.total() / 2, looks
    eventually(lambda: open_sessions(crowded) == 0, "they have left")


def test_a_worker_that_does_nothing_for_too_long_is_not_ready(crowded: ServedProject) -> None:
    eventually(lambda: ready(crowded) == 200, "it is ready")
    process: int = http("GET", f"{crowded.url}/health").json()["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(2.5)  # more than MAX_LOOP_LAG and what a measurement takes
    finally:
        os.kill(process, signal.SIGCONT)
    eventually(lambda: ready(crowded) == 503, "it says that it was late")
    eventually(lambda: ready(crowded) == 200, "it is ready again")
