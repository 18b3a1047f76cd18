"""What platforms that build from the source run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from baking import Bake
from rawclient import http
from served import ServedProject, free_port


def test_the_service_listens_where_the_platform_says(bake: Bake, tmp_path: Path) -> None:
    kind, _, command = bake().text("Procfile").strip().partition(": ")
    assert kind == "web"
    port = free_port()
    served = ServedProject(
        bake(),
        tmp_path / "web.log",
        {"PORT": str(port), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        port=port,
        # As a platform's shell runs it, except that only this machine may come.
        program=("sh", "-c", f"exec env {command.replace('0.0.0.0', '127.0.0.1')}"),
    )
    try:
        served.wait_until_ready()
        assert http("GET", f"{served.url}/health/ready").status == 200
    finally:
        served.stop()
