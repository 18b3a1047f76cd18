"""Each worker does what gunicorn documents: keep-alive, errors, time-outs, signals, TLS, reload."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import psutil
import pytest
import trustme

from baking import ASYNC_MODES, Bake
from observing import open_sessions, worker
from rawclient import (
    HttpConnection,
    PollingSession,
    RawWebSocket,
    http,
    open_websocket,
    raw_request,
)
from secure import call_over_tls
from served import ServedProject, serve
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
FAULTY = {"PYTHONPATH": str(APPS)}

NEVER = str(10 * PATIENCE)
"""Seconds that no test waits for."""

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)

Start = Callable[..., ServedProject]


def refuses_connections(served: ServedProject) -> bool:
    try:
        socket.create_connection(("127.0.0.1", served.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def close_code(client: RawWebSocket) -> int | None:
    """Wait until the server has ended a WebSocket; return the code that it gave."""
    client.until_closed()
    return client.close_code


# Connections


def test_a_connection_is_kept_for_further_requests(service: Start, mode: str) -> None:
    with contextlib.closing(HttpConnection(service(mode).url)) as connection:
        for _ in range(3):
            connection.request("GET", "/health/live")
            assert connection.response().status == 200


def test_an_idle_connection_is_closed_after_the_keepalive(service: Start, mode: str) -> None:
    served = service(mode, KEEPALIVE="1")
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while data := client.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 200")


def test_without_keepalive_a_connection_ends_with_its_response(service: Start, mode: str) -> None:
    served = service(mode, KEEPALIVE="0")
    answer = raw_request(served.url, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.headers["connection"] == "close"


def test_a_file_larger_than_any_buffer_arrives_whole(service: Start, mode: str) -> None:
    served = service(mode, "faulty:app", **FAULTY)
    with contextlib.closing(HttpConnection(served.url)) as connection:
        for _ in range(2):
            connection.request("GET", "/large-file")
            assert connection.response().body == bytes(range(256)) * 40_000


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: 1\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nLong: " + b"x" * 9000 + b"\r\n\r\n", 431),
    ],
    ids=["no-request-line", "bad-header", "long-line", "long-header"],
)
def test_a_malformed_request_gets_its_error(
    service: Start, mode: str, request_head: bytes, status: int
) -> None:
    assert raw_request(service(mode).url, request_head).status == status


def test_sessions_beyond_the_limit_are_told_to_come_back_while_http_is_answered(
    service: Start, mode: str
) -> None:
    served = service(mode, MAX_SESSIONS="4")
    sockets = [open_websocket(served.url) for _ in range(2)]
    polls = [PollingSession(served.url) for _ in range(2)]
    try:
        refused = http("GET", f"{served.url}/socket.io/?EIO=4&transport=polling")
        assert refused.status == 503
        assert refused.headers["retry-after"]
        assert http("GET", f"{served.url}/health/ready").status == 200
        sockets.pop().close_cleanly()
        eventually(lambda: open_sessions(served) < 4, "a session ends")
        sockets.append(open_websocket(served.url))
    finally:
        for client in sockets:
            client.close()
        for poll in polls:
            poll.close()


def test_connections_beyond_the_limit_wait_for_their_turn(service: Start, mode: str) -> None:
    served = service(mode, "--worker-connections", "3", MAX_SESSIONS="3")
    with contextlib.ExitStack() as open_connections:
        held = [open_connections.enter_context(open_websocket(served.url)) for _ in range(3)]
        eventually(lambda: connections(served) == 3, "all are accepted")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(http, "GET", f"{served.url}/health/live", timeout=PATIENCE)
            assert wait([waiting], timeout=1).not_done
            held[0].close()
            assert waiting.result(PATIENCE).status == 200


def test_clients_that_do_not_hang_up_hold_up_nobody(service: Start, mode: str) -> None:
    served = service(mode)
    with contextlib.ExitStack() as open_connections:

        def ask(*, hang_up: bool) -> float:
            """Ask ten times; return the seconds that it took."""
            began_at = time.monotonic()
            for _ in range(10):
                connection = HttpConnection(served.url)
                open_connections.callback(connection.close)
                connection.request("GET", "/health/live", {"Connection": "close"})
                assert connection.response().status == 200
                if hang_up:
                    connection.close()
            return time.monotonic() - began_at

        # gunicorn's threaded worker would take two seconds for each, instead of some milliseconds.
        assert ask(hang_up=False) < 100 * ask(hang_up=True)


def test_http_has_room_while_every_session_is_taken(service: Start, mode: str) -> None:
    served = service(mode, MAX_SESSIONS="40")
    sockets = [open_websocket(served.url) for _ in range(40)]
    try:
        with ThreadPoolExecutor(20) as pool:
            urls = [f"{served.url}/health/live"] * 40
            assert {answer.status for answer in pool.map(lambda url: http("GET", url), urls)} == {
                200
            }
    finally:
        for client in sockets:
            client.close()


# Leaving


def test_a_request_in_flight_is_answered_while_new_connections_are_refused(
    service: Start, mode: str
) -> None:
    served = service(mode, "faulty:app", **FAULTY)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(http, "GET", f"{served.url}/slow?seconds=2", timeout=PATIENCE)
        eventually(lambda: "a slow request begins" in served.log_text())
        served.signal(signal.SIGTERM)
        eventually(lambda: refuses_connections(served), "connections are refused")
        assert not answer.done()
        assert answer.result(PATIENCE).status == 200
    assert served.wait() == 0


def test_a_request_that_never_ends_does_not_keep_the_worker(service: Start, mode: str) -> None:
    served = service(mode, "faulty:app", DRAIN_SECONDS="0", **FAULTY)
    with contextlib.closing(HttpConnection(served.url)) as client:
        client.request("GET", "/slow?seconds=600")
        eventually(lambda: "a slow request begins" in served.log_text())
        served.stop()


def test_sessions_are_closed_so_that_their_clients_come_back(service: Start, mode: str) -> None:
    served = service(mode, DRAIN_SECONDS="2")
    sockets = [open_websocket(served.url) for _ in range(20)]
    poll = PollingSession(served.url)
    with contextlib.closing(poll.start_poll()) as pending:
        # What is asked later is answered, so what was asked before is in the worker.
        assert http("GET", f"{served.url}/health/live").status == 200
        served.signal(signal.SIGTERM)
        assert {close_code(client) for client in sockets} == {1012}
        assert "1" in pending.response().body.decode().split("\x1e")
    for client in sockets:
        client.close()
    poll.close()
    assert served.wait() == 0


def test_a_hangup_replaces_the_worker(service: Start, mode: str) -> None:
    served = service(mode, DRAIN_SECONDS="1")
    before = worker(served).pid
    client = open_websocket(served.url)
    served.signal(signal.SIGHUP)
    assert close_code(client) == 1012
    client.close()
    eventually(lambda: not psutil.pid_exists(before), "the old worker has left")
    assert worker(served).pid != before
    assert http("GET", f"{served.url}/health/ready").status == 200


def test_an_interrupt_ends_the_service_at_once(service: Start, mode: str) -> None:
    served = service(mode, DRAIN_SECONDS=NEVER)
    client = open_websocket(served.url)
    served.signal(signal.SIGINT)
    served.wait()
    client.close()


def test_a_service_that_is_stopped_while_it_boots_leaves_at_once(
    service: Start, mode: str, bake: Bake, tmp_path: Path
) -> None:
    environment = {"ASYNC_MODE": mode, "DRAIN_SECONDS": NEVER}
    served = ServedProject(bake(), tmp_path / "booting.log", environment)
    eventually(lambda: "Booting worker" in served.log_text(), served.log_text)
    served.stop()
    assert "Traceback" not in served.log_text()


def test_a_worker_without_a_master_leaves(service: Start, mode: str) -> None:
    served = service(mode, DRAIN_SECONDS="1")
    orphan = worker(served)
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    orphan.wait(PATIENCE)
    assert refuses_connections(served)


# The process


def test_the_master_stays_unpatched_and_light(service: Start, mode: str) -> None:
    served = service(mode, "-c", str(APPS / "watching.conf.py"), KEEPALIVE="2")
    os.kill(worker(served).pid, signal.SIGTERM)
    eventually(lambda: "the master: " in served.log_text(), "a worker has gone")
    (line,) = [r["event"] for r in served.records() if r["event"].startswith("the master: ")]
    master = json.loads(line.removeprefix("the master: "))
    assert master["socket"] == "socket"
    assert master["lock"] == "_thread"
    # gunicorn's own gevent worker imports gevent's patches, without applying them.
    assert set(master["imported"]) <= ({"gevent.monkey"} if mode == "gevent" else set())


def test_no_control_socket_is_opened(service: Start, mode: str, tmp_path: Path) -> None:
    served = service(mode, HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    assert not list(tmp_path.rglob("*.ctl"))
    assert not any(
        "ctl" in str(c.laddr) for c in psutil.Process(served.pid).net_connections("unix")
    )


def test_a_unix_socket_can_be_bound(service: Start, mode: str, bake: Bake, tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    served = ServedProject(
        bake(), tmp_path / "unix.log", {"ASYNC_MODE": mode, "BIND": f"unix:{path}"}
    )
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            # The path is there when it is bound, which is before anyone listens on it.
            eventually(lambda: client.connect_ex(str(path)) == 0, "somebody listens")
            client.sendall(
                b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        served.stop()


def test_tls_is_served(
    mode: str, bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key_path, certificate_path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    certificate.private_key_pem.write_to_path(str(key_path))
    certificate.cert_chain_pems[0].write_to_path(str(certificate_path))
    arguments = ("--certfile", str(certificate_path), "--keyfile", str(key_path))
    served = ServedProject(bake(), tmp_path / "tls.log", {"ASYNC_MODE": mode}, arguments)
    authority_path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_path))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    url = f"https://127.0.0.1:{served.port}"
    try:
        eventually(lambda: accepts(served.port), served.log_text)
        for transports in (["polling", "websocket"], ["websocket"], ["polling"]):
            transport, answer = call_over_tls(
                requires, url, authority_path, transports, "heartbeat", {"sent_at": 1}
            )
            assert transport == transports[-1]
            assert answer["ok"]
        # A client that speaks no TLS is turned away without disturbing anyone.
        with socket.create_connection(("127.0.0.1", served.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with (
            socket.create_connection(("127.0.0.1", served.port)) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as client_socket,
        ):
            client_socket.sendall(
                b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            assert client_socket.recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        served.stop()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_changed_source_file_is_served(
    service: Start, mode: str, bake: Bake, tmp_path: Path
) -> None:
    project = bake().copy(tmp_path / "changing")
    page = project.path / "live_board" / "pages.py"
    template = project.path / "live_board" / "templates" / "index.html"
    with serve(
        project, tmp_path / "reload.log", ASYNC_MODE=mode, RELOAD="true", DRAIN_SECONDS="1"
    ) as served:

        def touched() -> bool:
            # The reloader sees a change only after its first look at the file.
            page.touch()
            return "Worker reloading" in served.log_text()

        with open_websocket(served.url):
            page.write_text(
                page.read_text()
                + '\n\n@blueprint.get("/new")\ndef new() -> str:\n    return "new"\n'
            )
            eventually(touched, served.log_text)
            eventually(lambda: answers(served, "/new"), served.log_text)
        assert b"Changed" not in http("GET", served.url).body
        template.write_text(template.read_text().replace("Publish from", "Changed"))
        assert b"Changed" in http("GET", served.url).body


def answers(served: ServedProject, path: str) -> bool:
    try:
        return http("GET", served.url + path).status == 200
    except OSError:
        return False


def connections(served: ServedProject) -> int:
    """How many connections of clients the worker holds."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        for connection in worker(served).net_connections("tcp")
    )
