"""What was published over HTTP and confirmed, held against what each client of the channel was sent or told."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

from following import ENDINGS, Watcher, post, watching
from numbering import Client, Ledger
from waiting import eventually

TRANSPORTS = ("websocket", "polling")
PUBLISHERS = 3


class Books:
    """Publishes numbers to a channel without pause, and watches it over each transport.

    :param urls: the services, which take turns.
    :param channel: the channel's name.
    """

    def __init__(self, urls: Sequence[str], channel: str) -> None:
        self._urls = urls
        self._channel = channel
        self._ledger = Ledger()
        numbers = itertools.count(1)
        self._publishers = [
            _Publisher(urls, channel, self._ledger, numbers) for _ in range(PUBLISHERS)
        ]
        self._stack = contextlib.ExitStack()
        self.watchers: list[Watcher] = []

    def __enter__(self) -> Self:
        self.watchers = self._stack.enter_context(
            watching(self._urls, self._channel, TRANSPORTS * 2)
        )
        for publisher in self._publishers:
            publisher.start()
        self._stack.callback(self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __str__(self) -> str:
        received = [len(watcher.updates) for watcher in self.watchers]
        gaps = [watcher.gaps for watcher in self.watchers]
        return f"{len(self._ledger.confirmed)} confirmed, {received} received, gaps {gaps}"

    def grow(self, count: int) -> None:
        """Wait until so many more messages are confirmed."""
        enough = len(self._ledger.confirmed) + count
        eventually(lambda: len(self._ledger.confirmed) >= enough, "messages are confirmed")

    def close(self) -> None:
        """Publish no more, and check that nothing is lost without a word, comes twice or out of order."""
        self._stop()
        eventually(
            lambda: not any(self._unsaid()), lambda: f"all is said; {self._unsaid()} is not; {self}"
        )
        clients = [_client_of(watcher) for watcher in self.watchers]
        self._ledger.check_words(clients)
        self._ledger.check_order(clients)
        assert not any(watcher.fault for watcher in self.watchers)

    def _unsaid(self) -> list[dict[Any, int]]:
        """Return what is unsaid to each watcher, with its number."""
        unsaid = [self._ledger.unsaid(_client_of(watcher)) for watcher in self.watchers]
        return [{data: self._ledger.confirmed[data] for data in each} for each in unsaid]

    def _stop(self) -> None:
        for publisher in self._publishers:
            publisher.stop()


class _Publisher(threading.Thread):
    """Publishes each message until it is confirmed."""

    def __init__(
        self, urls: Sequence[str], channel: str, ledger: Ledger, numbers: Iterator[int]
    ) -> None:
        super().__init__(daemon=True)
        self._urls = itertools.cycle(urls)
        self._channel = channel
        self._ledger = ledger
        self._numbers = numbers
        self._stopped = threading.Event()

    def run(self) -> None:
        """Publish until it is stopped."""
        while not self._stopped.wait(0.01):
            number = next(self._numbers)
            while not self._publish(number):
                self._stopped.wait(0.05)

    def _publish(self, number: int) -> bool:
        with contextlib.suppress(*ENDINGS):
            answer = post(next(self._urls), self._channel, number, f"id-{number}")
            if answer.status == 202:
                self._ledger.confirmed[number] = answer.json()["sequence"]
                return True
        return False

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopped.set()
        self.join()


def _client_of(watcher: Watcher) -> Client:
    return Client(list(watcher.updates), [(gap["from"], gap["to"]) for gap in watcher.gaps])
