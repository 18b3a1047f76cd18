"""What a service of two workers tells Prometheus: right across processes, whatever becomes of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import requests

from baking import ASYNC_MODES, Bake
from ports import free_port
from queues import Valkey, running
from rawclient import HandshakeRefusedError, PollingSession, RawWebSocket, http, open_websocket
from routed import slot_of, worker_of
from scraping import Scrape, scrape, scrape_until
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
WORKERS = 2
CONFIGURED = "socketio_configured_workers"
STARTED_AT = "socketio_service_start_time_seconds"
PUBLISHED = 3


class Measured:
    """A service whose metrics are served.

    :param served: the service.
    :param port: where its metrics are.
    """

    def __init__(self, served: ServedProject, port: int) -> None:
        self.served = served
        self.port = port
        #: Sessions whose end nobody could count.
        self.killed_sessions = 0

    @property
    def url(self) -> str:
        """Where the service is served."""
        return self.served.url

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes."""
        return [child for child in self._children() if not is_listener(child)]

    def listener(self) -> psutil.Process:
        """Return the process that serves its metrics."""
        (listener,) = filter(is_listener, self._children())
        return listener

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self.served.pid).children()

    def scrape(self) -> Scrape:
        """Ask for its metrics."""
        return scrape(self.port)

    def wait_for_workers(self) -> Scrape:
        """Wait until all workers are there and hear each other."""
        return scrape_until(
            self.port,
            lambda metrics: (
                metrics.total("socketio_queue_listening") == WORKERS
                and metrics.total("socketio_draining") == 0
            ),
        )


def is_listener(process: psutil.Process) -> bool:
    try:
        return "production.observe.exposition" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module", params=ASYNC_MODES)
def measured(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Measured]:
    """Serve an app whose handlers fail in every way, in a mode."""
    directory = tmp_path_factory.mktemp("metrics")
    queue = Valkey(directory)
    queue.start()
    port = free_port()
    try:
        with serve(
            bake(),
            directory / "service.log",
            "measured:app",
            ASYNC_MODE=request.param,
            PYTHONPATH=str(APPS),
            WEB_CONCURRENCY=str(WORKERS),
            REDIS_URL=queue.url,
            MAX_QUEUED_MESSAGES="30",
            DRAIN_SECONDS="1",
            METRICS_BIND=f"127.0.0.1:{port}",
        ) as served:
            service = Measured(served, port)
            service.wait_for_workers()
            yield service
    finally:
        queue.stop()


@pytest.fixture
def before(measured: Measured) -> Scrape:
    """What was counted before a test, once nobody is connected any more."""

    def is_quiet(metrics: Scrape) -> bool:
        ended = metrics.total("socketio_disconnects_total") + measured.killed_sessions
        gauges = metrics.total("socketio_sessions") + metrics.total("socketio_send_buffer_messages")
        return metrics.total("socketio_connects_total") == ended and gauges == 0

    return scrape_until(measured.port, is_quiet)


@contextlib.contextmanager
def joined(measured: Measured, count: int) -> Iterator[list[RawWebSocket]]:
    """Connect some clients, evenly spread over the workers."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_websocket(measured.url)) for _ in range(count)]
        for client in clients:
            client.connect_namespace()
        yield clients


def grown(now: Scrape, before: Scrape, name: str, **labels: str) -> float:
    """Return by how much something has grown."""
    return now.total(name, **labels) - before.total(name, **labels)


def test_sessions_and_deliveries_of_all_workers_are_counted(
    measured: Measured, before: Scrape
) -> None:
    with joined(measured, 4) as clients:
        poller = PollingSession(measured.url)
        poller.connect_namespace()
        at_work = {worker_of(client) for client in clients}
        assert len(at_work) == WORKERS
        during = scrape_until(
            measured.port,
            lambda metrics: (
                metrics.total("socketio_sessions", transport="websocket") == 4
                and metrics.total("socketio_sessions", transport="polling") == 1
            ),
        )
        assert during.values("socketio_sessions", "worker") == {
            str(slot_of(worker)) for worker in at_work
        }
        for client in clients:
            client.call("subscribe", {"channels": ["measured"]})
        for number in range(PUBLISHED):
            clients[0].call("publish", {"channel": "measured", "data": number})
        for client in clients:
            for _ in range(PUBLISHED):
                client.wait_for_event("update")
        now = scrape_until(
            measured.port,
            lambda metrics: (
                grown(metrics, before, "socketio_deliveries_total") >= PUBLISHED * 4 + 5
                and grown(metrics, before, "socketio_event_seconds_count", event="publish")
                >= PUBLISHED
            ),
        )
        poller.leave()
    # Beside the greetings of five clients.
    assert grown(now, before, "socketio_deliveries_total") == PUBLISHED * 4 + 5
    assert grown(now, before, "socketio_connects_total", transport="websocket") == 4
    assert grown(now, before, "socketio_connects_total", transport="polling") == 1
    assert (
        grown(now, before, "socketio_event_seconds_count", event="publish", namespace="/")
        == PUBLISHED
    )
    ended = scrape_until(measured.port, lambda metrics: metrics.total("socketio_sessions") == 0)
    assert grown(ended, before, "socketio_disconnects_total") == 5


def test_an_emit_is_counted_once_and_delivered_by_every_worker(
    measured: Measured, before: Scrape
) -> None:
    with joined(measured, 4) as clients:
        greeted = scrape_until(
            measured.port, lambda metrics: grown(metrics, before, "socketio_emits_total") == 4
        )
        http("POST", f"{measured.url}/broadcast")
        for client in clients:
            client.wait_for_event("broadcast")
        now = scrape_until(
            measured.port,
            # The queue's answer comes after what it has passed on.
            lambda metrics: (
                grown(metrics, greeted, "socketio_deliveries_total") == 4
                and grown(metrics, greeted, "socketio_queue_published_total") == 1
            ),
        )
        assert grown(now, greeted, "socketio_emits_total") == 1
        assert grown(now, greeted, "socketio_queue_received_total") == WORKERS - 1
        clients[0].emit("tell-others")
        for client in clients[1:]:
            client.wait_for_event("broadcast")
        scrape_until(
            measured.port, lambda metrics: grown(metrics, now, "socketio_deliveries_total") == 3
        )


def test_who_is_refused_is_counted_by_the_reason(measured: Measured, before: Scrape) -> None:
    with pytest.raises(HandshakeRefusedError):
        open_websocket(measured.url, headers={"origin": "https://elsewhere.example"})
    http("GET", f"{measured.url}/socket.io/?EIO=3&transport=polling")
    http("GET", f"{measured.url}/socket.io/?EIO=4&transport=polling&sid=nobody")
    with joined(measured, 1) as (client,):
        for namespace in ("/refused", "/nowhere"):
            client.send_packet(f"40{namespace},")
            client.wait_for_packet(f"44{namespace},")
    # A client may have its answer before it is counted.
    now = scrape_until(
        measured.port,
        lambda metrics: grown(metrics, before, "socketio_refused_connects_total") >= 5,
    )
    refused = {
        reason: grown(now, before, "socketio_refused_connects_total", reason=reason)
        for reason in now.values("socketio_refused_connects_total", "reason")
    }
    assert {reason: count for reason, count in refused.items() if count} == {
        "bad-origin": 1,
        "bad-version": 1,
        "bad-sid": 1,
        "handler": 1,
        "bad-namespace": 1,
    }


def test_a_client_cannot_add_labels(measured: Measured, before: Scrape) -> None:
    with joined(measured, 1) as (client,):
        for number in range(50):
            client.emit(f"invented-{number}")
            client.emit("subscribe", {"channels": [f"invented-{number}"]})
            client.send_packet(f"40/invented-{number},")
        client.call("subscribe", {"channels": []})
    now = scrape_until(
        measured.port,
        lambda metrics: (
            grown(metrics, before, "socketio_event_seconds_count", event="unknown") >= 50
        ),
    )
    assert grown(now, before, "socketio_event_seconds_count", event="unknown") == 50
    assert "invented" not in now.text
    assert client.session
    assert client.session not in now.text


def test_the_errors_of_handlers_are_counted(measured: Measured, before: Scrape) -> None:
    with joined(measured, 1) as (client,):
        client.call("explode")
        client.send_packet("40/by-class,")
        client.wait_for_packet("40/by-class,")
        client.send_packet('42/by-class,["explode"]')
        client.call("subscribe", {"channels": "no list"})  # declined, which is no error
        now = scrape_until(
            measured.port,
            lambda metrics: grown(metrics, before, "socketio_handler_errors_total") == 2,
        )
    for namespace in ("/", "/by-class"):
        assert (
            grown(
                now, before, "socketio_handler_errors_total", namespace=namespace, event="explode"
            )
            == 1
        )


def test_a_slow_client_is_seen_and_its_end_is_counted(measured: Measured, before: Scrape) -> None:
    poller = PollingSession(measured.url)
    poller.connect_namespace()
    poller.call("subscribe", {"channels": ["slow"]})

    def publish(count: int) -> None:
        for _ in range(count):
            requests.post(f"{measured.url}/api/channels/slow", json="x" * 1000, timeout=PATIENCE)

    publish(20)
    waiting = scrape_until(
        measured.port, lambda metrics: metrics.total("socketio_send_buffer_messages") >= 20
    )
    assert waiting.total("socketio_send_buffer_bytes") > 20_000
    assert waiting.total("socketio_largest_send_buffer_bytes") > 20_000
    publish(20)
    now = scrape_until(
        measured.port,
        lambda metrics: (
            grown(metrics, before, "socketio_disconnects_total", reason="slow client") == 1
        ),
    )
    assert grown(now, before, "socketio_disconnects_total") == 1
    scrape_until(measured.port, lambda metrics: metrics.total("socketio_send_buffer_messages") == 0)


def test_round_trips_lag_and_the_way_through_the_queue_are_measured(measured: Measured) -> None:
    scrape_until(
        measured.port,
        lambda metrics: (
            metrics.total("socketio_queue_lag_seconds_count") > 0
            and metrics.total("socketio_loop_lag_seconds_count") > 0
        ),
    )


def test_what_clients_say_of_their_connections_is_shown(measured: Measured, before: Scrape) -> None:
    with joined(measured, 2) as clients:
        for client in clients:
            quality = {"state": "degraded", "transport": "websocket", "median_ms": 700}
            client.call("heartbeat", {"sent_at": 0, "quality": quality})
        now = scrape_until(
            measured.port, lambda metrics: metrics.total("socketio_degraded_sessions") == 2
        )
        assert grown(now, before, "socketio_client_round_trip_seconds_count") == 2
        assert grown(now, before, "socketio_client_round_trip_seconds_sum") == pytest.approx(1.4)
    scrape_until(measured.port, lambda metrics: metrics.total("socketio_degraded_sessions") == 0)


def test_a_killed_worker_takes_its_gauges_along_and_no_count(
    measured: Measured, before: Scrape
) -> None:
    with joined(measured, 4):
        full = scrape_until(measured.port, lambda metrics: metrics.total("socketio_sessions") == 4)
        # The listener is started again with the next worker.
        listener = measured.listener()
        listener.kill()
        eventually(lambda: not listener.is_running(), "the listener is gone")
        measured.workers()[0].kill()
        measured.killed_sessions += 2
        half = scrape_until(
            measured.port,
            lambda metrics: (
                metrics.total("socketio_sessions") == 2
                and grown(metrics, before, "socketio_worker_starts_total") == 1
            ),
        )
    assert half.fell_behind(full) == {}
    assert half.total(STARTED_AT) == before.total(STARTED_AT)
    again = measured.wait_for_workers()
    assert len(again.values("socketio_max_sessions", "worker")) == WORKERS
    assert again.fell_behind(half) == {}


def test_a_reload_keeps_the_counts_and_is_answered_throughout(
    measured: Measured, before: Scrape
) -> None:
    old = {process.pid for process in measured.workers()}
    for _ in range(4):
        PollingSession(measured.url)
    scrapes = [before]
    measured.served.signal(signal.SIGHUP)

    def replaced() -> bool:
        scrapes.append(measured.scrape())
        return not old & {process.pid for process in measured.workers()}

    eventually(replaced, "the old workers are gone")
    now = measured.wait_for_workers()
    for earlier, later in pairwise([*scrapes, now]):
        assert later.fell_behind(earlier) == {}
        assert later.total(STARTED_AT) == earlier.total(STARTED_AT)
        assert later.total(CONFIGURED) == WORKERS
    assert grown(now, before, "socketio_worker_starts_total") == WORKERS
    assert grown(now, before, "socketio_disconnects_total", reason="server draining") == 4
    assert len(now.values("socketio_max_sessions", "worker")) == WORKERS


def test_the_public_port_has_no_metrics(measured: Measured) -> None:
    assert http("GET", f"{measured.url}/metrics").status == 404


def serving(metrics: Scrape) -> int:
    """Return how many workers have loaded the app and live."""
    return sum(s.name == "socketio_max_sessions" and s.value > 0 for s in metrics.samples)


def test_a_worker_that_cannot_be_replaced_is_missed(bake: Bake, tmp_path: Path) -> None:
    project = bake().copy(tmp_path / "mistaken")
    port = free_port()
    with (
        running(tmp_path) as queue,
        serve(
            project,
            tmp_path / "mistaken.log",
            ASYNC_MODE="threading",
            REDIS_URL=queue.url,
            WEB_CONCURRENCY=str(WORKERS),
            METRICS_BIND=f"127.0.0.1:{port}",
        ) as served,
    ):
        service = Measured(served, port)
        scrape_until(port, lambda metrics: serving(metrics) == WORKERS)
        with (project.path / "live_board/events.py").open("a") as module:
            module.write("import what_is_not_there\n")
        service.workers()[0].kill()
        eventually(lambda: "the others serve on" in served.log_text(), served.log_text)
        missing = scrape_until(port, lambda metrics: serving(metrics) < WORKERS)
        assert missing.total(CONFIGURED) == WORKERS
        served.signal(signal.SIGTTIN)
        scrape_until(port, lambda metrics: metrics.total(CONFIGURED) == WORKERS + 1)


def directory_of(served: ServedProject) -> Path:
    """Return where the workers of a service count."""
    (directory,) = Path("/dev/shm").glob(f"socketio-metrics-{served.pid}-*")
    return directory


def has_started(metrics: Scrape) -> bool:
    return metrics.total("socketio_worker_starts_total") == 1


def test_nothing_is_left_behind_for_good(bake: Bake, tmp_path: Path) -> None:
    port = free_port()
    environment = {"ASYNC_MODE": "threading", "METRICS_BIND": f"127.0.0.1:{port}"}
    with serve(bake(), tmp_path / "killed", **environment) as killed:
        first = scrape_until(port, has_started).total(STARTED_AT)
        left = directory_of(killed)
        children = psutil.Process(killed.pid).children()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        eventually(lambda: not any(c.is_running() for c in children), "all have left")
    # It is there still, unless a service of another test has started meanwhile.
    with serve(bake(), tmp_path / "stopped", **environment) as stopped:
        assert not left.exists()
        assert scrape_until(port, has_started).total(STARTED_AT) > first
        directory = directory_of(stopped)
        children = psutil.Process(stopped.pid).children()
    assert not directory.exists()
    assert not any(child.is_running() for child in children)


def test_a_directory_that_somebody_empties_costs_the_counts_only(
    bake: Bake, tmp_path: Path
) -> None:
    port = free_port()
    with serve(
        bake(), tmp_path / "log", ASYNC_MODE="threading", METRICS_BIND=f"127.0.0.1:{port}"
    ) as served:
        scrape_until(port, has_started)
        shutil.rmtree(directory_of(served))
        assert not has_started(scrape(port))
        served.signal(signal.SIGHUP)
        scrape_until(port, has_started)


def test_an_address_that_is_taken_is_said_once_and_tried_again(bake: Bake, tmp_path: Path) -> None:
    port = free_port()
    environment = {"ASYNC_MODE": "threading", "METRICS_BIND": f"127.0.0.1:{port}"}
    with serve(bake(), tmp_path / "first", **environment) as first:
        scrape_until(port, has_started)
        with serve(bake(), tmp_path / "second", **environment) as second:

            def records(beginning: str) -> list[str]:
                events = [record["event"] for record in second.records()]
                return [event for event in events if event.startswith(beginning)]

            eventually(lambda: records("metrics are not served"), "it is said")
            first.stop()
            eventually(lambda: records("metrics are served"), "it is taken over")
            assert len(records("metrics are not served")) == 1
