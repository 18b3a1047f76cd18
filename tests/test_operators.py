"""Operators watch a service: who may, what they are told, and what it costs the others."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio

from baking import Bake, adopt
from observing import MODES, LogMark, StartService
from queues import running
from rawclient import http
from served import ServedProject, serve
from waiting import eventually

APPS = Path(__file__).parent / "apps"
ADOPTED = Path(__file__).parent / "adopted"
TOKEN = "a-token-for-operators-0123456789-abcdef"


class Watcher:
    """An operator's client, and what it was told.

    :param client: connected to the operators' namespace.
    """

    def __init__(self, client: socketio.Client) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        client.on("process", self.snapshots.append, namespace="/ops")
        client.on("log", self.batches.append, namespace="/ops")

    @property
    def processes(self) -> set[str]:
        """The names of the processes that have shown themselves."""
        return {snapshot["process"] for snapshot in self.snapshots}

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log records so far."""
        return [record for batch in self.batches for record in batch["records"]]

    @property
    def dropped(self) -> int:
        """How many records it was told to have missed."""
        return sum(batch["dropped"] for batch in self.batches)

    def wait_for_processes(self, count: int) -> None:
        """Wait until so many processes have shown themselves."""
        eventually(
            lambda: len(self.processes) >= count,
            what=lambda: f"{count} processes show themselves; these did: {self.processes}",
        )

    def wait_for_record(self, event: str) -> dict[str, Any]:
        """Wait for a log record, and return it."""
        return eventually(
            lambda: [each for each in self.records if each["event"] == event],
            what=lambda: f"{event!r} among {self.records[-10:]}",
        )[0]


@contextmanager
def watching(url: str, **options: Any) -> Iterator[Watcher]:
    """Watch as an operator until the block ends."""
    client = socketio.Client()
    watcher = Watcher(client)
    try:
        client.connect(url, namespaces=["/ops"], auth={"token": TOKEN}, **options)
        yield watcher
    finally:
        client.disconnect()


def refusal(url: str, namespace: str = "/ops", address: str = "127.0.0.1", **auth: Any) -> Any:
    """Return what a client is told that is not let in."""
    headers = {"X-Forwarded-For": address}
    told: list[Any] = []
    client = socketio.Client()
    client.on("connect_error", told.append, namespace=namespace)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            client.connect(url, headers, namespaces=[namespace], auth=auth)
        return eventually(lambda: told, "it is said why")[0]
    finally:
        client.disconnect()


@pytest.fixture(params=MODES, scope="module")
def chatty(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProject]:
    """A service that logs what it is asked to, and that operators may watch, in each mode."""
    with serve(
        bake(),
        tmp_path_factory.mktemp("chatty") / "service.log",
        "chatty:app",
        ASYNC_MODE=request.param,
        PYTHONPATH=str(APPS),
        OPERATOR_TOKEN=TOKEN,
        ADMIN_UI="production",
        TRUSTED_PROXIES="1",
    ) as served:
        yield served


def write(service: ServedProject, records: int, last: str) -> float:
    """Have records logged, and one more; return the seconds that it took."""
    seconds: float = http(
        "POST",
        f"{service.url}/log",
        headers={"Content-Type": "application/json"},
        body=f'{{"records": {records}, "last": "{last}"}}'.encode(),
    ).json()["seconds"]
    return seconds


def test_without_a_token_there_is_nothing(service: StartService) -> None:
    served = service("eventlet")
    assert http("GET", f"{served.url}/ops").status == 404
    assert refusal(served.url, token="") == {"message": "Invalid namespace"}


def test_operators_see_a_process_and_its_log(chatty: ServedProject) -> None:
    mark = LogMark(chatty)
    page = http("GET", f"{chatty.url}/ops")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert refusal(chatty.url, token=TOKEN[:-1])["data"] == {"code": "token"}
    with watching(chatty.url) as watcher:
        watcher.wait_for_processes(1)
        assert watcher.snapshots[0]["sessions"]["open"] == 1
        write(chatty, 0, "a warning of the app")
        record = watcher.wait_for_record("a warning of the app")
        assert (record["level"], record["order"], record["logger"]) == ("warning", 7, "chatty")
        logged = next(each for each in mark.records() if each["event"] == "a warning of the app")
        # Each is formatted for itself, and has the time of that.
        assert {**record, "timestamp": ""} == {**logged, "timestamp": ""}
        write(chatty, 2000, "after the flood")
        watcher.wait_for_record("after the flood")
        told = sum(each["event"] == "order placed" for each in watcher.records)
        eventually(lambda: watcher.dropped + told >= 2000, "the others are counted")
    assert not [each for each in watcher.records if each["logger"] in {"socketio", "engineio"}]
    assert {each["logger"] for each in mark.loud()} == {"chatty"}


def test_admin_uis_see_the_totals(chatty: ServedProject) -> None:
    told = refusal(chatty.url, "/admin", username="operator", password="guess")
    assert told["data"] == {"code": "token"}
    seen: list[dict[str, Any]] = []
    client = socketio.Client()
    client.on("server_stats", seen.append, namespace="/admin")
    client.connect(
        chatty.url, namespaces=["/admin"], auth={"username": "anyone", "password": TOKEN}
    )
    try:
        eventually(lambda: client.transport() == "websocket", "it upgrades")
        client.emit("join", ("/", "lobby"), namespace="/admin")
        counted = eventually(
            lambda: (
                {each["type"] for stats in seen for each in stats["aggregatedEvents"]}
                >= {"packetsIn", "packetsOut", "bytesIn", "bytesOut"}
            ),
            what=lambda: f"packets are counted in {seen}",
        )
        assert counted
        assert seen[-1]["clientsCount"] == 1
    finally:
        client.disconnect()


def test_admin_uis_see_everything_in_development(bake: Bake, tmp_path: Path) -> None:
    with serve(
        bake(),
        tmp_path / "service.log",
        ENVIRONMENT="development",
        OPERATOR_TOKEN=TOKEN,
        ADMIN_UI="development",
        PING_INTERVAL="1",
    ) as served:
        seen: list[tuple[str, Any]] = []

        def wait_for(event: str, part: str, after: int = 0) -> None:
            eventually(
                lambda: any(name == event and part in str(data) for name, data in seen[after:]),
                what=lambda: f"{event} with {part} among {seen[after:]}",
            )

        admin, visitor = socketio.Client(), socketio.Client()
        admin.on("*", lambda event, *data: seen.append((event, data)), namespace="/admin")
        try:
            admin.connect(served.url, namespaces=["/admin"], auth={"password": TOKEN})
            visitor.connect(served.url)
            visitor.call("subscribe", {"channels": ["lobby"]})
            session = visitor.get_sid()
            wait_for("socket_connected", session)
            wait_for("event_received", "subscribe")
            wait_for("room_joined", "channel:lobby")
            # With each ping a session is announced again, to Admin UIs that came later.
            wait_for("socket_connected", session, after=len(seen))
            admin.emit("_disconnect", ("/", False, session), namespace="/admin")
            eventually(lambda: not visitor.connected, "it disconnects a session")
        finally:
            visitor.disconnect()
            admin.disconnect()
    assert not [each for each in served.records() if each["level"] not in {"debug", "info"}]


def test_the_guards_of_an_adopted_app_keep_no_operator_out(tmp_path: Path) -> None:
    folder = tmp_path / "tuple_factory"
    shutil.copytree(ADOPTED / "tuple_factory", folder)
    project = adopt(folder, "service:create_app")
    with serve(project, tmp_path / "service.log", OPERATOR_TOKEN=TOKEN) as served:
        assert http("GET", f"{served.url}/anything").status == 302
        page = http("GET", f"{served.url}/ops")
        assert page.status == 200
        assert b'data-path="/live/socket/" data-transports="polling websocket"' in page.body
        assert http("GET", f"{served.url}/realtime/ops.js").status == 200
        with watching(served.url, socketio_path="live/socket") as watcher:
            watcher.wait_for_processes(1)


def test_who_guesses_has_to_wait(chatty: ServedProject) -> None:
    address = "192.0.2.1"
    mark = LogMark(chatty)
    while (code := refusal(chatty.url, address=address, token="guess")["data"]["code"]) == "token":
        pass
    assert code == "too_many"
    assert refusal(chatty.url, address=address, token=TOKEN)["data"] == {"code": "too_many"}
    assert [each["event"] for each in mark.loud()] == ["wrong operator tokens"]
    assert "guess" not in chatty.log_text()
    assert TOKEN not in chatty.log_text()


def test_processes_come_and_go(bake: Bake, tmp_path: Path) -> None:
    """Watched by one process: another that is replaced, and the queue that is away for a while."""
    with (
        running(tmp_path) as valkey,
        serve(
            bake(),
            tmp_path / "service.log",
            WEB_CONCURRENCY="3",
            REDIS_URL=valkey.url,
            HOST_ID="web",
            OPERATOR_TOKEN=TOKEN,
        ) as served,
        watching(served.url) as watcher,
    ):
        watcher.wait_for_processes(3)
        own = max(watcher.snapshots, key=lambda each: each["sessions"]["open"])["process"]
        other = next(each for each in watcher.snapshots if each["process"] != own)
        os.kill(other["pid"], signal.SIGKILL)
        watcher.wait_for_processes(4)
        valkey.stop()
        eventually(
            lambda: not _latest(watcher, own)["checks"]["message_queue"]["listening"],
            "the process that is watched says that it does not hear the queue",
        )
        valkey.start()
        back = len(watcher.snapshots)
        eventually(
            lambda: len({each["process"] for each in watcher.snapshots[back:]}) == 3,
            "all processes are seen again",
        )


def _latest(watcher: Watcher, process: str) -> dict[str, Any]:
    return next(each for each in reversed(watcher.snapshots) if each["process"] == process)
