"""The live board in a real browser: two windows, refreshes, light and dark, phone and desk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from baking import Bake, BakedProject
from observing import not_json
from served import serve

CLIENTS = Path(__file__).parent / "js"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"


def test_people_can_use_the_board(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    node, chromium = requires("node"), requires("chromium")
    project = BakedProject(tmp_path / "board")
    shutil.copytree(bake().path, project.path)
    vendor = project.path / "production" / "browser" / "static" / "vendor"
    vendor.mkdir()
    shutil.copy(CLIENTS / "node_modules/socket.io-client/dist/socket.io.min.js", vendor)
    with serve(project, tmp_path / "board.log") as served:
        outcome = subprocess.run(
            [node, str(CLIENTS / "page.mjs"), served.url, str(SCREENSHOTS)],
            env={**os.environ, "CHROMIUM": chromium},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        loud = [record for record in served.records() if record["level"] not in {"debug", "info"}]
    checks = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [check for check in checks if not check["ok"]] == []
    assert len(checks) == 8, outcome.stderr
    assert loud == []
    assert not_json(served) == []
