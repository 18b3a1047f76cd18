"""Every form of REDIS_URL in a running service, and the processes that only emit."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio
import trustme

from baking import ASYNC_MODES, Bake, BakedProject, clean_environment
from ports import free_port
from production.realtime.emitter import EmitError, Emitter
from queues import Link, Valkey, running
from rawclient import http
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
SERVICE = "linked"
PASSWORD = "p@ss/w#rd?"

LEASE = 3.0
"""Seconds of the lease in ``apps/queued.py``."""

# A queue behind an URL of one form, for as long as the block runs.
Queue = contextlib.AbstractContextManager[str]


@contextlib.contextmanager
def behind_valkey_scheme(directory: Path) -> Iterator[str]:
    with running(directory) as valkey:
        yield f"valkey://127.0.0.1:{valkey.port}/3"


@contextlib.contextmanager
def behind_password(directory: Path) -> Iterator[str]:
    with running(directory) as valkey, valkey.client as client:
        client.acl_setuser(
            "service",
            enabled=True,
            passwords=[f"+{PASSWORD}"],
            categories=["+@all"],
            keys=["*"],
            channels=["*"],
        )
        yield f"redis://service:p%40ss%2Fw%23rd%3F@127.0.0.1:{valkey.port}"


@contextlib.contextmanager
def behind_unix_socket(directory: Path) -> Iterator[str]:
    path = directory / "valkey.sock"
    with running(directory, "--unixsocket", str(path)):
        yield f"unix://{path}?db=1"


@contextlib.contextmanager
def behind_tls(directory: Path) -> Iterator[str]:
    # The Valkey of the tests is built without TLS: the link speaks it instead.
    authority = trustme.CA()
    authority_path = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(directory) as valkey:
        link = Link(valkey.port, tls=context)
        try:
            yield f"rediss://127.0.0.1:{link.port}/0?ssl_ca_certs={authority_path}"
        finally:
            link.close()


@contextlib.contextmanager
def behind_sentinel(directory: Path) -> Iterator[str]:
    with running(directory) as valkey, contextlib.ExitStack() as sentinels:
        # The first is not there: the others are asked.
        ports = [free_port()]
        for number in range(2):
            configuration = directory / f"sentinel-{number}.conf"
            configuration.write_text(f"sentinel monitor board 127.0.0.1 {valkey.port} 1\n")
            sentinel = Valkey(directory, str(configuration), "--sentinel")
            sentinels.callback(sentinel.stop)
            sentinel.start()
            ports.append(sentinel.port)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"redis+sentinel://{hosts}/0/board"


@contextlib.contextmanager
def behind_cluster(directory: Path) -> Iterator[str]:
    cluster = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with running(directory, *cluster) as valkey, valkey.client as client:
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        eventually(lambda: client.cluster("info")["cluster_state"] == "ok", "the cluster is up")
        yield f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{valkey.port}"


class OutlastedLease:
    """Whether the process has kept a turn for longer than its lease, as it can by renewing it."""

    def __init__(self, served: ServedProject) -> None:
        self._served = served
        self._seen_since: dict[int, float] = {}

    def __call__(self) -> bool:
        fence = http("GET", f"{self._served.url}/ticks").json()["fence"]
        seen_since = self._seen_since.setdefault(fence, time.monotonic())
        return fence is not None and time.monotonic() - seen_since > LEASE


def present_in(served: ServedProject, room: str) -> int | None:
    """Return how many are in a room; ``None`` while the queue does not answer."""
    answer = http("GET", f"{served.url}/present?room={room}")
    return answer.json()["count"] if answer.status == 200 else None


@pytest.mark.parametrize(
    ("mode", "queue"),
    [
        *((mode, behind_tls) for mode in ASYNC_MODES),
        *(
            ("threading", queue)
            for queue in (
                behind_valkey_scheme,
                behind_password,
                behind_unix_socket,
                behind_sentinel,
                behind_cluster,
            )
        ),
    ],
)
def test_a_service_uses_the_queue_behind_each_form_of_url(
    bake: Bake, tmp_path: Path, mode: str, queue: Callable[[Path], Queue]
) -> None:
    with (
        queue(tmp_path) as url,
        serve(
            bake(),
            tmp_path / "service.log",
            "queued:app",
            ASYNC_MODE=mode,
            REDIS_URL=url,
            SERVICE_NAME=SERVICE,
            PYTHONPATH=str(APPS),
        ) as served,
    ):
        # It is ready once a message of its own has come round.
        eventually(
            lambda: http("GET", f"{served.url}/health/ready").status == 200,
            what=lambda: f"it is ready; it wrote:\n{served.log_text()}",
        )
        received: list[Any] = []
        client = socketio.Client(reconnection=False)
        client.on("notice", received.append)
        client.connect(served.url)
        try:
            Emitter(url, SERVICE).emit("notice", {"text": "hello"})
            eventually(lambda: received == [{"text": "hello"}], "the notice arrives")
            assert client.call("join", "here", timeout=PATIENCE)
            eventually(lambda: present_in(served, "here") == 1, "the client is present")
        finally:
            client.disconnect()
        eventually(OutlastedLease(served), "the work of one process goes on in a turn")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a queue for the processes that only emit."""
    with running(tmp_path_factory.mktemp("emitters")) as valkey:
        yield valkey


@pytest.fixture
def published(valkey: Valkey) -> Iterator[Callable[[], Any]]:
    """Return the next event that is published, with its data and its room."""
    with valkey.client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(f"production:{{{SERVICE}}}:events:0")
        subscription.get_message(timeout=PATIENCE)

        def next_event() -> Any:
            received = subscription.get_message(timeout=PATIENCE)
            assert received is not None
            message = json.loads(received["data"])
            return message["event"], message["data"], message["room"], message["namespace"]

        yield next_event


def run_emit(project: BakedProject, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command without a secret key; return its exit status and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "production.emit", *arguments],
        cwd=project.path,
        env={**clean_environment(), "SERVICE_NAME": SERVICE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return result.returncode, result.stdout


def test_the_command_emits_without_a_secret_key(
    bake: Bake, valkey: Valkey, published: Callable[[], Any]
) -> None:
    assert run_emit(
        bake(),
        "update",
        '{"a": [1]}',
        "--to",
        "x",
        "--to",
        "y",
        "--namespace",
        "/n",
        REDIS_URL=valkey.url,
    ) == (0, "")
    assert published() == ("update", [{"a": [1]}], ["x", "y"], "/n")
    assert run_emit(bake(), "update", REDIS_URL=valkey.url) == (0, "")
    assert published() == ("update", [None], None, "/")


def test_the_command_fails_in_one_sentence(bake: Bake) -> None:
    for environment, words in (
        ({}, "REDIS_URL is not set"),
        ({"REDIS_URL": "http://localhost"}, "REDIS_URL is no URL of Redis or Valkey"),
        ({"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}, "The message queue did not take it"),
    ):
        status, output = run_emit(bake(), "update", "1", **environment)
        assert status == 1
        assert words in output
        assert output.count("\n") == 1
    status, output = run_emit(bake(), "update", "{", REDIS_URL="redis://127.0.0.1")
    assert status == 2
    assert "is no JSON" in output


def test_the_command_explains_itself(bake: Bake) -> None:
    status, output = run_emit(bake(), "--help")
    assert status == 0
    assert "--to ROOM" in output


# In the process of a test that has used eventlet, the fork warns.
@pytest.mark.filterwarnings("ignore:Using fork")
def test_an_emitter_is_used_by_threads_and_after_a_fork(
    valkey: Valkey, published: Callable[[], Any]
) -> None:
    emitter = Emitter(valkey.url, SERVICE)
    emitter.emit("parent", 1)
    assert published()[0] == "parent"
    child = multiprocessing.get_context("fork").Process(target=emitter.emit, args=("child", 1))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert published()[0] == "child"
    threads = [
        threading.Thread(target=emitter.emit, args=("thread", number)) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(published()[1][0] for _ in threads)
    assert numbers == list(range(20))


def test_an_emitter_says_why_it_failed(tmp_path: Path) -> None:
    with running(tmp_path) as frozen:
        emitter = Emitter(frozen.url, SERVICE)
        frozen.freeze()
        with pytest.raises(EmitError, match="TimeoutError"):
            emitter.emit("update", 1)
    with pytest.raises(ValueError, match="is no URL of Redis or Valkey"):
        Emitter("amqp://localhost", SERVICE)
    with pytest.raises(TypeError):
        Emitter(f"unix://{os.devnull}", SERVICE).emit("update", object())
