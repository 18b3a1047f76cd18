"""Nothing that was confirmed is lost without a word, sent twice or out of order, however the queue comes back.

``ROUNDS=50 pytest tests/test_comebacks.py`` lets it come back more often than ``make test`` does.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comebacks import COMEBACKS, lined_up
from numbering import Client, Ledger, Process
from production.realtime.entries import NewestEntry
from production.realtime.history import REMEMBERED_ENDS
from production.realtime.journal import Unavailable
from waiting import eventually

ROUNDS = int(os.environ.get("ROUNDS", "1"))
CHANNEL = "ledger"


class Publisher(threading.Thread):
    """Publishes through one process after the other, each message until it is confirmed."""

    def __init__(self, name: str, processes: list[Process], ledger: Ledger) -> None:
        super().__init__(daemon=True)
        self._name = name
        self._processes = processes
        self._ledger = ledger
        self._stopped = threading.Event()
        self.count = 0

    def run(self) -> None:
        """Publish until it is stopped."""
        while not self._stopped.wait(0.005):
            self.count += 1
            data = f"{self._name}-{self.count}"
            while not self._publish(data):
                self._stopped.wait(0.05)

    def _publish(self, data: str) -> bool:
        process = random.choice(self._processes)
        with contextlib.suppress(Unavailable):
            self._ledger.confirmed[data] = process.publish(CHANNEL, data, data)
            return True
        return False

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopped.set()
        self.join()


NAMES = list(COMEBACKS)


@pytest.mark.parametrize(("first", "then"), list(zip(NAMES, NAMES[-2:] + NAMES[:-2], strict=True)))
def test_the_ledger_is_right(tmp_path: Path, first: str, then: str) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        processes = [Process(line.url) for _ in range(3)]
        for process in processes:
            stack.callback(process.close)
        ledger = Ledger()
        live = [process.client(CHANNEL) for process in processes]
        publishers = [Publisher(f"p{number}", processes, ledger) for number in range(3)]
        for publisher in publishers:
            publisher.start()
        late: list[Client] = []
        for comeback in [first, then] * ROUNDS:
            grown(ledger, 15)
            # Who leaves now has been told of what was lost before.
            told, seen = [*live[0].gaps], [dict(update) for update in live[0].updates]
            grown(ledger, 15)
            COMEBACKS[comeback](line)
            grown(ledger, 30)
            back = [returning(process, seen) for process in processes]
            for client in back:
                client.gaps[:0] = told
            late += back
        for publisher in publishers:
            publisher.stop()
        everyone = [*live, *late]
        eventually(
            lambda: not any(ledger.unsaid(client) for client in everyone),
            lambda: f"all is said: {[ledger.unsaid(client) for client in everyone]}",
        )
        ledger.check_words(everyone)
        ledger.check_order(everyone)


def test_who_has_just_come_lets_those_who_remember_say_what_is_there(tmp_path: Path) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        first = Process(line.url)
        stack.callback(first.close)
        witness = first.client(CHANNEL)
        for number in range(4):
            first.publish(CHANNEL, number)
        eventually(lambda: witness.data == [0, 1, 2, 3], "all came")
        for _ in range(4):
            line.restart()
            newcomer = Process(line.url)
            stack.callback(newcomer.close)
            client = returning(newcomer, witness.updates[:2])
            assert (client.data, client.gaps) == ([0, 1, 2, 3], [])


def test_who_comes_when_all_others_have_left_knows_what_they_had(tmp_path: Path) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        had = NewestEntry()

        def process() -> Process:
            started = Process(line.url, had=had)
            stack.callback(started.close)
            return started

        first = process()
        client = first.client(CHANNEL)
        for number in range(4):
            first.publish(CHANNEL, number)
        eventually(lambda: client.data == [0, 1, 2, 3], "all came")
        first.close()
        line.restart()
        second = process()
        assert returning(second, client.updates[:2]).data == [0, 1, 2, 3]
        assert not returning(second, client.updates[:2]).gaps

        def meanwhile() -> None:
            second.publish(CHANNEL, 4)
            second.close()

        line.restore(meanwhile)
        assert returning(process(), client.updates[:2]).gaps == [(5, None)]


def test_what_is_gone_with_the_queue_and_published_again_is_sent_again(tmp_path: Path) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        processes = [Process(line.url) for _ in range(2)]
        for process in processes:
            stack.callback(process.close)
        ledger = Ledger()
        clients = [process.client(CHANNEL) for process in processes]

        def publish(data: str) -> bool:
            with contextlib.suppress(Unavailable):
                ledger.confirmed[data] = processes[0].publish(CHANNEL, data, data)
                return True
            return False

        for data in ("first", "second", "seen, and not confirmed"):
            publish(data)
        eventually(lambda: all(len(client.data) == 3 for client in clients), "all came")
        line.replace()
        for data in ("first of all", "seen, and not confirmed"):
            eventually(partial(publish, data), "the queue takes messages again")
        eventually(lambda: all(len(client.data) == 5 for client in clients), "both came")
        late = [returning(process, clients[0].updates[:3]) for process in processes]
        for client in (*clients, *late):
            assert client.data[2] == client.data[4] == "seen, and not confirmed"
            assert client.gaps == [(4, None)]
        ledger.check_words([*clients, *late])
        ledger.check_order([*clients, *late])


def test_who_has_not_read_the_queue_yet_takes_no_one_in(tmp_path: Path) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        first = Process(line.url)
        stack.callback(first.close)
        first.publish(CHANNEL, "kept")
        line.link.swallow_everything()
        newcomer = Process(line.url)
        stack.callback(newcomer.close)
        with pytest.raises(Unavailable):
            newcomer.client(CHANNEL)
        with pytest.raises(Unavailable):
            newcomer.channels.watch("from now on", CHANNEL)
        line.link.carry()
        assert returning(newcomer, []).data == ["kept"]


@pytest.mark.parametrize("times", [REMEMBERED_ENDS // 2, REMEMBERED_ENDS + 8])
def test_a_queue_may_come_back_again_and_again(tmp_path: Path, times: int) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        process = Process(line.url)
        stack.callback(process.close)
        live, ledger = process.client(CHANNEL), Ledger()

        def publish(data: str) -> bool:
            with contextlib.suppress(Unavailable):
                ledger.confirmed[data] = process.publish(CHANNEL, data, data)
            return data in ledger.confirmed

        for number in range(times):
            eventually(partial(publish, f"before {number}"), "the queue takes messages")
            line.restart()
            eventually(partial(publish, f"after {number}"), "the queue takes messages again")
        eventually(lambda: f"after {number}" in live.data, lambda: f"the last one came: {live}")
        newcomer = Process(line.url)
        stack.callback(newcomer.close)
        seen = range(0, len(live.updates) + 1, 5)
        late = [returning(newcomer, live.updates[:count]) for count in seen]
        for client in late:
            # What the first one was told of is missing in what they bring.
            client.gaps[:0] = live.gaps
        clients = [live, *late]
        ledger.check_words(clients)
        ledger.check_order(clients)
        if times < REMEMBERED_ENDS:
            assert not any(client.gaps for client in clients)


def test_processes_that_remember_nothing_give_no_number_again(tmp_path: Path) -> None:
    with lined_up(tmp_path) as line, contextlib.ExitStack() as stack:
        first = Process(line.url)
        client = first.client(CHANNEL)
        for number in range(3):
            first.publish(CHANNEL, number)

        def meanwhile() -> None:
            for number in range(3, 5):
                first.publish(CHANNEL, number)
            eventually(lambda: len(client.updates) == 5, "all came")
            first.close()

        line.restore(meanwhile)
        second = Process(line.url)
        stack.callback(second.close)
        assert second.publish(CHANNEL, "new") == 4
        # Nobody knows how many were published after what is there.
        for count in (2, 3, 5):
            comer = returning(second, client.updates[:count])
            assert comer.data == [*range(max(3, count)), "new"]
            assert comer.gaps == [(4, None)]
        epochs = {update["epoch"] for update in comer.updates}
        assert len(epochs) == 2


def grown(ledger: Ledger, count: int) -> None:
    """Wait until so many more messages are confirmed."""
    enough = len(ledger.confirmed) + count
    eventually(lambda: len(ledger.confirmed) >= enough, "messages are confirmed")


def returning(process: Process, seen: list[dict[str, Any]]) -> Client:
    """Return a client that comes back with what it has seen, once its process knows what it missed."""

    def come() -> Client | None:
        with contextlib.suppress(Unavailable):
            return process.client(CHANNEL, seen)
        return None

    client = eventually(come, "a client comes back")
    assert client
    return client
