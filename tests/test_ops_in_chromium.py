"""The operators' page in a real browser, with two workers: who may look, and what they see."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from baking import Bake, BakedProject
from served import serve

HERE = Path(__file__).parent
CLIENTS = HERE / "js"
SCREENSHOTS = HERE.parent / "build" / "screenshots"
TOKEN = "a-token-for-operators-0123456789-abcdef"


def test_operators_see_the_service(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str], message_queue: str
) -> None:
    node, chromium = requires("node"), requires("chromium")
    project = BakedProject(tmp_path / "board")
    shutil.copytree(bake().path, project.path)
    vendor = project.path / "production" / "browser" / "static" / "vendor"
    vendor.mkdir()
    shutil.copy(CLIENTS / "node_modules/socket.io-client/dist/socket.io.min.js", vendor)
    with serve(
        project,
        tmp_path / "board.log",
        "chatty:app",
        PYTHONPATH=str(HERE / "apps"),
        WEB_CONCURRENCY="2",
        REDIS_URL=message_queue,
        SERVICE_NAME="trading-floor",
        HOST_ID="web-1",
        OPERATOR_TOKEN=TOKEN,
        ADMIN_UI="production",
    ) as served:
        outcome = subprocess.run(
            [node, str(CLIENTS / "ops.mjs"), served.url, TOKEN, str(SCREENSHOTS)],
            env={**os.environ, "CHROMIUM": chromium},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        loud = [record for record in served.records() if record["level"] not in {"debug", "info"}]
    checks = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [check for check in checks if not check["ok"]] == []
    assert len(checks) == 21, outcome.stderr
    assert {record["logger"] for record in loud} == {"chatty"}
