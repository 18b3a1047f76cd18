"""What a client has sent before it leaves is handled, however soon after that it leaves."""

from __future__ import annotations

import pytest

from observing import MODES, StartService
from rawclient import (
    CLOSE,
    PACKET_SEPARATOR,
    TEXT,
    PollingSession,
    encode_event,
    frame,
    open_websocket,
)

EVENTS = 20

LEAVE_NAMESPACE = "41"
LEAVE = "1"


def words(channel: str) -> list[str]:
    """Return the packets of a client that publishes on a channel."""
    return [
        encode_event("publish", {"channel": channel, "data": number}) for number in range(EVENTS)
    ]


GOODBYES = {
    "leaves the namespace": frame(TEXT, LEAVE_NAMESPACE.encode()),
    "ends the session": frame(TEXT, LEAVE.encode()),
    "closes the WebSocket": frame(CLOSE),
    "closes the connection": b"",
}


@pytest.mark.parametrize("goodbye", GOODBYES.values(), ids=GOODBYES)
@pytest.mark.parametrize("mode", MODES)
def test_of_a_websocket(service: StartService, mode: str, goodbye: bytes) -> None:
    served = service(mode)
    channel = f"words-{mode}-{len(goodbye)}-{goodbye.hex()[:2]}"
    with open_websocket(served.url) as watcher:
        watcher.connect_namespace()
        watcher.call("subscribe", {"channels": [channel]})
        with open_websocket(served.url) as speaker:
            speaker.connect_namespace()
            frames = [frame(TEXT, packet.encode()) for packet in words(channel)]
            speaker.send(b"".join(frames) + goodbye)
        said = [watcher.wait_for_event("update").args[0]["data"] for _ in range(EVENTS)]
    assert said == list(range(EVENTS))


@pytest.mark.parametrize("mode", MODES)
def test_of_a_polling_session(service: StartService, mode: str) -> None:
    served = service(mode)
    channel = f"polled-words-{mode}"
    with open_websocket(served.url) as watcher:
        watcher.connect_namespace()
        watcher.call("subscribe", {"channels": [channel]})
        speaker = PollingSession(served.url)
        speaker.connect_namespace()
        speaker.post(PACKET_SEPARATOR.join([*words(channel), LEAVE]))
        said = [watcher.wait_for_event("update").args[0]["data"] for _ in range(EVENTS)]
    assert said == list(range(EVENTS))
