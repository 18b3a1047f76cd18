"""Two minutes in which everything that can go wrong does, while channels are checked message by message.

What happens when is drawn from a seed, which the test prints: CHAOS_SEED=… plays it again. CHAOS_MODE
and CHAOS_SECONDS choose the async mode and the time.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

from baking import ASYNC_MODES, Bake
from following import Publisher, Watcher, expect_everything
from observing import not_json
from queues import Valkey, running
from routed import WORKERS, wait_for_workers, workers
from served import ServedProject, serve
from waiting import PATIENCE

SEED = int(os.environ.get("CHAOS_SEED", secrets.randbelow(1_000_000)))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "120"))
CHANNELS = ("chaos-a", "chaos-b", "chaos-c")
WATCHERS_PER_CHANNEL = 6
INTERVAL = 0.05
"""Seconds between two messages of a channel."""


class Chaos:
    """Does harm, and remembers what it did.

    :param served: the service.
    :param queue: its queue.
    :param watchers: its clients.
    :param chance: what draws.
    """

    def __init__(
        self, served: ServedProject, queue: Valkey, watchers: list[Watcher], chance: random.Random
    ) -> None:
        self._served = served
        self._queue = queue
        self._watchers = watchers
        self._chance = chance
        self.done: list[str] = []

    def strike(self) -> None:
        """Do one harmful thing."""
        harm: Callable[[], None] = self._chance.choices(
            (
                self.kill_worker,
                self.restart_queue,
                self.freeze_queue,
                self.reload,
                self.cut_clients,
            ),
            weights=(3, 1, 1, 1, 6),
        )[0]
        self.done.append(harm.__name__)
        harm()

    def kill_worker(self) -> None:
        """Kill one of the workers that there are."""
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self._chance.choice(workers(self._served)).pid, signal.SIGKILL)

    def restart_queue(self) -> None:
        """Kill the queue and bring it back after a moment."""
        self._queue.kill()
        time.sleep(self._chance.uniform(0.1, 2))
        self._queue.start()

    def freeze_queue(self) -> None:
        """Let the queue hang for a moment."""
        self._queue.freeze()
        time.sleep(self._chance.uniform(0.1, 3))
        self._queue.thaw()

    def reload(self) -> None:
        """Replace all workers."""
        self._served.signal(signal.SIGHUP)

    def cut_clients(self) -> None:
        """Cut a third of the clients."""
        for watcher in self._chance.sample(self._watchers, len(self._watchers) // 3):
            watcher.refresh()


def test_nothing_is_lost_nothing_comes_twice_and_order_is_kept(bake: Bake, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    mode = os.environ.get("CHAOS_MODE", chance.choice(ASYNC_MODES))
    print(f"CHAOS_SEED={SEED} CHAOS_MODE={mode}")
    count = int(SECONDS / INTERVAL / 2)
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(
            running(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
        )
        settings = {
            "ASYNC_MODE": mode,
            "REDIS_URL": queue.url,
            "WEB_CONCURRENCY": str(WORKERS),
            "DRAIN_SECONDS": "1",
            "REPLAY_MESSAGES": "100000",
        }
        served = stack.enter_context(serve(bake(), tmp_path / "chaos.log", **settings))
        wait_for_workers(served)
        watchers = {
            channel: [
                Watcher([served.url], channel, "polling" if number % 2 else "websocket")
                for number in range(WATCHERS_PER_CHANNEL)
            ]
            for channel in CHANNELS
        }
        everyone = [watcher for group in watchers.values() for watcher in group]
        for watcher in everyone:
            stack.callback(watcher.stop)
            watcher.start()
        publishers = {
            channel: Publisher([served.url], channel, count, INTERVAL) for channel in CHANNELS
        }
        for publisher in publishers.values():
            publisher.start()

        chaos = Chaos(served, queue, everyone, chance)
        ends_at = time.monotonic() + SECONDS
        while time.monotonic() < ends_at:
            time.sleep(chance.uniform(0.2, 3))
            chaos.strike()

        for publisher in publishers.values():
            publisher.join(PATIENCE + SECONDS)
            assert not publisher.is_alive(), chaos.done
        for channel in CHANNELS:
            expect_everything(watchers[channel], count)
            assert publishers[channel].confirmed == {n: n for n in range(1, count + 1)}
        assert not not_json(served)
        assert [record["exception"] for record in served.records() if "exception" in record] == []
