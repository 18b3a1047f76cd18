"""A queue that may throw away what it should keep is pointed out, at the start and later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from production.realtime.eviction import EvictionWatch
from queues import Valkey, running

KEY = "production:{service}:channels:stream"


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a Valkey whose policy the tests change."""
    with running(tmp_path_factory.mktemp("queue")) as valkey:
        yield valkey


def said(watch: EvictionWatch, client: Any) -> list[tuple[str, str, str | None]]:
    """Return what is logged at a look: the levels, events and policies."""
    with capture_logs() as records:
        watch.look(client)
    return [(each["log_level"], each["event"], each.get("policy")) for each in records]


EVICTS = ("error", "the message queue may evict keys")
SAFE = ("info", "the message queue evicts keys no more", None)
UNKNOWN = ("warning", "whether the message queue evicts keys cannot be known", None)


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-lfu"]
)
def test_each_policy_that_evicts_is_said_once(queue: Valkey, policy: str) -> None:
    client = redis.Redis(port=queue.port)
    watch = EvictionWatch(KEY)
    client.config_set("maxmemory-policy", "noeviction")
    assert said(watch, client) == []
    client.config_set("maxmemory-policy", policy)
    assert said(watch, client) == [(*EVICTS, policy)]
    assert said(watch, client) == []
    client.config_set("maxmemory-policy", "noeviction")
    assert said(watch, client) == [SAFE]


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (("+@all", "-config"), (*EVICTS, "allkeys-lru")),
        (("+@all", "-info"), (*EVICTS, "allkeys-lru")),
        (("+@all", "-info", "-config"), UNKNOWN),
        (("+@all", "-@dangerous"), UNKNOWN),
    ],
)
def test_what_is_forbidden_is_asked_otherwise_or_said(
    queue: Valkey, rights: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    admin: Any = redis.Redis(port=queue.port)
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.execute_command("ACL", "SETUSER", "reader", "reset", "on", "nopass", "~*", *rights)
    client = redis.Redis(port=queue.port, username="reader", password="any")
    assert said(EvictionWatch(KEY), client) == [expected]
