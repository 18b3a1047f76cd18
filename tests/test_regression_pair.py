"""The failure that this template exists for, and the generated service under the same abuse.

The first half shows that the old stack still fails, so that the second half proves something: the
same clients, written in the same bytes, against the service in each of its modes.
"""

from __future__ import annotations

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
from rawclient import RawWebSocket, SocketIOClient, http, open_websocket, post_json
from visiting import LEAVINGS, Visitor
from waiting import eventually

CHANNEL = "abuse"
ROUNDS = 80
"""Three visits each, of two lines in the log: fewer than one address may cause in a second."""

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

    visitor = Visitor(_subscribe, lambda client: client.wait_for_event("update"))
    with (
        _Repeated(lambda: _publish(served.url), 1 / MESSAGES_PER_SECOND) as publisher,
        _Repeated(lambda: _probe(served.url), 0.02) as prober,
        ThreadPoolExecutor(max_workers=8) as clients,
    ):
        submitted = [clients.submit(visit, served.url) for visit in visitor.abuse(ROUNDS)]
        sessions = [done.result() for done in submitted]

    assert set(publisher.results) == {202}, publisher.results
    assert set(prober.results) == {("/health/live", 200), ("/health/ready", 200)}, prober.results
    eventually(
        lambda: open_sessions(served) == 0,
        what=lambda: f"no session is left; there are {open_sessions(served)}",
    )
    eventually(
        lambda: descriptors(served) <= descriptors_before,
        what=lambda: f"{descriptors(served)} descriptors fall to {descriptors_before}",
    )
    assert log.loud() == []
    assert not_json(served) == []
    assert "Traceback" not in served.log_text()
    ended = Counter(record["session"] for record in log.ended(*sessions))
    assert ended == dict.fromkeys(sessions, 1)


def _warm_up(url: str) -> None:
    """Let the service open what it opens once: its descriptors are counted after this."""
    visitor = Visitor(lambda client: _join(client, "warm-up"), lambda client: None)
    visitor.refresh(url)
    visitor.open_directly(url, RawWebSocket.close_cleanly)


def _subscribe(client: SocketIOClient) -> None:
    _join(client, CHANNEL)
    client.wait_for_event("update")


def _join(client: SocketIOClient, channel: str) -> None:
    client.connect_namespace()
    answer = client.call("subscribe", {"channels": [channel]})
    assert answer == {"ok": True, "channels": [channel]}


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
