"""What must hold while a service is fuzzed, and afterwards."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rawclient import PollingSession, RawWebSocket, http, open_websocket

PAUSE = 0.05
"""Seconds between two questions of a normal client."""

THREAD_OBJECTS, THREAD_MEMORY = 50, 500_000
"""What a thread of gunicorn's pool may hold, in bytes the latter: its stack, when it has read nested JSON."""

CACHES = 16_000_000
"""Bytes by which a process may grow whatever the number of clients."""

QUIET_LEVELS = ("debug", "info", "warning")


class Log:
    """A service's log, read on from where it was read last.

    :param path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def faults(self) -> list[str]:
        """Return the new lines that no client may cause: errors, tracebacks, what is no record."""
        with self._path.open("rb") as log:
            log.seek(self._place)
            *lines, _ = log.read().split(b"\n")
        self._place += sum(len(line) + 1 for line in lines)
        return [line.decode(errors="replace") for line in lines if line and not _is_harmless(line)]


def _is_harmless(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return record["level"] in QUIET_LEVELS and "exception" not in record


class Bystanders:
    """Normal clients: one that stays, and one after the other that comes, asks and leaves.

    :param url: where the service is.
    """

    def __init__(self, url: str) -> None:
        #: How often those that stay and those that come were answered.
        self.answers = [0, 0]
        self._url = url
        self._stop = threading.Event()
        self._errors: list[BaseException] = []

    def served_since(self, answers: list[int]) -> bool:
        """Tell whether both kinds were served since they had so many answers.

        :raises AssertionError: if one of them cannot be served any more.
        """
        self._check()
        return all(now > then for now, then in zip(self.answers, answers, strict=True))

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Have them served while something else happens."""
        threads = [
            threading.Thread(target=self._run, args=(one,)) for one in (self._stay, self._come)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        self._check()

    def _check(self) -> None:
        if self._errors:
            raise AssertionError("a normal client was not served") from self._errors[0]

    def _run(self, serve: Callable[[], None]) -> None:
        try:
            serve()
        except BaseException as error:
            self._errors.append(error)

    def _stay(self) -> None:
        with open_websocket(self._url) as client:
            _join(client)
            while not self._stop.wait(PAUSE):
                _ask(client, self.answers[0])
                self.answers[0] += 1
            client.close_cleanly()

    def _come(self) -> None:
        while not self._stop.wait(PAUSE):
            client = PollingSession(self._url)
            _join(client)
            _ask(client, self.answers[1])
            assert client.leave().status == 200
            self.answers[1] += 1


def _join(client: RawWebSocket | PollingSession) -> None:
    client.connect_namespace()
    client.wait_for_event("connection_ack")


def _ask(client: RawWebSocket | PollingSession, number: int) -> None:
    answer = client.call("heartbeat", {"sent_at": number})
    assert (answer["ok"], answer["sent_at"]) == (True, number)


def held(url: str) -> dict[str, int]:
    """Return what the worker holds; see tests/apps/counted.py."""
    counts: dict[str, int] = http("GET", f"{url}/held").json()
    return counts


def growth(before: dict[str, int], after: dict[str, int], cases: int) -> dict[str, int]:
    """Return what there is more of than may be, and how much more.

    Caches may have grown, by less than one object for each case, and gunicorn's pool of threads.

    :param before: what the worker held when it had seen some clients.
    :param after: what it holds when there have been many.
    :param cases: how many they were.
    """
    threads = max(after["pooled"] - before["pooled"], 0)
    allowed = {
        "pooled": threads,
        "objects": 500 + cases + threads * THREAD_OBJECTS,
        "resident": CACHES + after["pooled"] * THREAD_MEMORY,
    }
    grown = {name: after[name] - count - allowed.get(name, 0) for name, count in before.items()}
    return {name: more for name, more in grown.items() if more > 0}
