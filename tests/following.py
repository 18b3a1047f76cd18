"""Clients that follow a channel through everything, and a publisher that does not give up."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rawclient import (
    PACKET_SEPARATOR,
    ConnectionEndedError,
    Event,
    HandshakeRefusedError,
    HttpConnection,
    PollingSession,
    RawWebSocket,
    Response,
    SocketIOClient,
    decode_event,
    http,
    open_websocket,
)
from waiting import PATIENCE, eventually

ENDINGS = (ConnectionEndedError, HandshakeRefusedError, OSError)
"""How a connection to a service that was killed ends, or does not begin."""

RETRY = 0.05
"""Seconds until a client or a publisher tries again."""


class Poller(PollingSession):
    """A polling session whose pending poll can be cut."""

    pending: HttpConnection | None = None

    def poll(self, timeout: float = PATIENCE) -> list[str]:
        """Receive packets: one GET."""
        with contextlib.closing(self.start_poll()) as self.pending:
            response = self.pending.response(timeout)
        if response.status != 200:
            raise ConnectionEndedError(f"GET answered {response.status}")
        return response.body.decode().split(PACKET_SEPARATOR)


def connect(url: str, transport: str) -> RawWebSocket | Poller:
    """Connect a client and join the default namespace."""
    client = open_websocket(url) if transport == "websocket" else Poller(url)
    try:
        client.connect_namespace()
    except BaseException:
        client.close()
        raise
    return client


def subscribe(client: SocketIOClient, channel: str, after: int, epoch: str = "") -> Any:
    """Ask for a channel and what was missed of it; return the acknowledgement."""
    return client.call(
        "subscribe", {"channels": [channel], "after": {channel: after}, "epochs": {channel: epoch}}
    )


def taken(client: SocketIOClient) -> list[dict[str, Any]]:
    """Take the updates that came while something else was waited for."""
    updates = [event.args[0] for event in client.events if event.name == "update"]
    client.events.clear()
    return updates


class Watcher(threading.Thread):
    """Follows a channel from its beginning, and reconnects whenever its connection ends.

    It keeps what it is sent as it comes: a service that repeats or loses something is found out.

    :param urls: where to connect, one after the other.
    :param channel: the channel's name.
    :param transport: ``websocket`` or ``polling``.
    """

    def __init__(self, urls: Sequence[str], channel: str, transport: str) -> None:
        super().__init__(daemon=True)
        self._urls = itertools.cycle(urls)
        self._channel = channel
        self._transport = transport
        self._client: RawWebSocket | Poller | None = None
        self._stopped = threading.Event()
        self.updates: list[dict[str, Any]] = []
        self.gaps: list[Any] = []
        self._seen: dict[str, Any] = {"sequence": 0, "epoch": ""}
        self.sessions = 0
        self.fault: BaseException | None = None

    @property
    def sequences(self) -> list[int]:
        """The numbers that came, in the order in which they came."""
        return [update["sequence"] for update in self.updates]

    def run(self) -> None:
        """Follow until it is stopped."""
        try:
            while not self._stopped.is_set():
                with contextlib.suppress(*ENDINGS):
                    self._follow(next(self._urls))
                self._stopped.wait(RETRY)
        except BaseException as fault:
            self.fault = fault

    def refresh(self) -> None:
        """End the connection without a word, as a page does that is loaded again."""
        client = self._client
        connection = client.pending if isinstance(client, Poller) else client
        self._client = None
        if connection is not None:
            # Wakes the thread that reads from it, which closes it.
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Stop and leave."""
        self._stopped.set()
        self.refresh()
        self.join(PATIENCE)

    def surprise(self, count: int) -> str:
        """Say how what came differs from the numbers up to one; an empty text if it does not."""
        counts = Counter(self.sequences)
        missing = [number for number in range(1, count + 1) if not counts[number]]
        repeated = [number for number in counts if counts[number] > 1]
        if not (missing or repeated or self.gaps):
            return ""
        return f"{missing} missing, {repeated} repeated, told of {self.gaps} on {self._transport}"

    def _follow(self, url: str) -> None:
        with contextlib.closing(connect(url, self._transport)) as client:
            self._client = client
            self._receive(client)

    def _receive(self, client: RawWebSocket | Poller) -> None:
        answer = subscribe(client, self._channel, self._seen["sequence"], self._seen["epoch"])
        for event in client.events:
            self._take(event)
        client.events.clear()
        if not answer["ok"]:
            assert answer["error"]["code"] == "unavailable", answer
            return
        self.sessions += 1
        self.gaps += answer["gaps"].values()
        while self._client is client:
            packet = client.receive_packet(timeout=PATIENCE)
            if isinstance(packet, str) and packet.startswith("42"):
                self._take(decode_event(packet))

    def _take(self, event: Event) -> None:
        if event.name not in {"update", "gap"}:
            return
        data = event.args[0]
        self._seen = data
        if event.name == "update":
            self.updates.append(data)
        else:
            self.gaps.append({"from": data["from"], "to": data["to"]})


class Publisher(threading.Thread):
    """Publishes numbers over HTTP, each until it is confirmed.

    :param urls: the services, which take turns.
    :param channel: the channel's name.
    :param count: how many messages.
    :param interval: seconds between two of them.
    """

    def __init__(
        self, urls: Sequence[str], channel: str, count: int, interval: float = 0.02
    ) -> None:
        super().__init__(daemon=True)
        self._urls = itertools.cycle(urls)
        self._channel = channel
        self._count = count
        self._pause = threading.Event()
        self._interval = interval
        self.confirmed: dict[int, int] = {}

    def run(self) -> None:
        """Publish."""
        for number in range(1, self._count + 1):
            self.confirmed[number] = self._publish(number, uuid.uuid4().hex)
            self._pause.wait(self._interval)

    def _publish(self, number: int, message_id: str) -> int:
        while True:
            with contextlib.suppress(*ENDINGS):
                answer = post(next(self._urls), self._channel, number, message_id)
                if answer.status == 202:
                    sequence: int = answer.json()["sequence"]
                    return sequence
                # A host that has just gone may have carried it out, so nginx answers 502: the id makes it safe.
                assert answer.status in (502, 503), answer
            self._pause.wait(RETRY)


def post(
    url: str,
    channel: str,
    data: Any,
    message_id: str = "",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Publish over HTTP."""
    sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    if message_id:
        sent["Idempotency-Key"] = message_id
    return http("POST", f"{url}/api/channels/{channel}", str(data).encode(), headers=sent)


@contextlib.contextmanager
def watching(
    urls: Sequence[str], channel: str, transports: Sequence[str]
) -> Iterator[list[Watcher]]:
    """Follow a channel with several clients, each of which begins with another service."""
    watchers = [
        Watcher([*urls[number % len(urls) :], *urls[: number % len(urls)]], channel, transport)
        for number, transport in enumerate(transports)
    ]
    for watcher in watchers:
        watcher.start()
    try:
        yield watchers
    finally:
        for watcher in watchers:
            watcher.stop()


def expect_everything(watchers: Sequence[Watcher], count: int) -> None:
    """Check that everyone received every message exactly once and in order."""

    def surprises() -> list[str]:
        return [f"{each.name}: {each.surprise(count)}" for each in watchers if each.surprise(count)]

    eventually(
        lambda: all(len(watcher.updates) >= count or watcher.fault for watcher in watchers),
        what=lambda: f"{count} updates each; {surprises()}",
    )
    assert not [watcher.fault for watcher in watchers if watcher.fault]
    assert not surprises(), surprises()
    for watcher in watchers:
        assert watcher.sequences == list(range(1, count + 1))
        assert [update["data"] for update in watcher.updates] == list(range(1, count + 1))


def all_have(watchers: Sequence[Watcher], count: int) -> Callable[[], bool]:
    """Return whether everyone has received so many updates."""
    return lambda: all(len(watcher.updates) >= count for watcher in watchers)
