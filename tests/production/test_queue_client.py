"""A client that is stale is replaced, in whatever part of a process, and nobody has to be told twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import ReadOnlyError
from redis import TimeoutError as RedisTimeoutError
from redis.exceptions import NoPermissionError

from failover import Cluster, running_cluster
from production.realtime.emitter import Emitter
from production.realtime.queue import QueueManager
from production.realtime.redis_connection import (
    QUEUE_ERRORS,
    QueueClient,
    connect,
    is_stale,
    make_sure_of,
)
from queues import running
from waiting import PATIENCE, eventually

SERVICE = "moving"
KEY = f"production:{{{SERVICE}}}"


def a_client(url: str) -> Callable[[], object]:
    queue = QueueClient(url)
    return lambda: queue.ask(lambda client: client.set(KEY, "value"))


def presence(url: str) -> Callable[[], object]:
    manager = QueueManager(url, service=SERVICE, backlog=1, backlog_seconds=1.0)
    manager.host_id = "here"
    return lambda: manager.presence.members("room")


def an_emitter(url: str) -> Callable[[], object]:
    emitter = Emitter(url, SERVICE)
    return lambda: emitter.emit("said", 1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_the_first_call_of_each_part_succeeds_after_an_owner_died(cluster: Cluster) -> None:
    calls = {part.__name__: part(cluster.url) for part in (a_client, presence, an_emitter)}
    plain = connect(cluster.url)
    plain.set(KEY, "value")
    for call in calls.values():
        call()
    owner = cluster.owner_of(KEY)
    owner.kill()
    eventually(lambda: cluster.owner_of(KEY) is not owner, "another server owns it")
    # This is what each of them would meet.
    with pytest.raises(QUEUE_ERRORS):
        plain.set(KEY, "value")
    for call in calls.values():
        call()


def test_what_one_thread_meets_does_not_end_the_call_of_another(tmp_path: Path) -> None:
    def fail(client: Any) -> None:
        client.get("key")
        raise RedisConnectionError("gone")

    with running(tmp_path) as valkey, valkey.client as operator, ThreadPoolExecutor(1) as pool:
        queue = QueueClient(valkey.url)
        waiting = pool.submit(queue.ask_once, lambda client: client.blpop("answers"))
        eventually(lambda: operator.info("clients")["blocked_clients"] == 1, "one waits")
        with pytest.raises(RedisConnectionError):
            queue.ask_once(fail)
        operator.rpush("answers", "yes")
        assert waiting.result(PATIENCE)[1] == b"yes"
        # Nothing stays open but what is in use.
        queue.drop()
        eventually(lambda: operator.info("clients")["connected_clients"] == 1, "it is closed")


def test_all_clients_of_a_process_leave_a_server_that_has_become_a_replica(tmp_path: Path) -> None:
    with running(tmp_path) as valkey, valkey.client as operator:
        reading, writing = connect(valkey.url), QueueClient(valkey.url)
        reading.get("key")
        writing.ask(lambda client: client.set("key", 1))
        operator.replicaof("127.0.0.1", valkey.port)
        # Who only reads would not notice.
        reading.get("key")
        make_sure_of(reading)
        with pytest.raises(ReadOnlyError):
            writing.ask(lambda client: client.set("key", 2))
        with pytest.raises(RedisConnectionError, match="replica"):
            reading.get("key")
        with pytest.raises(RedisConnectionError, match="replica"):
            make_sure_of(reading)
        operator.replicaof("NO", "ONE")
        assert connect(valkey.url).get("key") == b"1"
        assert writing.ask(lambda client: client.get("key")) == b"1"


def test_what_a_server_says_of_the_command_is_not_asked_twice(tmp_path: Path) -> None:
    with running(tmp_path) as valkey:
        asked: list[Any] = []

        def push(client: Any) -> None:
            asked.append(client)
            client.set("text", "value")
            client.rpush("text", "item")

        with pytest.raises(QUEUE_ERRORS):
            QueueClient(valkey.url).ask(push)
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("error", "stale"),
    [
        (RedisConnectionError(), True),
        (RedisTimeoutError(), True),
        (OSError(), True),
        (ReadOnlyError(), True),
        (NoPermissionError(), False),
    ],
)
def test_another_client_may_help_or_not(error: Exception, stale: bool) -> None:
    assert is_stale(error) is stale


def test_messages_are_numbered_for_each_thread() -> None:
    numbering = Emitter("redis://h", SERVICE)._manager._numbering
    mine = [numbering.next() for _ in range(2)]
    theirs: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: theirs.append(numbering.next()))
    thread.start()
    thread.join()
    assert [message["number"] for message in mine] == [1, 2]
    assert theirs[0]["number"] == 1
    assert len({message["sender"] for message in (*mine, *theirs)}) == 2
