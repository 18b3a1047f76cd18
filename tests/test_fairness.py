"""Nobody notices what one client sends: the loop, the threads and the connections of a worker are shared.

How long others wait is measured by what the worker does meanwhile, in its own processor time, and not by
the clock; ``python -m bench.fairness`` measures that.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baking import Bake
from observing import MODES, LogMark, Service, StartService, not_json, wait_until_quiet, worker
from ports import free_port
from pumps import PUMPS, Opener, Pump
from rawclient import (
    CONTINUATION,
    PACKET_SEPARATOR,
    PING,
    PONG,
    TEXT,
    HttpConnection,
    PollingSession,
    RawWebSocket,
    encode_event,
    frame,
    http,
    open_websocket,
)
from scraping import scrape, scrape_until
from served import ServedProject, serve
from waiting import eventually

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"

GREEN_MODES = ("eventlet", "gevent")

POLICY_VIOLATION = 1008

HEARTBEATS = 10

# Enough for a clock that ticks a hundred times a second.
HEARTBEATS_OF_CONTROL = 1000

# So many answers to heartbeats are as much work as others may do between a heartbeat and its answer. A
# hundred are what the turns come to, a large message is worth some hundred; without turns it is many thousands.
WORTH = 3000

# With these, a service has 148 threads, or room for 168 connections.
SMALL = {"MAX_SESSIONS": "20"}
MORE_THAN_IT_HAS = 200


@contextlib.contextmanager
def joined(service: Service) -> Iterator[RawWebSocket]:
    """A WebSocket client on the default namespace."""
    with open_websocket(service.url) as ws:
        ws.connect_namespace()
        ws.call("heartbeat", {"sent_at": 0})
        yield ws


def processor_time(service: Service) -> float:
    """Return the seconds that the worker has worked."""
    times = worker(service).cpu_times()
    return float(times.user + times.system)


def work_for(service: Service, bystander: RawWebSocket, heartbeats: int) -> float:
    """Return the seconds that the worker works until so many heartbeats are answered."""
    before = processor_time(service)
    for number in range(heartbeats):
        assert bystander.call("heartbeat", {"sent_at": number})["sent_at"] == number
    return processor_time(service) - before


# ---------------------------------------------------------------------------------------------
# Turns


@pytest.fixture(scope="session")
def _costs() -> dict[str, float]:
    """What a heartbeat costs, in seconds of the worker, once it is known for a mode."""
    return {}


@pytest.fixture
def alone(service: StartService, mode: str, _costs: dict[str, float]) -> float:
    """What a heartbeat costs the worker while nothing else happens, in seconds."""
    if mode not in _costs:
        served = service(mode)
        with joined(served) as client:
            work = work_for(served, client, HEARTBEATS_OF_CONTROL)
        _costs[mode] = work / HEARTBEATS_OF_CONTROL
    return _costs[mode]


@pytest.mark.parametrize("mode", GREEN_MODES)
@pytest.mark.parametrize("pump", PUMPS.values(), ids=PUMPS)
def test_a_bystander_is_answered_while_others_send_without_pause(
    service: StartService, mode: str, alone: float, pump: Opener
) -> None:
    served = service(mode)
    with joined(served) as bystander:
        with Pump(served.url, pump) as fed:
            eventually(lambda: fed.sent >= 500_000 or fed.opened >= 5, "the pump has begun")
            among_others = work_for(served, bystander, HEARTBEATS) / HEARTBEATS
        assert among_others < WORTH * alone


TURNS = """
    import socket
    import sys

    mode = sys.argv[1]
    if mode == "eventlet":
        import eventlet
        eventlet.monkey_patch()
        spawn = eventlet.spawn
    else:
        from gevent import monkey
        monkey.patch_all()
        import gevent
        spawn = gevent.spawn

    import production.turns

    production.turns.TURN = 0  # which every turn exceeds
    ours, theirs = socket.socketpair()
    turns = 0

    def pump():
        global turns
        turn = production.turns.Turn(mode)
        while True:
            turn.check()
            turns += 1

    def answer():
        while True:
            theirs.sendall(theirs.recv(1))

    spawn(answer)
    for _ in range(5):
        spawn(pump)
    ours.sendall(b"x")
    ours.recv(1)
    most = 0
    for _ in range(200):
        before = turns
        ours.sendall(b"x")
        ours.recv(1)
        most = max(most, turns - before)
    print(most / 5)
"""


@pytest.mark.parametrize("mode", GREEN_MODES)
def test_a_socket_is_looked_at_after_each_turn(mode: str) -> None:
    """Giving way is not enough if the loop only goes on with the next of those who always have work."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TURNS), mode],
        cwd=TEMPLATE,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    turns_of_each_pump_until_an_answer = float(ran.stdout)
    assert turns_of_each_pump_until_an_answer <= 6


# ---------------------------------------------------------------------------------------------
# What no honest client does

FRAGMENT = frame(CONTINUATION, b"2", fin=False)
FLOODS: dict[str, tuple[bytes, str]] = {
    "empty-fragments": (
        frame(TEXT, b"4", fin=False) + frame(CONTINUATION, fin=False) * 1500,
        "too many fragments",
    ),
    "small-fragments": (frame(TEXT, b"4", fin=False) + FRAGMENT * 1500, "too many small fragments"),
    "small-fragments-of-many-messages": (
        (frame(TEXT, b'42["', fin=False) + FRAGMENT * 9 + frame(CONTINUATION, b'"]')) * 300,
        "too many small fragments",
    ),
    "pings": (frame(PING) * 3000, "too many control frames"),
    "pongs": (frame(PONG) * 3000, "too many control frames"),
    "engine-pongs": (frame(TEXT, b"3") * 500, "too many packets that answer nothing"),
    "upgrades": (frame(TEXT, b"5") * 500, "too many packets that answer nothing"),
    "acknowledgements": (frame(TEXT, b"4399[]") * 500, "too many acknowledgements of nothing"),
    "acknowledgements-of-zero": (
        frame(TEXT, b"430[]") * 500,
        "too many acknowledgements of nothing",
    ),
    "refused-namespaces": (frame(TEXT, b"40/no,") * 500, "too many refused namespaces"),
}

PACKETS = {"engine-pongs": "3", "acknowledgements": "4399[]", "refused-namespaces": "40/no,"}


Counting = tuple[ServedProject, int]


@pytest.fixture(scope="session")
def _small_services(
    bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Counting]]:
    """Serve one small service for each mode, for as long as the tests run."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def small(mode: str) -> Counting:
            port = free_port()
            log_path = tmp_path_factory.mktemp("fairness") / f"{mode}.log"
            settings = {**SMALL, "METRICS_BIND": f"127.0.0.1:{port}"}
            served = serve(bake(), log_path, ASYNC_MODE=mode, **settings)
            return running.enter_context(served), port

        yield small


@pytest.fixture
def counting(_small_services: Callable[[str], Counting], mode: str) -> Counting:
    """A small service and the port of its metrics."""
    return _small_services(mode)


def ended_for_flooding(port: int) -> float:
    """How many sessions the service has ended for it."""
    answer = scrape_until(port, lambda now: bool(now.samples))
    return answer.total("socketio_disconnects_total", reason="flooding")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("flood", "why"), FLOODS.values(), ids=FLOODS)
def test_who_floods_a_websocket_is_told_why_and_ended(
    counting: Counting, flood: bytes, why: str
) -> None:
    served, port = counting
    wait_until_quiet(served)
    before = ended_for_flooding(port)
    log = LogMark(served)
    with joined(served) as ws:
        with contextlib.suppress(OSError):
            ws.send(flood)
        (*_, last) = ws.until_closed()
    assert ws.close_code == POLICY_VIOLATION
    assert last.payload[2:].decode() == why
    record = log.wait_for_end(ws.session)
    assert (record["reason"], record["detail"]) == ("flooding", why)
    assert log.ended() == [record]
    assert log.loud() == []
    scrape_until(
        port,
        lambda now: now.total("socketio_disconnects_total", reason="flooding") == before + 1,
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_who_floods_by_polling_is_ended(counting: Counting, packet: str) -> None:
    served, _ = counting
    wait_until_quiet(served)
    log = LogMark(served)
    session = PollingSession(served.url)
    session.connect_namespace()
    assert session.post(PACKET_SEPARATOR.join([packet] * 500)).status == 400
    assert log.wait_for_end(session.session)["reason"] == "flooding"
    assert len(log.ended()) == 1
    assert log.loud() == []


@pytest.mark.parametrize("mode", MODES)
def test_who_sends_many_fragments_and_pings_but_not_without_end_stays(
    counting: Counting,
) -> None:
    served, _ = counting
    text = encode_event("heartbeat", {"sent_at": "x" * 30}, ack_id=7).encode()
    in_bytes = [text[at : at + 1] for at in range(len(text))]
    large = encode_event("nobody", "x" * 900_000).encode()
    in_pieces = [large[at : at + 100] for at in range(0, len(large), 100)]
    with joined(served) as ws:
        for pieces in (in_bytes, in_pieces):
            first, *middle, last = pieces
            ws.send(
                frame(TEXT, first, fin=False)
                + b"".join(frame(CONTINUATION, piece, fin=False) for piece in middle)
                + frame(CONTINUATION, last)
            )
        ws.send((frame(PING) + frame(PONG)) * 100 + frame(TEXT, b"3") * 20)
        ws.wait_for_packet("437[")
        assert ws.call("heartbeat", {"sent_at": 1})["sent_at"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_acknowledgement_of_number_zero_takes_nothing_from_the_app(
    counting: Counting,
) -> None:
    served, _ = counting
    log = LogMark(served)
    with joined(served) as ws:
        ws.send_packet("430[]")
        assert ws.call("heartbeat", {"sent_at": 1})["sent_at"] == 1
    log.wait_for_end(ws.session)
    assert log.loud() == []
    assert not_json(served) == []


# ---------------------------------------------------------------------------------------------
# Requests that do not come

POST = (
    "POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
)

UNFINISHED = {
    "bodies-for-the-app": POST.format("/api/channels/slow"),
    "bodies-for-nobody": POST.format("/nowhere"),
    "bodies-that-nobody-reads": POST.replace("POST", "GET").format("/health/live"),
    "heads": "GET /health/live HTTP/1.1\r\nHost: a\r\nX-",
    "silence": "",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begun", UNFINISHED.values(), ids=UNFINISHED)
def test_requests_that_do_not_come_leave_room_for_others(counting: Counting, begun: str) -> None:
    served, _ = counting
    log = LogMark(served)
    with contextlib.ExitStack() as stack:
        for _ in range(MORE_THAN_IT_HAS):
            connection = stack.enter_context(contextlib.closing(HttpConnection(served.url)))
            connection.send(begun.encode())
        for _ in range(5):
            assert http("GET", f"{served.url}/health/live").status == 200
            with joined(served) as ws:
                assert ws.call("heartbeat", {"sent_at": 1})["sent_at"] == 1
            session = PollingSession(served.url)
            session.connect_namespace()
            session.leave()
    assert log.loud() == []
    assert not_json(served) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_body_that_does_not_come_is_answered_408_and_counted(
    counting: Counting,
) -> None:
    served, port = counting
    before = scrape(port).total("socketio_slow_requests_total", reason="body")
    log = LogMark(served)
    session = PollingSession(served.url)
    session.connect_namespace()
    posts = [HttpConnection(served.url), session.start_post("4", content_length=100)]
    posts[0].send(UNFINISHED["bodies-for-the-app"].encode())
    for post in posts:
        with contextlib.closing(post):
            answer = post.response()
            assert answer.status == 408
            assert answer.headers["connection"] == "close"
            assert post.fin()
    assert log.wait_for_end(session.session)["reason"] == "transport error"
    assert log.loud() == []
    assert not_json(served) == []
    scrape_until(
        port,
        lambda now: now.total("socketio_slow_requests_total", reason="body") == before + len(posts),
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_head_that_does_not_come_is_answered_408_and_counted(
    counting: Counting,
) -> None:
    served, port = counting
    before = scrape(port).total("socketio_slow_requests_total", reason="head")
    with contextlib.closing(HttpConnection(served.url)) as connection:
        connection.send(UNFINISHED["heads"].encode())
        assert connection.response().status == 408
        assert connection.fin()
    scrape_until(
        port, lambda now: now.total("socketio_slow_requests_total", reason="head") == before + 1
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_body_that_comes_in_pieces_is_taken(counting: Counting) -> None:
    served, _ = counting
    body = json.dumps({"text": "x" * 100}).encode()
    with contextlib.closing(HttpConnection(served.url)) as connection:
        connection.request(
            "POST",
            "/api/channels/pieces",
            {"Content-Type": "application/json"},
            b"",
            content_length=len(body),
        )
        for at in range(len(body)):
            connection.send(body[at : at + 1])
        assert connection.response().status == 202
