"""What platforms that build from the source run."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import trustme

from baking import Bake
from ports import free_port
from queues import Link, running
from rawclient import http
from served import ServedProject
from waiting import eventually


@contextlib.contextmanager
def started_as(line: str, bake: Bake, log: Path, **environment: str) -> Iterator[ServedProject]:
    """Start what a line of ``Procfile`` says, as a platform does, until the block ends."""
    kind, _, command = line.partition(": ")
    assert kind == "web"
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    served = ServedProject(
        bake(),
        log,
        {"PORT": str(port), "PATH": path, **environment},
        port=port,
        # As a platform's shell runs it, except that only this machine may come.
        program=("sh", "-c", f"exec env {command.replace('0.0.0.0', '127.0.0.1')}"),
    )
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.stop()


def test_the_service_listens_where_the_platform_says(bake: Bake, tmp_path: Path) -> None:
    line = bake().text("Procfile").strip()
    with started_as(line, bake, tmp_path / "web.log") as served:
        assert http("GET", f"{served.url}/health/ready").status == 200


def test_a_queue_whose_certificate_nobody_vouches_for_is_used_as_the_documentation_says(
    bake: Bake, tmp_path: Path
) -> None:
    (line,) = re.findall("^    (web: .*)", bake().text("deploy/README.md"), re.MULTILINE)
    certificate = trustme.CA().issue_cert("queue.example.org")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with running(tmp_path) as valkey, contextlib.closing(Link(valkey.port, context)) as link:
        url = f"rediss://127.0.0.1:{link.port}"
        with started_as(line, bake, tmp_path / "web.log", REDIS_URL=url) as served:
            eventually(
                lambda: http("GET", f"{served.url}/health/ready").status == 200,
                served.log_text,
            )
            assert "lost" not in served.log_text()
