"""A listener that is behind is behind, one that is deaf is found, and what is lost is counted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import socketio
from structlog.testing import capture_logs

from production.realtime import queue
from production.realtime.queue import LISTENING, QueueManager
from production.realtime.queue_messages import CANARY, NOTICE
from queues import unused_service
from waiting import eventually

SILENCE = 1.0
"""Seconds, in place of the product's, so that what is slow need not be slow for long."""

SLOWNESS = 0.01
"""Seconds that a slow process takes to deliver a message."""


class Slow(QueueManager):
    """Takes its time to deliver what others emit."""

    def __init__(self, url: str, service: str) -> None:
        super().__init__(url, service=service, backlog=10_000, backlog_seconds=30.0)
        self.delivered: list[Any] = []
        self.longest_lag = 0.0

    def _handle_emit(self, message: dict[str, Any]) -> None:
        time.sleep(SLOWNESS)
        self.longest_lag = max(self.longest_lag, self.lag())
        self.delivered.append(message["data"])


class Unheard(Slow):
    """Publishes canaries that are somebody else's: its own never come round."""

    def _canary(self, batch: list[Any]) -> dict[str, Any]:
        return {**super()._canary(batch), "sender": "another"}


@pytest.fixture
def listening(message_queue: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Slow]], Slow]:
    """Start managers, each of a service of its own."""
    monkeypatch.setattr(queue, "SILENCE", SILENCE)
    monkeypatch.setattr(queue, "CANARY_INTERVAL", SILENCE / 4)

    def start(manager_class: type[Slow]) -> Slow:
        manager = manager_class(message_queue, unused_service())
        server = socketio.Server(async_mode="threading", client_manager=manager)
        server.manager_initialized = True
        manager.initialize()
        return manager

    return start


def publish(url: str, manager: Slow, *messages: dict[str, Any]) -> None:
    with redis.Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for message in messages:
            pipeline.publish(manager.channel, json.dumps(message))
        pipeline.execute()


def emitted(data: Any, **more: Any) -> dict[str, Any]:
    return {"method": "emit", "event": "said", "data": data, "namespace": "/", **more}


def test_a_listener_that_is_behind_is_not_deaf(
    message_queue: str, listening: Callable[[type[Slow]], Slow]
) -> None:
    manager = listening(Slow)
    eventually(lambda: manager.silence() is not None, "it hears itself")
    numbers = list(range(int(4 * SILENCE / SLOWNESS)))
    with capture_logs() as records:
        publish(message_queue, manager, *map(emitted, numbers))
        eventually(lambda: len(manager.delivered) == len(numbers), "all is delivered")
    assert manager.delivered == numbers
    assert [record for record in records if "message queue" in record["event"]] == []
    assert manager.longest_lag > SILENCE
    eventually(lambda: manager.lag() < SILENCE, "it has caught up")


def test_a_listener_that_hears_all_but_itself_is_deaf(
    message_queue: str, listening: Callable[[type[Slow]], Slow]
) -> None:
    manager = listening(Unheard)

    def is_found() -> bool:
        publish(message_queue, manager, emitted("chatter"))
        # On a machine that is busy, nothing at all may have come at first.
        return "came round" in str(manager.outage.faults.get(LISTENING))

    eventually(is_found, "it is found")
    assert manager.delivered


def test_what_others_published_and_nobody_heard_is_counted_and_said(
    message_queue: str, listening: Callable[[type[Slow]], Slow]
) -> None:
    manager = listening(Slow)
    eventually(lambda: manager.silence() is not None, "it hears itself")
    with capture_logs() as records:
        publish(
            message_queue,
            manager,
            # Known by its canary, so that what came before it is not missed.
            {"method": CANARY, "sender": "far", "sent_at": 0.0, "last": 7},
            emitted("eighth", sender="far", number=8),
            emitted("eleventh", sender="far", number=11),
            emitted("eleventh", sender="far", number=11),
            {"method": NOTICE, "topic": "any", "sender": "far", "number": 12},
            {"method": CANARY, "sender": "far", "sent_at": 2.0, "last": 15},
            # An older release of the layer, and other programs, say nothing of the kind.
            {"method": CANARY, "sender": "older", "sent_at": 0.0},
            emitted("foreign"),
        )
        eventually(lambda: "foreign" in manager.delivered, "all is heard")
    assert manager.delivered == ["eighth", "eleventh", "foreign"]
    assert manager.counters()["missed"] == 5
    lost = [record for record in records if record["event"].startswith("messages of another")]
    assert [(record["count"], record["sender"]) for record in lost] == [(2, "far"), (3, "far")]
