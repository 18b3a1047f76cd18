"""What is made of failures, in each mode: what the client is told and what the log is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from baking import ASYNC_MODES, Bake
from observing import LogMark
from rawclient import http
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
SECRET = "a secret detail"

PROGRAM = {"Accept": "application/json"}
PERSON = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module", params=ASYNC_MODES)
def faulty(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProject]:
    """Serve the app of failures in each mode."""
    log_path = tmp_path_factory.mktemp("faulty") / "service.log"
    with serve(
        bake(), log_path, "faulty:app", ASYNC_MODE=request.param, PYTHONPATH=str(APPS)
    ) as served:
        yield served


@pytest.fixture
def connect(faulty: ServedProject) -> Iterator[Callable[..., socketio.Client]]:
    """Connect Socket.IO clients that are disconnected after the test."""
    clients: list[socketio.Client] = []

    def connected(*namespaces: str, auth: Any = None) -> socketio.Client:
        client = socketio.Client(reconnection=False)
        clients.append(client)
        client.connect(faulty.url, namespaces=list(namespaces) or ["/"], auth=auth)
        return client

    yield connected
    for client in clients:
        client.disconnect()


def tracebacks(mark: LogMark) -> list[dict[str, Any]]:
    return [record for record in mark.records() if "exception" in record]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/missing", {}, b"", 404),
        ("PUT", "/", {}, b"", 405),
        ("POST", "/echo", {"Content-Type": "application/json"}, b"x" * 1_000_001, 413),
        ("POST", "/echo", {"Content-Type": "text/plain"}, b"1", 415),
        ("POST", "/echo", {"Content-Type": "application/json"}, b"{", 400),
        ("GET", "/too-many", {}, b"", 429),
        ("GET", "/explode", {}, b"", 500),
    ],
)
def test_http_errors_are_problems_for_programs_and_pages_for_people(
    faulty: ServedProject,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    problem = http(method, faulty.url + path, headers={**headers, **PROGRAM}, body=body)
    assert problem.status == status
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["status"] == status
    assert problem.json()["request_id"] == problem.headers["x-request-id"]
    assert SECRET not in problem.body.decode()

    page = http(method, faulty.url + path, headers={**headers, **PERSON}, body=body)
    assert page.status == status
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["x-request-id"] in page.body.decode()
    assert SECRET not in page.body.decode()


def test_http_errors_keep_their_headers(faulty: ServedProject) -> None:
    assert "GET" in http("PUT", f"{faulty.url}/").headers["allow"]
    assert http("GET", f"{faulty.url}/too-many").headers["retry-after"] == "7"


def test_a_response_that_a_view_aborts_with_stays_as_it_is(faulty: ServedProject) -> None:
    answer = http("GET", f"{faulty.url}/own-response")
    assert (answer.status, answer.body) == (418, b"as it is")


def test_a_view_that_raises_is_logged_once_and_signalled(faulty: ServedProject) -> None:
    mark = LogMark(faulty)
    answer = http("GET", f"{faulty.url}/explode", headers={"X-Request-ID": "chosen-by-a-proxy"})
    assert answer.headers["x-request-id"] == "chosen-by-a-proxy"
    eventually(lambda: tracebacks(mark), "the traceback is logged")
    (record,) = tracebacks(mark)
    assert record["level"] == "error"
    assert record["request_id"] == "chosen-by-a-proxy"
    assert SECRET in record["exception"]
    assert "RuntimeError" in http("GET", f"{faulty.url}/seen").json()["signals"]


@pytest.mark.parametrize("namespace", ["/", "/by-class"])
def test_an_event_that_raises_is_logged_once_and_acknowledged_as_failed(
    faulty: ServedProject, connect: Callable[..., socketio.Client], namespace: str
) -> None:
    client = connect(namespace)
    mark = LogMark(faulty)
    answer = client.call("explode", {}, namespace=namespace, timeout=PATIENCE)
    assert answer["ok"] is False
    assert answer["error"]["code"] == "internal"
    assert SECRET not in answer["error"]["message"]
    eventually(lambda: tracebacks(mark), "the traceback is logged")
    (record,) = tracebacks(mark)
    assert record["level"] == "error"
    assert record["request_id"] == answer["error"]["request_id"]
    assert record["session"] == client.get_sid(namespace)
    assert record["event_name"] == "explode"
    assert SECRET in record["exception"]


@pytest.mark.parametrize("namespace", ["/without-reason", "/by-class"])
def test_a_disconnect_handler_without_parameters_runs_once(
    faulty: ServedProject, connect: Callable[..., socketio.Client], namespace: str
) -> None:
    def runs() -> int:
        ran: list[str] = http("GET", f"{faulty.url}/seen").json()["disconnects"]
        return ran.count(namespace.removeprefix("/"))

    before = runs()
    mark = LogMark(faulty)
    connect(namespace).disconnect()
    eventually(lambda: runs() > before, "the handler ran")
    mark.wait_for_end()
    assert runs() == before + 1
    assert not mark.loud()


@pytest.mark.parametrize("namespace", ["/refused", "/refused-with-reason", "/broken"])
def test_a_connect_handler_that_declines_or_breaks_refuses_the_client(
    faulty: ServedProject, connect: Callable[..., socketio.Client], namespace: str
) -> None:
    mark = LogMark(faulty)
    with pytest.raises(socketio.exceptions.ConnectionError) as refusal:
        connect(namespace)
    assert SECRET not in str(refusal.value)
    eventually(
        lambda: any(record["event"] == "client refused" for record in mark.records()),
        "the refusal is logged",
    )
    assert len(tracebacks(mark)) == (1 if namespace == "/broken" else 0)


def test_a_client_that_is_connecting_receives_no_broadcast(
    faulty: ServedProject, connect: Callable[..., socketio.Client]
) -> None:
    received: list[tuple[str, Any]] = []
    client = socketio.Client(reconnection=False)
    client.on("*", lambda event, data: received.append((event, data)), namespace="/slow")
    client.connect(faulty.url, namespaces=["/slow"], auth={"accept": True}, wait_timeout=PATIENCE)
    try:
        eventually(lambda: received, "the greeting arrives")
    finally:
        client.disconnect()
    assert received == [("greeting", "hello")]
