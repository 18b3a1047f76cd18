"""Processes that handlers start: each does its job, and nobody else notices."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from baking import ASYNC_MODES, Bake
from queues import unused_service
from rawclient import http, open_websocket
from served import ServedProject, serve
from waiting import eventually

APPS = Path(__file__).parent / "apps"

WAYS = (
    "ProcessPoolExecutor",
    "fork",
    "forkserver",
    "spawn",
    "os.fork",
    "os.fork that returns",
    "os.fork that exits",
    "pty.fork",
    "subprocess.run",
    "subprocess.check_output",
)

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)


@pytest.fixture
def forking(bake: Bake, mode: str, tmp_path: Path) -> Iterator[ServedProject]:
    """A service whose handlers start processes."""
    with serve(
        bake(), tmp_path / "forking.log", "forking:app", ASYNC_MODE=mode, PYTHONPATH=str(APPS)
    ) as served:
        yield served


def test_a_process_does_its_job_and_nobody_waits(forking: ServedProject, tmp_path: Path) -> None:
    workers = descendants(forking)
    for way in WAYS:
        trace = tmp_path / way
        with Bystander(forking) as bystander, open_websocket(forking.url) as client:
            client.connect_namespace()
            answered = client.call("start", way, str(trace))
            turns = bystander.turns
        assert trace.read_text(), way
        assert answered in ([], ""), (way, answered)
        if way != "pty.fork":
            assert turns > 5, way
        eventually(lambda: descendants(forking) <= workers | helpers(forking), f"{way} ends")
    # Who comes now is heard.
    for _ in range(20):
        with open_websocket(forking.url) as client:
            client.connect_namespace()
    assert "Parent changed" not in forking.log_text()
    assert "Traceback" not in forking.log_text()


def test_a_view_may_start_one_too(forking: ServedProject, tmp_path: Path) -> None:
    workers = descendants(forking)
    for way in ("fork", "os.fork that returns"):
        trace = tmp_path / way
        answer = http("GET", f"{forking.url}/start/{quote(way)}?path={quote(str(trace))}")
        assert (answer.status, answer.body) == (200, b"done")
        assert trace.exists()
        eventually(lambda: descendants(forking) == workers, "it ends")
    assert http("GET", f"{forking.url}/health/ready").status == 200


def test_pools_of_threads_may_be_made_at_once(forking: ServedProject) -> None:
    with open_websocket(forking.url) as client:
        client.connect_namespace()
        for number in range(1, 6):
            client.emit("start threads", ack_id=number)
        answers = {client.wait_for_packet("43") for _ in range(5)}
    assert answers == {f"43{number}[[1,2,3]]" for number in range(1, 6)}


def test_one_that_goes_on_holds_nothing_of_the_service(
    forking: ServedProject, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with open_websocket(forking.url) as neighbour:
        neighbour.connect_namespace()
        with open_websocket(forking.url) as client:
            client.connect_namespace()
            client.call("leave running", str(trace))
            child = psutil.Process(int(eventually(lambda: trace.exists() and trace.read_text())))
        try:
            assert not child.net_connections()
            neighbour.send_packet("41")
            neighbour.send_packet("1")
            assert neighbour.until_closed()
            forking.stop()
            forking.start_again()
            assert child.is_running()
            child.send_signal(signal.SIGTERM)
            eventually(lambda: not alive(child), "it ends when it is told to")
        finally:
            if alive(child):
                child.kill()


def test_what_it_emits_is_heard(bake: Bake, mode: str, tmp_path: Path, message_queue: str) -> None:
    with serve(
        bake(),
        tmp_path / "forking.log",
        "forking:app",
        ASYNC_MODE=mode,
        PYTHONPATH=str(APPS),
        REDIS_URL=message_queue,
        SERVICE_NAME=unused_service(),
    ) as served:
        with open_websocket(served.url) as client:
            client.connect_namespace()
            client.call("tell", str(tmp_path / "trace"))
            assert client.wait_for_event("told").args == [{"by": "a fork"}]
        assert "Traceback" not in served.log_text()


class Bystander:
    """A client that asks for something all the time; ``turns`` counts the answers."""

    def __init__(self, served: ServedProject) -> None:
        self.turns = 0
        self._client = open_websocket(served.url)
        self._client.connect_namespace()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._client.__exit__()

    def _ask(self) -> None:
        while not self._stopped.wait(0.02):
            self._client.call("heartbeat", {})
            self.turns += 1


def running(served: ServedProject) -> list[psutil.Process]:
    """Return the processes of a service that have not ended."""
    return [one for one in psutil.Process(served.pid).children(recursive=True) if alive(one)]


def descendants(served: ServedProject) -> set[int]:
    """Return their ids."""
    return {process.pid for process in running(served)}


def helpers(served: ServedProject) -> set[int]:
    """Return the ids of those that ``multiprocessing`` keeps for the next job."""
    return {one.pid for one in running(served) if "multiprocessing" in " ".join(one.cmdline())}


def alive(process: psutil.Process) -> bool:
    """Tell whether a process runs, and is not just waiting to be asked how it ended."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
