"""Workers are replaced under a crowd of clients, on purpose and by accident, and nobody misses a thing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from baking import ASYNC_MODES, Bake
from following import Publisher, Watcher, expect_everything
from observing import LogMark
from queues import running
from rawclient import http, open_websocket
from routed import WORKERS, process_of, wait_for_workers, workers
from served import ServedProject, serve
from waiting import PATIENCE, eventually

FOLLOWERS = Path(__file__).parent / "js" / "followers.mjs"
CHANNELS = [f"rolling-{number}" for number in range(10)]
CLIENTS_OF_EACH_KIND = 100

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)


class Followers:
    """Official JavaScript clients, each of which follows a channel.

    :param node: the program.
    :param url: where to connect.
    """

    def __init__(self, node: str, url: str) -> None:
        self._process = subprocess.Popen(
            [node, str(FOLLOWERS), url, str(CLIENTS_OF_EACH_KIND), *CHANNELS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def report(self, last: int) -> list[dict[str, Any]]:
        """Let them leave when each has the last update; return what each of them saw.

        :param last: its number.
        """
        output, _ = self._process.communicate(f"{last}\n", timeout=PATIENCE)
        return [json.loads(line) for line in output.splitlines()]

    def close(self) -> None:
        """End them if they are still there."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def crowded(
    bake: Bake, tmp_path: Path, mode: str, requires: Callable[[str], str]
) -> Iterator[tuple[ServedProject, Followers, list[Watcher]]]:
    """Serve with four workers, two hundred clients of two kinds, and a hundred messages a second."""
    node = requires("node")
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(running(tmp_path))
        settings = {
            "ASYNC_MODE": mode,
            "REDIS_URL": queue.url,
            "WEB_CONCURRENCY": str(WORKERS),
            "DRAIN_SECONDS": "2",
        }
        served = stack.enter_context(serve(bake(), tmp_path / "service.log", **settings))
        wait_for_workers(served)
        followers = Followers(node, served.url)
        stack.callback(followers.close)
        watchers = [
            Watcher(
                [served.url],
                CHANNELS[number % len(CHANNELS)],
                "polling" if number % 2 else "websocket",
            )
            for number in range(CLIENTS_OF_EACH_KIND)
        ]
        for watcher in watchers:
            stack.callback(watcher.stop)
            watcher.start()
        eventually(lambda: all(watcher.sessions for watcher in watchers), "all are there")
        yield served, followers, watchers


def publish_everywhere(url: str, count: int) -> list[Publisher]:
    """Publish ten messages a second on each of the ten channels."""
    publishers = [Publisher([url], channel, count, interval=0.1) for channel in CHANNELS]
    for publisher in publishers:
        publisher.start()
    return publishers


def expect_that_nobody_missed_anything(
    followers: Followers, watchers: list[Watcher], count: int
) -> None:
    expect_everything(watchers, count)
    for report in followers.report(count):
        assert report["sequences"] == list(range(1, count + 1)), report["reasons"]
        assert report["gaps"] == []


def test_all_workers_are_replaced_one_generation_by_the_next(
    crowded: tuple[ServedProject, Followers, list[Watcher]], mode: str
) -> None:
    served, followers, watchers = crowded
    mark = LogMark(served)
    before = {process.pid for process in workers(served)}
    publishers = publish_everywhere(served.url, 100)
    served.signal(signal.SIGHUP)
    eventually(
        lambda: not any(psutil.pid_exists(pid) for pid in before),
        "the old ones have left",
    )
    for publisher in publishers:
        publisher.join(PATIENCE)
    expect_that_nobody_missed_anything(followers, watchers, 100)
    assert sum(watcher.sessions > 1 for watcher in watchers) == len(watchers)
    assert mark.loud() == []


def test_a_worker_that_is_killed_costs_its_clients_a_moment(
    crowded: tuple[ServedProject, Followers, list[Watcher]], mode: str
) -> None:
    served, followers, watchers = crowded
    publishers = publish_everywhere(served.url, 60)
    os.kill(workers(served)[0].pid, signal.SIGKILL)
    for publisher in publishers:
        publisher.join(PATIENCE)
    expect_that_nobody_missed_anything(followers, watchers, 60)


@pytest.mark.parametrize(
    ("file", "mistake", "said"),
    [
        (".env", "PING_INTERVAL=1000", "PING_INTERVAL + PING_TIMEOUT is 1020 s"),
        ("gunicorn.conf.py", "import what_is_not_there", "No module named 'what_is_not_there'"),
    ],
    ids=["settings", "configuration"],
)
def test_a_reload_into_refused_settings_changes_nothing(
    bake: Bake, tmp_path: Path, mode: str, file: str, mistake: str, said: str
) -> None:
    project = bake().copy(tmp_path / "mistaken")
    settings = project.path / file
    right = settings.read_text()
    with serve(project, tmp_path / "mistaken.log", ASYNC_MODE=mode) as served:
        before = workers(served)
        settings.write_text(f"{right}{mistake}\n")
        served.signal(signal.SIGHUP)
        eventually(lambda: "Nothing was reloaded" in served.log_text(), "the reload is refused")
        assert said in served.log_text()
        assert workers(served) == before
        assert http("GET", f"{served.url}/health/live").status == 200
        # What is wrong on the disk keeps no worker from being replaced.
        settings.write_text(right)
        before[0].kill()
        eventually(lambda: workers(served) not in ([], before), "the worker is replaced")
        before = workers(served)
        wait_for_workers(served, 1)
        served.signal(signal.SIGHUP)
        eventually(
            lambda: not set(before).intersection(workers(served)),
            "the next one goes well",
        )


@pytest.mark.parametrize(
    ("code", "timeout", "said"),
    [
        ("import what_is_not_there", "60", "No module named 'what_is_not_there'"),
        # Enough for those that do start, on a busy machine too.
        ("import time\ntime.sleep(600)", "12", "no new one had started after 12 s"),
    ],
    ids=["broken", "hanging"],
)
def test_a_reload_into_code_that_does_not_start_changes_nothing(
    bake: Bake, tmp_path: Path, mode: str, code: str, timeout: str, said: str
) -> None:
    project = bake().copy(tmp_path / "mistaken")
    module = project.path / "live_board/events.py"
    right = module.read_text()
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(running(tmp_path))
        environment = {"ASYNC_MODE": mode, "REDIS_URL": queue.url, "WORKER_TIMEOUT": timeout}
        served = stack.enter_context(serve(project, tmp_path / "mistaken.log", **environment))
        client = stack.enter_context(open_websocket(served.url))
        client.connect_namespace()
        before = workers(served)
        module.write_text(f"{right}\n{code}\n")
        # As many as it would have now must not be reached by broken ones.
        with (project.path / ".env").open("a") as settings:
            settings.write("WEB_CONCURRENCY=2\n")
        served.signal(signal.SIGHUP)
        eventually(lambda: "and serve on" in served.log_text(), served.log_text)
        eventually(lambda: said in served.log_text(), served.log_text)
        assert workers(served) == before
        assert client.call("subscribe", {"channels": ["news"]})["ok"]
        module.write_text(right)
        served.signal(signal.SIGHUP)
        wait_for_workers(served, 2)
        eventually(lambda: not set(before).intersection(workers(served)), "the old one has left")


def test_a_service_can_be_stopped_while_a_reload_hangs(
    bake: Bake, tmp_path: Path, mode: str
) -> None:
    project = bake().copy(tmp_path / "hanging")
    # More than the test waits.
    environment = {"ASYNC_MODE": mode, "WORKER_TIMEOUT": "600"}
    with serve(project, tmp_path / "hanging.log", **environment) as served:
        with (project.path / "live_board/events.py").open("a") as module:
            module.write("print('importing', flush=True)\nimport time\ntime.sleep(600)\n")
        served.signal(signal.SIGHUP)
        eventually(lambda: "importing" in served.log_text(), served.log_text)
        served.signal(signal.SIGTERM)
        assert served.wait() == 0


def test_a_worker_that_cannot_be_replaced_is_missed_until_it_can(
    bake: Bake, tmp_path: Path, mode: str
) -> None:
    project = bake().copy(tmp_path / "mistaken")
    module = project.path / "live_board/events.py"
    right = module.read_text()
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(running(tmp_path))
        environment = {"ASYNC_MODE": mode, "REDIS_URL": queue.url, "WEB_CONCURRENCY": "2"}
        served = stack.enter_context(serve(project, tmp_path / "mistaken.log", **environment))
        wait_for_workers(served, 2)
        client = stack.enter_context(open_websocket(served.url))
        serving = process_of(client)
        (other,) = [worker for worker in workers(served) if worker.pid != serving]
        module.write_text(f"{right}\nimport what_is_not_there\n")
        other.kill()
        for said in ("the others serve on", "No module named 'what_is_not_there'"):
            eventually(lambda: said in served.log_text(), served.log_text)  # noqa: B023
        assert client.call("subscribe", {"channels": ["news"]})["ok"]
        module.write_text(right)
        wait_for_workers(served, 2)
        assert client.call("subscribe", {"channels": ["more-news"]})["ok"]


def test_another_number_of_workers_takes_a_reload(bake: Bake, tmp_path: Path, mode: str) -> None:
    project = bake().copy(tmp_path / "growing")
    settings = project.path / ".env"
    secret = settings.read_text()
    with running(tmp_path) as queue:
        settings.write_text(f"{secret}WEB_CONCURRENCY=1\n")
        environment = {"ASYNC_MODE": mode, "REDIS_URL": queue.url, "DRAIN_SECONDS": "1"}
        with serve(project, tmp_path / "growing.log", **environment) as served:
            mark = LogMark(served)
            for count in (3, 2):
                settings.write_text(f"{secret}WEB_CONCURRENCY={count}\n")
                before = {process.pid for process in workers(served)}
                served.signal(signal.SIGHUP)
                eventually(
                    lambda gone=before: not any(psutil.pid_exists(pid) for pid in gone),  # type: ignore[misc]
                    "the old ones have left",
                )
                wait_for_workers(served, count)
            assert mark.loud() == []
