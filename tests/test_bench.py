"""The measurements can be made, of every server that they are about."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from baking import TEMPLATE, clean_environment
from bench.contenders import SOCKET_IO
from bench.tables import COLUMNS
from waiting import WHOLE_PROGRAM


def test_every_server_can_be_measured(requires: Callable[[str], str]) -> None:
    requires("taskset")
    bench = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=TEMPLATE,
        env={**clean_environment(), "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        timeout=WHOLE_PROGRAM,
        check=False,
    )
    assert bench.returncode == 0, bench.stdout + bench.stderr
    rows = [line.split(" | ") for line in bench.stdout.splitlines() if line.startswith("| ")]
    assert all(len(row) == 1 + len(COLUMNS) for row in rows)
    measured = [row[0].removeprefix("| ") for row in rows]
    node = ["Node, socket.io 4.8"] if SOCKET_IO.exists() else []
    headings = ["server", "---"]
    assert measured == 2 * [
        *headings,
        "generated, eventlet",
        "generated, gevent",
        "generated, threading",
        "generated, eventlet, 1 worker + Valkey",
        "generated, eventlet, 2 workers + Valkey",
        "stock, gunicorn + gevent",
        "stock, development server",
        *node,
    ]
