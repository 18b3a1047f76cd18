"""Message queues that fail over: a primary with replicas and Sentinels, and a cluster, of real servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from redis.crc import key_slot

from ports import free_port
from queues import Valkey
from waiting import eventually

MASTER = "board"
SLOTS = 16384

DOWN_AFTER_MS = 1000
"""Milliseconds of silence, after which a server counts as down: much less than anyone would set."""

FAILOVER_TIMEOUT_MS = 1500
"""Milliseconds, twice of which have to pass from one failover to the next."""


class Watched:
    """A primary, its replicas, and three Sentinels that watch them.

    :param directory: where they may write.
    :param replicas: how many replicas there are.
    :param password: what the Sentinels ask for, if they ask for anything.
    """

    def __init__(self, directory: Path, *, replicas: int = 2, password: str | None = None) -> None:
        self._password = password
        self.servers = [
            _server(directory / f"server-{number}", "--save", "", "--repl-diskless-sync-delay", "0")
            for number in range(1 + replicas)
        ]
        self.sentinels = [
            self._sentinel(_made(directory / f"sentinel-{number}")) for number in range(3)
        ]

    @property
    def url(self) -> str:
        """What a service is told."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        own = f"?sentinel_password={quote(self._password)}" if self._password else ""
        return f"redis+sentinel://{hosts}/0/{MASTER}{own}"

    @property
    def primary(self) -> Valkey:
        """The server that most Sentinels take for the primary."""
        named = [self._named_by(sentinel) for sentinel in self.sentinels]
        port = max(named, key=named.count)
        return next(server for server in self.servers if server.port == port)

    def start(self) -> None:
        """Start all of them, and wait until they know each other."""
        first, *others = self.servers
        for server in self.servers:
            server.start()
        for server in others:
            with server.client as client:
                client.replicaof("127.0.0.1", first.port)
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(self.is_whole, "the Sentinels know the replicas and each other")

    def is_whole(self) -> bool:
        """Tell whether each Sentinel knows all servers, all of them up, and all Sentinels."""
        return all(map(self._sees_all, self.sentinels))

    def switch(self) -> None:
        """Ask for a planned switch, as an operator does, and do not wait for it."""
        with self.sentinels[0].client as client:
            client.execute_command("SENTINEL", "FAILOVER", MASTER)

    def stop(self) -> None:
        """End all of them."""
        for server in (*self.sentinels, *self.servers):
            server.stop()

    def _sentinel(self, directory: Path) -> Valkey:
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT_MS}",
            f"sentinel parallel-syncs {MASTER} {len(self.servers)}",
        ]
        if self._password:
            lines += [f"requirepass {self._password}", f"sentinel sentinel-pass {self._password}"]
        configuration = directory / "sentinel.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return Valkey(directory, str(configuration), "--sentinel", password=self._password)

    def _named_by(self, sentinel: Valkey) -> int:
        with contextlib.suppress(redis.RedisError), sentinel.client as client:
            found = client.sentinel_get_master_addr_by_name(MASTER)
            return int(found[1])
        return 0

    def _sees_all(self, sentinel: Valkey) -> bool:
        with contextlib.suppress(redis.RedisError), sentinel.client as client:
            state = client.sentinel_master(MASTER)
            replicas = client.sentinel_slaves(MASTER)
            return (
                state["num-other-sentinels"] == len(self.sentinels) - 1
                and state["flags"] == "master"
                and len(replicas) == len(self.servers) - 1
                and all(
                    replica["flags"] == "slave" and replica["master-link-status"] == "ok"
                    for replica in replicas
                )
            )
        return False


class Cluster:
    """A cluster of three primaries, each of which has one replica.

    :param directory: where they may write.
    """

    def __init__(self, directory: Path) -> None:
        self.servers = [
            _server(
                directory / f"node-{number}",
                *("--save", "", "--cluster-enabled", "yes"),
                *("--cluster-port", str(free_port())),
                *("--cluster-node-timeout", str(DOWN_AFTER_MS)),
                *("--repl-diskless-sync-delay", "0"),
            )
            for number in range(6)
        ]

    @property
    def url(self) -> str:
        """What a service is told: some of the nodes."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Start all of them, and wait until they serve."""
        for server in self.servers:
            server.start()
        primaries, replicas = self.servers[:3], self.servers[3:]
        for number, server in enumerate(primaries):
            with server.client as client:
                first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for server in self.servers[1:]:
            with server.client as client:
                bus = int(client.config_get("cluster-port")["cluster-port"])
                self._call(self.servers[0], "CLUSTER MEET", "127.0.0.1", server.port, bus)
        for primary, replica in zip(primaries, replicas, strict=True):
            name = self._call(primary, "CLUSTER MYID")
            eventually(partial(_replicates, replica, name), "the replica knows its primary")
        eventually(self.is_whole, "the cluster is up, with its replicas")

    def is_whole(self) -> bool:
        """Tell whether all slots are served and each primary has a replica that is up to date."""
        with contextlib.suppress(redis.RedisError, ValueError):
            return all(
                self._call(server, "CLUSTER INFO")["cluster_state"] == "ok"
                and self._replication_of(server)
                for server in self.servers
            )
        return False

    def owner_of(self, key: str) -> Valkey:
        """Return the server that serves a key."""
        slot = key_slot(key.encode())
        for server in self.servers:
            with contextlib.suppress(redis.RedisError), server.client as client:
                for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER SLOTS"):
                    if first <= slot <= last:
                        return next(each for each in self.servers if each.port == port)
        raise AssertionError("no server answers")

    def switch(self, key: str) -> None:
        """Let the replica of a key's owner take over, as an operator does before maintenance."""
        owner = self._call(self.owner_of(key), "CLUSTER MYID")
        for server in self.servers:
            mine, masters = self._call(server, "CLUSTER MYID"), self._masters(server)
            if masters.get(mine) == owner:
                self._call(server, "CLUSTER FAILOVER")

    def stop(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.stop()

    def _masters(self, server: Valkey) -> dict[str, str]:
        nodes = self._call(server, "CLUSTER NODES")
        return {node["node_id"]: node["master_id"] for node in nodes.values()}

    def _replication_of(self, server: Valkey) -> bool:
        with server.client as client:
            state = client.info("replication")
        if state["role"] == "master":
            return bool(state["connected_slaves"] == 1)
        return bool(state["master_link_status"] == "up")

    def _call(self, server: Valkey, *command: Any) -> Any:
        with server.client as client:
            return client.execute_command(*command)


def _replicates(server: Valkey, name: str) -> bool:
    with contextlib.suppress(redis.ResponseError), server.client as client:
        client.execute_command("CLUSTER REPLICATE", name)
        return True
    return False


def _server(directory: Path, *arguments: str) -> Valkey:
    return Valkey(_made(directory), *arguments)


def _made(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    return directory


@contextlib.contextmanager
def running_sentinels(directory: Path, *, password: str | None = None) -> Iterator[Watched]:
    """Run a primary, two replicas and three Sentinels until the block ends.

    :param directory: where they may write.
    :param password: what the Sentinels ask for, if they ask for anything.
    """
    watched = Watched(directory, password=password)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()


@contextlib.contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Run a cluster until the block ends.

    :param directory: where it may write.
    """
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
