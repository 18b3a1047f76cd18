"""Binary events, sent by many tasks at once: nothing comes between a packet and its attachments."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import ASYNC_MODES
from following import connect
from rawclient import encode_event
from served import ServedProject
from waiting import PATIENCE

APPS = Path(__file__).parent / "apps"
TASKS, EVENTS = 8, 100


@pytest.mark.parametrize("mode", ASYNC_MODES)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_nothing_comes_between_a_packet_and_its_attachments(
    service: Callable[..., ServedProject], mode: str, transport: str
) -> None:
    # No more than these may wait for the client, which is slower than they are.
    roomy = {"MAX_QUEUED_MESSAGES": "100000", "MAX_QUEUED_BYTES": "100000000"}
    served = service(mode, "pouring:app", PYTHONPATH=str(APPS), **roomy)
    due = Counter(poured=TASKS * EVENTS, said=TASKS * EVENTS, acknowledgement=EVENTS)
    seen: Counter[str] = Counter()
    with contextlib.closing(connect(served.url, transport)) as client:
        client.send_packet(encode_event("pour", TASKS, EVENTS))
        for number in range(EVENTS):
            client.send_packet(encode_event("taste", ack_id=number))
        while not seen >= due:
            packet = client.receive_packet(PATIENCE)
            assert isinstance(packet, str)
            assert packet.startswith("4"), packet
            seen[kind_of(packet)] += 1
            announced = re.match(r"4[56](\d)-", packet)
            for _ in range(int(announced[1]) if announced else 0):
                assert is_binary(client.receive_packet(PATIENCE)), packet


def kind_of(packet: str) -> str:
    """Return the name of an event, or that it is an acknowledgement."""
    if packet.startswith("46"):
        return "acknowledgement"
    named = re.search(r'\["(\w+)"', packet)
    assert named, packet
    return named[1]


def is_binary(packet: str | bytes) -> bool:
    """Tell whether a packet is binary; a long poll has it as text, in base64."""
    return isinstance(packet, bytes) or packet.startswith("b")
