"""Services of several workers, for tests of who serves what."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import psutil

from rawclient import (
    ConnectionEndedError,
    HandshakeRefusedError,
    HttpConnection,
    PollingSession,
    Response,
    SocketIOClient,
    open_websocket,
)
from served import ServedProject
from waiting import eventually

WORKERS = 4
POST_HEADERS = {"Content-Type": "text/plain;charset=UTF-8"}


def workers(served: ServedProject) -> list[psutil.Process]:
    """Return the worker processes."""
    return psutil.Process(served.pid).children()


def worker_of(client: SocketIOClient | str) -> str:
    """Return the part of a session id that names its worker: host, slot and number."""
    sid = client if isinstance(client, str) else client.sid
    return sid.rpartition(".")[0]


def slot_of(worker: str) -> int:
    """Return the slot in the name of a worker."""
    return int(worker.split(".")[1])


def process_of(client: SocketIOClient) -> int:
    """Return the id of the process that serves a session, as it says itself."""
    client.connect_namespace()
    process_id: int = client.wait_for_event("connection_ack").args[0]["process_id"]
    return process_id


def spread(clients: Iterable[SocketIOClient]) -> Counter[str]:
    """Count the sessions of each worker."""
    return Counter(worker_of(client) for client in clients)


def wait_for_workers(served: ServedProject, count: int = WORKERS) -> None:
    """Wait until that many workers, and no others, are given new sessions."""

    def found() -> set[str]:
        with contextlib.ExitStack() as open_now:
            clients = []
            for _ in range(2 * count):
                with contextlib.suppress(OSError, ConnectionEndedError, HandshakeRefusedError):
                    client = open_websocket(served.url)
                    open_now.callback(client.close_cleanly)
                    clients.append(client)
            return {worker_of(client) for client in clients}

    eventually(lambda: len(found()) == count, lambda: f"{count} workers\n{served.log_text()}")


@contextlib.contextmanager
def sessions_of_each_worker(
    served: ServedProject, count: int = WORKERS
) -> Iterator[dict[str, PollingSession]]:
    """Open polling sessions until each worker has one; return one of each, having joined."""
    found: dict[str, list[PollingSession]] = defaultdict(list)

    def complete() -> bool:
        session = PollingSession(served.url)
        found[worker_of(session)].append(session)
        return len(found) == count

    eventually(complete, lambda: f"sessions on {count} workers, not on {set(found)} only")
    try:
        for session in (sessions[0] for sessions in found.values()):
            session.connect_namespace()
            session.wait_for_event("connection_ack")
        yield {worker: sessions[0] for worker, sessions in found.items()}
    finally:
        for session in (session for sessions in found.values() for session in sessions):
            with contextlib.suppress(OSError, ConnectionEndedError):
                session.leave()


def post(connection: HttpConnection, session: PollingSession, packets: str) -> Response:
    """Send packets of a session over a connection of the test's choice."""
    connection.request("POST", session.target, POST_HEADERS, packets.encode())
    return connection.response()


def poll(connection: HttpConnection, session: PollingSession) -> str:
    """Receive packets of a session over a connection of the test's choice."""
    connection.request("GET", session.target)
    response = connection.response()
    assert response.status == 200, response
    return response.body.decode()


def head(method: str, target: str, *headers: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode()
