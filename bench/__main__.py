"""``make bench``, or ``python -m bench`` with the tests' helpers on the path: run it all and print tables."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

import queues
from baking import generate

from .contenders import REFERENCE, contenders
from .measuring import Effort, Figures, measure
from .servers import cores, running
from .tables import tables

FULL = Effort(sessions=500, seconds=1.0, most_sessions=2000)
QUICK = Effort(sessions=5, seconds=0.05, most_sessions=10)


def run(effort: Effort, count: int, only: str = "") -> Mapping[str, list[Figures]]:
    """Measure every server, one after the other, and begin again with the first.

    What disturbs the machine for a while so disturbs neighbours of one round, which are compared.

    :param effort: how much to measure.
    :param count: how many rounds.
    :param only: a part of the names of those to measure; the reference always is.
    :return: what was measured of each server, round by round.
    """
    server_core, client_core = cores()
    measured: dict[str, list[Figures]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory, queues.running(Path(directory)) as queue:
        project = generate(Path(directory) / "output", {})
        os.sched_setaffinity(queue.pid, {server_core})
        os.sched_setaffinity(0, {client_core})
        for number in range(1, count + 1):
            for contender in contenders(project, queue.url):
                if contender.name != REFERENCE and only not in contender.name:
                    continue
                print(f"round {number}: {contender.name}", file=sys.stderr)
                beside = (psutil.Process(queue.pid),) if contender.queued else ()
                log_path = Path(directory) / "server.log"
                with running(contender, log_path, server_core, beside) as server:
                    measured[contender.name].append(measure(server, effort))
    return measured


def main() -> None:
    """Read the command line, measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--only", default="", help="a part of the names of those to measure")
    arguments = parser.parse_args()
    effort, count = (QUICK, 1) if arguments.quick else (FULL, arguments.rounds)
    load = os.getloadavg()[0]
    measured = run(effort, count, arguments.only)
    print(
        f"{effort.sessions} sessions over WebSockets, {count} rounds, server and clients on one core each; "
        f"the machine's load beforehand was {load:.1f}.\n"
    )
    print(tables(measured, REFERENCE))


if __name__ == "__main__":
    main()
