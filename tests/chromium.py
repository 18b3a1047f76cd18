"""Runs the tests of pages in a real Chromium, which are JavaScript, see tests/js/browser.mjs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from baking import BakedProject
from waiting import WHOLE_PROGRAM

SCRIPTS = Path(__file__).parent / "js"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"


def with_client(project: BakedProject, copy: Path) -> BakedProject:
    """Copy a project and put the Socket.IO client into it, as ``make assets`` does.

    :param project: the project.
    :param copy: where its copy is to be.
    """
    copied = project.copy(copy)
    vendor = copy / "production" / "browser" / "static" / "vendor"
    vendor.mkdir()
    shutil.copy(SCRIPTS / "node_modules/socket.io-client/dist/socket.io.min.js", vendor)
    return copied


def failures_in_chromium(
    requires: Callable[[str], str],
    script: str,
    *arguments: str,
    answer: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Run a script and return its checks that failed.

    :param requires: finds a command, or skips the test.
    :param script: the script's name in tests/js.
    :param arguments: what the script is given.
    :param answer: does what the script asks for.
    """
    environment = {**os.environ, "CHROMIUM": requires("chromium")}
    process = subprocess.Popen(
        [requires("node"), str(SCRIPTS / script), *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(WHOLE_PROGRAM, process.kill)
    watchdog.start()
    checks = []
    try:
        for line in process.stdout:
            record = json.loads(line)
            if "ask" in record:
                assert answer is not None
                answer(record["ask"])
                process.stdin.write("done\n")
                process.stdin.flush()
            else:
                checks.append(record)
        status = process.wait()
    finally:
        watchdog.cancel()
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()
    failures = [check for check in checks if not check["ok"]]
    assert checks, f"{script} checked nothing, and ended with {status}"
    assert bool(status) == bool(failures), f"{script} ended with {status}"
    return failures
