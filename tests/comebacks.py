"""A queue that goes and comes back as something else, behind a link that its clients keep to."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from queues import Link, Valkey
from waiting import eventually

Meanwhile = Callable[[], None]
"""What happens while the one that takes the queue's place does not hear of it."""


class Line:
    """A queue, and those that take its place.

    :param directory: where they may write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[Valkey] = []
        self.queue = self._start()
        self.link = Link(self.queue.port)

    @property
    def url(self) -> str:
        """Where the queue is, whichever it is."""
        return f"redis://127.0.0.1:{self.link.port}/0"

    def fail_over(self, meanwhile: Meanwhile) -> None:
        """Kill the queue; a replica takes its place that has not heard what happened meanwhile."""
        replica = self._start()
        replica.client.replicaof("127.0.0.1", str(self.queue.port))
        eventually(lambda: replica.client.info("replication")["master_link_status"] == "up")
        eventually(lambda: replica.client.dbsize() == self.queue.client.dbsize())
        replica.client.replicaof("NO", "ONE")
        meanwhile()
        self.queue.kill()
        self._switch_to(replica)

    def switch(self, meanwhile: Meanwhile) -> None:
        """Let a replica that is behind take the place of a queue that still serves meanwhile."""
        old = self.queue
        replica = self._start()
        replica.client.replicaof("127.0.0.1", str(old.port))
        eventually(lambda: replica.client.info("replication")["master_link_status"] == "up")
        replica.client.replicaof("NO", "ONE")
        meanwhile()
        self._switch_to(replica)
        old.kill()

    def restore(self, meanwhile: Meanwhile) -> None:
        """Kill the queue and start it with what it had before something happened."""
        self.queue.client.save()
        meanwhile()
        self.queue.kill()
        self._switch_to(self._start(self.queue.directory / "dump.rdb"))

    def replace(self) -> None:
        """Kill the queue; one that has nothing takes its place."""
        self.queue.kill()
        self._switch_to(self._start())

    def restart(self) -> None:
        """Kill the queue and start it with everything that it had."""
        self.queue.kill()
        self.queue.start()

    def empty(self) -> None:
        """Delete everything."""
        self.queue.client.flushall()

    def close(self) -> None:
        """Stop all."""
        self.link.close()
        for server in self._servers:
            server.stop()

    def _start(self, dump: Path | None = None) -> Valkey:
        """Start a server that keeps what it is given, with what a dump holds."""
        directory = self._directory / f"{len(self._servers)}"
        directory.mkdir(parents=True)
        if dump is not None:
            # A server that appends to a file begins with that file, and looks at no dump beside it.
            base = directory / "appendonlydir" / "appendonly.aof.1.base.rdb"
            base.parent.mkdir()
            shutil.copy(dump, base)
            manifest = base.with_name("appendonly.aof.manifest")
            manifest.write_text(f"file {base.name} seq 1 type b\n")
        server = Valkey(directory, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
        self._servers.append(server)
        server.start()
        return server

    def _switch_to(self, server: Valkey) -> None:
        self.queue = server
        self.link.lead_to(server.port)


def seconds(count: float) -> Meanwhile:
    """Return what lets some time pass."""
    return lambda: time.sleep(count)


COMEBACKS: dict[str, Callable[[Line], None]] = {
    "a replica that is 0.1 s behind": lambda line: line.fail_over(seconds(0.1)),
    "a replica that is 0.2 s behind": lambda line: line.fail_over(seconds(0.2)),
    "a replica while the old one serves": lambda line: line.switch(seconds(0.2)),
    "an older dump": lambda line: line.restore(seconds(0.2)),
    "nothing": lambda line: line.empty(),
    "a server that has nothing": lambda line: line.replace(),
    "all that it was": lambda line: line.restart(),
}


@contextlib.contextmanager
def lined_up(directory: Path) -> Iterator[Line]:
    """Run a queue until the block ends, and those that take its place."""
    line = Line(directory)
    try:
        yield line
    finally:
        line.close()
