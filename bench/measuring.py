"""Measures one server: what its clients cost it, in processor time, memory and waiting."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .crowd import Crowd
from .servers import Server

FEWEST = 10


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    :param sessions: how many sessions are open while events are measured.
    :param seconds: how long announcements are sent, and as long echoes.
    :param most_sessions: how many sessions to open in the end.
    """

    sessions: int
    seconds: float
    most_sessions: int


@dataclass(frozen=True)
class Figures:
    """What was measured of one server in one round.

    :param delivery: microseconds of processor time for each recipient of an announcement.
    :param echo: microseconds of processor time for each event that is acknowledged.
    :param echo_wait: microseconds until an acknowledgement is there, the median.
    :param echo_wait_99: the same for the slowest of a hundred.
    :param connect: microseconds of processor time for each session that is opened.
    :param memory: kilobytes of memory for each idle session.
    :param held: how many sessions were open in the end.
    :param reach: milliseconds until an announcement had reached the last of them.
    """

    delivery: float
    echo: float
    echo_wait: float
    echo_wait_99: float
    connect: float
    memory: float
    held: float
    reach: float


def measure(server: Server, effort: Effort) -> Figures:
    """Measure a server that has no session yet.

    :param server: the server.
    :param effort: how much to measure.
    :raises RuntimeError: if it does not take the sessions that the rest is measured with.
    """
    with Crowd(server.url) as crowd:
        memory_before, cpu_before = server.memory_bytes(), server.cpu_seconds()
        if not crowd.grow(effort.sessions):
            raise RuntimeError(f"Only {len(crowd)} of {effort.sessions} sessions could be opened.")
        connect = (server.cpu_seconds() - cpu_before) / effort.sessions
        memory = (server.memory_bytes() - memory_before) / effort.sessions

        delivery, _ = _each(server, _announcements(crowd), effort.seconds)
        echo, waits = _each(server, crowd.echoes(), effort.seconds)

        crowd.grow(effort.most_sessions)
        reach = statistics.median(crowd.announce() for _ in range(5))
        return Figures(
            delivery=1e6 * delivery / effort.sessions,
            echo=1e6 * echo,
            echo_wait=1e6 * statistics.median(waits),
            echo_wait_99=1e6 * statistics.quantiles(waits, n=100)[-1],
            connect=1e6 * connect,
            memory=memory / 1024,
            held=len(crowd),
            reach=1e3 * reach,
        )


def _announcements(crowd: Crowd) -> Iterator[float]:
    """Announce again and again."""
    while True:
        yield crowd.announce()


def _each(server: Server, doings: Iterator[float], seconds: float) -> tuple[float, list[float]]:
    """Do something for some time.

    :return: the processor time that the server needs for each, and the seconds that each took.
    """
    next(doings)  # the first pays for what is made once
    cpu_before = server.cpu_seconds()
    until = time.monotonic() + seconds
    taken: list[float] = []
    while time.monotonic() < until or len(taken) < FEWEST:
        taken.append(next(doings))
    return (server.cpu_seconds() - cpu_before) / len(taken), taken
