"""The failure that this template exists for, and the generated service under the same abuse.

The first half shows that the old stack still fails, so that the second half proves something: the
same clients, written in the same bytes, against the service in each of its modes.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import legacy_stack
from observing import (
    MODES,
    LogMark,
    StartService,
    descriptors,
    not_json,
    open_sessions,
    wait_until_quiet,
)
from rawclient import PollingSession, RawWebSocket, http, open_websocket, post_json
from waiting import eventually

# Each way to leave, as a client does it: a browser on a refresh, a client that just closes, and one
# that is killed.
LEAVINGS: dict[str, Callable[[RawWebSocket], object]] = {
    "clean-close": RawWebSocket.close_cleanly,
    "fin": RawWebSocket.fin,
    "rst": RawWebSocket.reset,
}

CHANNEL = "abuse"
ROUNDS = 100
MESSAGES_PER_SECOND = 50


# ---------------------------------------------------------------------------------------------
# The stack that failed


@pytest.fixture(scope="module")
def legacy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[legacy_stack.LegacyServer]:
    with legacy_stack.running(tmp_path_factory.mktemp("legacy")) as server:
        yield server


@pytest.mark.parametrize("leaving", LEAVINGS)
def test_the_old_stack_asserts_when_a_direct_websocket_ends(
    legacy_server: legacy_stack.LegacyServer, leaving: str
) -> None:
    before = legacy_server.assertions()
    ws = open_websocket(legacy_server.url)
    LEAVINGS[leaving](ws)
    eventually(
        lambda: legacy_server.assertions() == before + 1,
        within=30,
        what=lambda: f"one more assertion in {legacy_server.log_text()}",
    )


# ---------------------------------------------------------------------------------------------
# The generated service


@pytest.mark.parametrize("mode", MODES)
def test_the_generated_service_takes_the_same_abuse_in_silence(
    service: StartService, mode: str
) -> None:
    # A killed long-polling client is only missed at its ping time-out, hence the short one.
    served = service(mode, PING_INTERVAL="3", PING_TIMEOUT="3")
    _warm_up(served.url)
    wait_until_quiet(served)
    descriptors_before = descriptors(served)
    log = LogMark(served)

    jobs = [
        *itertools.repeat(_refresh, ROUNDS),
        *itertools.repeat(_kill_polling, ROUNDS // 2),
        *itertools.repeat(_kill_websocket, ROUNDS // 2),
        *(
            lambda url, leave=leave: _open_directly(url, leave)
            for leave in itertools.islice(itertools.cycle(LEAVINGS.values()), ROUNDS)
        ),
    ]
    # Interleaved, so that every kind of abuse happens while all the others do.
    mixed = [job for start in range(ROUNDS) for job in jobs[start::ROUNDS]]
    with (
        _Repeated(lambda: _publish(served.url), 1 / MESSAGES_PER_SECOND) as publisher,
        _Repeated(lambda: _probe(served.url), 0.02) as prober,
        ThreadPoolExecutor(max_workers=8) as clients,
    ):
        submitted = [clients.submit(job, served.url) for job in mixed]
        sessions = [done.result() for done in submitted]

    assert set(publisher.results) == {202}, publisher.results
    assert set(prober.results) == {("/health/live", 200), ("/health/ready", 200)}, prober.results
    eventually(
        lambda: open_sessions(served) == 0,
        within=30,
        what=lambda: f"no session is left; there are {open_sessions(served)}",
    )
    eventually(
        lambda: descriptors(served) <= descriptors_before,
        within=30,
        what=lambda: f"{descriptors(served)} descriptors fall to {descriptors_before}",
    )
    assert log.loud() == []
    assert not_json(served) == []
    assert "Traceback" not in served.log_text()
    ended = Counter(record["session"] for record in log.ended(*sessions))
    assert ended == dict.fromkeys(sessions, 1)


def _warm_up(url: str) -> None:
    """Let the service open what it opens once: its descriptors are counted after this."""
    _refresh(url, channel="warm-up")
    _open_directly(url, RawWebSocket.close_cleanly, channel="warm-up")


def _subscribe(client: RawWebSocket | PollingSession, channel: str) -> None:
    client.connect_namespace()
    answer = client.call("subscribe", {"channels": [channel]})
    assert answer == {"ok": True, "channels": [channel]}
    if channel == CHANNEL:
        client.wait_for_event("update")


def _refresh(url: str, channel: str = CHANNEL) -> str:
    """What a browser does on F5: long polling, the upgrade, and away.

    As in a browser, a poll is pending while the WebSocket is probed, and the switch is only made
    when the server has ended it.
    """
    polling = PollingSession(url, keep_alive=True)
    with contextlib.closing(polling):
        _subscribe(polling, channel)
        pending = polling.start_poll()
        with contextlib.closing(pending), open_websocket(url, sid=polling.sid) as ws:
            ws.send_text("2probe")
            assert ws.receive_packet() == "3probe"
            assert pending.response().status == 200
            ws.send_text("5")
            if channel == CHANNEL:
                ws.wait_for_event("update")
            ws.close_cleanly()
    return polling.session


def _kill_polling(url: str) -> str:
    """Reset the connection of a poll that is pending."""
    polling = PollingSession(url)
    _subscribe(polling, CHANNEL)
    polling.start_poll().reset()
    return polling.session


def _kill_websocket(url: str) -> str:
    """Reset a WebSocket that the server is writing to, with a message of our own half sent."""
    ws = open_websocket(url)
    _subscribe(ws, CHANNEL)
    ws.send(b"\x81\xfe\x10\x00half of a message")
    ws.reset()
    return ws.session


def _open_directly(
    url: str, leave: Callable[[RawWebSocket], object], channel: str = CHANNEL
) -> str:
    """Open a WebSocket without long polling first: this is what the old stack asserted on."""
    ws = open_websocket(url)
    _subscribe(ws, channel)
    leave(ws)
    return ws.session


def _publish(url: str) -> int:
    return post_json(f"{url}/api/channels/{CHANNEL}", {"at": time.time()}).status


_probes = itertools.cycle(["/health/live", "/health/ready"])


def _probe(url: str) -> tuple[str, int]:
    path = next(_probes)
    return path, http("GET", url + path).status


class _Repeated:
    """Calls something again and again in a thread, and counts what it returned."""

    def __init__(self, call: Callable[[], object], every: float) -> None:
        self.results: Counter[object] = Counter()
        self._call = call
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            # A late call is followed by the next one at once: the rate is an average.
            due += self._every
            try:
                self.results[self._call()] += 1
            except Exception as error:
                # Whatever it is, the assertion on the results has to show it.
                self.results[repr(error)] += 1

    def __enter__(self) -> _Repeated:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
