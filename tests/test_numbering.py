"""No number is given twice in an epoch, whatever the queue comes back as, and whoever publishes next."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from numbering import SERVICE, Client, Ledger, Process
from production.realtime.journal import Unavailable
from production.realtime.stream_inspection import KEYS
from queues import Link, Valkey, running
from waiting import eventually

CHANNEL, OTHER = "here", "there"
NAMES = {key: f"production:{{{SERVICE}}}:channels:{key}" for key in KEYS}


class Scene:
    """A queue behind a link, and processes of one service.

    :param queue: the queue.
    :param link: the way to it.
    """

    def __init__(self, queue: Valkey, link: Link) -> None:
        self.queue = queue
        self.link = link
        self.url = f"redis://127.0.0.1:{link.port}/0"
        self.ledger = Ledger()
        self._processes: list[Process] = []
        self._numbers = itertools.count(1)

    @property
    def raw(self) -> Any:
        """A client of the test's own that does not decode."""
        return redis.Redis(port=self.queue.port)

    def process(self, url: str | None = None) -> Process:
        """Start another process and wait until it follows."""
        process = Process(url or self.url)
        self._processes.append(process)
        eventually(lambda: process.journal.followed, "the process follows the channels")
        return process

    def publish(self, process: Process, count: int = 1, channel: str = CHANNEL) -> None:
        """Publish numbers, each until it is confirmed."""
        for _ in range(count):
            number = next(self._numbers)
            attempt = functools.partial(self._try, process, channel, number)
            sequence = eventually(attempt, "it is published")
            if channel == CHANNEL:
                self.ledger.confirmed[number] = sequence

    def dump(self) -> dict[str, bytes]:
        """Return what the keys hold."""
        return {key: content for key, name in NAMES.items() if (content := self.raw.dump(name))}

    def restore(self, dump: dict[str, bytes], *keys: str) -> None:
        """Let keys hold what they held: some of them, or all and no other."""
        with self.raw.pipeline() as pipeline:
            if not keys:
                pipeline.flushall()
            for key in keys or dump:
                pipeline.restore(NAMES[key], 0, dump[key], replace=True)
            pipeline.execute()

    def close(self) -> None:
        """Let the processes end."""
        for process in self._processes:
            process.close()

    @staticmethod
    def _try(process: Process, channel: str, number: int) -> int:
        with contextlib.suppress(Unavailable):
            return process.publish(channel, number, f"id-{number}")
        return 0


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a Valkey for all tests here that do not kill theirs."""
    with running(tmp_path_factory.mktemp("queue")) as valkey:
        yield valkey


@contextlib.contextmanager
def staged(queue: Valkey) -> Iterator[Scene]:
    """Set a scene on an empty queue."""
    queue.client.flushall()
    link = Link(queue.port)
    scene = Scene(queue, link)
    try:
        yield scene
    finally:
        scene.close()
        link.close()


@pytest.fixture
def scene(queue: Valkey) -> Iterator[Scene]:
    """A scene with a queue that is shared, and empty."""
    with staged(queue) as scene:
        yield scene


def garbage(key: str) -> Callable[[Scene, dict[str, bytes]], None]:
    """Return what writes something else into a key."""
    kind = {"stream": "x", "kept": "l"}.get(key, "h")

    def write(scene: Scene, _: dict[str, bytes]) -> None:
        name = NAMES[key]
        if kind == "x":
            scene.raw.xadd(name, {"c": CHANNEL, "n": "x", "e": b"\xff", "t": "9" * 40, "0": "2"})
        elif kind == "l":
            scene.raw.rpush(name, b"\xff garbage")
            scene.raw.lpush(name, "1-1 1 1")
        elif key == "recent":
            scene.raw.zadd(name, {b"\xff": 1})
        else:
            fields = dict.fromkeys([*scene.raw.hkeys(name), b"\xff"], b"\xff garbage")
            scene.raw.hset(name, mapping=fields)

    return write


def wrong_type(key: str) -> Callable[[Scene, dict[str, bytes]], None]:
    """Return what makes a key one of another type."""
    return lambda scene, _: scene.raw.set(NAMES[key], "garbage")


def gone(*keys: str) -> Callable[[Scene, dict[str, bytes]], None]:
    """Return what deletes keys."""
    return lambda scene, _: scene.raw.delete(*(NAMES[key] for key in keys))


def older(*keys: str) -> Callable[[Scene, dict[str, bytes]], None]:
    """Return what lets keys hold what they held before."""
    return lambda scene, dump: scene.restore(dump, *keys)


def half_gone(scene: Scene, _: dict[str, bytes]) -> None:
    """Delete the newest half of the stream's entries."""
    entries = scene.raw.xrange(NAMES["stream"])
    scene.raw.xdel(NAMES["stream"], *(entry for entry, _ in entries[len(entries) // 2 :]))


WAYS: dict[str, Callable[[Scene, dict[str, bytes]], None]] = {
    "an older state": lambda scene, dump: scene.restore(dump),
    "nothing": lambda scene, _: scene.raw.flushall(),
    "half of the stream": half_gone,
    "an older stream with its index": older("stream", "kept", "ids"),
    "no stream and no index": gone("stream", "kept", "ids"),
    "only the stream": gone(*(key for key in KEYS if key != "stream")),
    "only the numbers": gone(*(key for key in KEYS if key != "numbers")),
    **{f"no {key}": gone(key) for key in KEYS},
    **{f"older {key}": older(key) for key in KEYS if key != "ends"},
    **{f"garbage in {key}": garbage(key) for key in KEYS},
    **{f"{key} of a wrong type": wrong_type(key) for key in KEYS},
}


def settled(processes: list[Process], clients: list[Client], number: int) -> None:
    """Wait until everyone has the last message, and has heard what there is to be told."""
    eventually(
        lambda: all(number in client.data for client in clients),
        lambda: f"{number} comes to all: {[client.data for client in clients]}",
    )
    eventually(
        lambda: not any(process.outage.faults for process in processes), "all parts work again"
    )


@pytest.mark.parametrize("is_cut_off", [False, True], ids=["all read", "one cut off"])
@pytest.mark.parametrize("way", WAYS)
def test_whatever_becomes_of_the_keys(scene: Scene, way: str, is_cut_off: bool) -> None:
    with contextlib.closing(Link(scene.queue.port)) as link:
        first, second = scene.process(), scene.process(f"redis://127.0.0.1:{link.port}/0")
        live = [process.client(CHANNEL) for process in (first, second)]
        scene.publish(first, 3)
        scene.publish(second, 3, OTHER)
        eventually(lambda: all(len(client.data) == 3 for client in live))
        early = live[0].updates[:2]
        before = scene.dump()
        if is_cut_off:
            link.swallow_everything()
        scene.publish(first, 4)
        if is_cut_off:
            WAYS[way](scene, before)
            link.lead_to(scene.queue.port)
            eventually(lambda: second.outage.faults, "it knows that it is cut off")
            link.carry()
            link.lead_to(scene.queue.port)
            scene.publish(second)
        else:
            eventually(lambda: all(len(client.data) == 7 for client in live))
            WAYS[way](scene, before)
        scene.publish(first, 2)
        settled([first, second], live, max(scene.ledger.confirmed))

        # Those who come late, also to a process that has just begun, and with what they have seen.
        processes = [first, second, scene.process()]
        late = [process.client(CHANNEL, early) for process in processes]
        fresh = [process.client(CHANNEL) for process in processes]
        scene.publish(processes[-1])
        settled(processes, [*live, *late, *fresh], max(scene.ledger.confirmed))
        scene.ledger.check_order([*live, *late, *fresh])
        scene.ledger.check_words([*live, *late])
        for client in (*late, *fresh):
            assert kept(scene) <= set(client.data)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize(
    ("count", "turns_before"), [(0, 0), (2, 0), (2, 1)], ids=["forgotten", "older", "another epoch"]
)
def test_who_was_cut_off_hears_of_several_epochs(
    scene: Scene, count: int, turns_before: int, turns: int
) -> None:
    def turn() -> None:
        """Leave it as a server does that is started again."""
        scene.raw.hset(NAMES["seal"], "server", "another")

    with contextlib.closing(Link(scene.queue.port)) as link:
        first, second = scene.process(), scene.process(f"redis://127.0.0.1:{link.port}/0")
        live = [process.client(CHANNEL) for process in (first, second)]
        scene.publish(first, 1, OTHER)
        scene.publish(first, count)
        before = scene.dump()
        for _ in range(turns_before):
            turn()
        scene.publish(first, 6)
        eventually(lambda: all(len(client.data) == 6 + count for client in live))
        early = live[0].updates[:-1]
        link.swallow_everything()
        scene.restore(before)
        for _ in range(turns):
            turn()
            scene.publish(first, 2)
        link.carry()
        link.lead_to(scene.queue.port)
        settled([first, second], live, max(scene.ledger.confirmed))
        late = [process.client(CHANNEL, early) for process in (first, second)]
        scene.ledger.check_order([*live, *late])
        scene.ledger.check_words([*live, *late])
        for client in (*live, *late):
            assert kept(scene) <= set(client.data)


def kept(scene: Scene) -> set[int]:
    """Return the messages of the channel that are in the stream."""
    return {
        int(fields[b"0"][2:-1])
        for _, fields in scene.raw.xrange(NAMES["stream"])
        if fields.get(b"c") == CHANNEL.encode() and fields[b"n"].isdigit()
    }


@pytest.mark.parametrize(
    "way",
    [
        "an older state",
        "nothing",
        "no stream",
        "no stream and no index",
        "only the numbers",
        "only the stream",
        "older stream",
        "half of the stream",
        "older numbers",
    ],
)
def test_what_is_gone_is_said_though_nothing_more_is_published(scene: Scene, way: str) -> None:
    with contextlib.closing(Link(scene.queue.port)) as link:
        first, second = scene.process(), scene.process(f"redis://127.0.0.1:{link.port}/0")
        scene.publish(first, 3)
        client = second.client(CHANNEL)
        before = scene.dump()
        link.swallow_everything()
        scene.publish(first, 4)
        WAYS[way](scene, before)
        link.carry()
        link.lead_to(scene.queue.port)
        everything = set(scene.ledger.confirmed)
        eventually(
            lambda: not (everything - {*client.data} - {n for n in everything if client.covers(n)}),
            lambda: f"what is missing is said: {client}",
        )
        assert {*client.data} >= kept(scene)
