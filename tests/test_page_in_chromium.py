"""The live board in a real browser: as people see it, and through everything that interrupts it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from baking import Bake
from chromium import SCREENSHOTS, failures_in_chromium, with_client
from observing import QUIET_LEVELS, not_json, process_id
from served import ServedProject, serve

# gunicorn's own word for what the test does to a worker.
KILLED = "was sent SIGKILL"


def loud(served: ServedProject) -> list[dict[str, Any]]:
    """What would wake somebody, but for a worker that was killed."""
    return [
        record
        for record in served.records()
        if record["level"] not in QUIET_LEVELS and KILLED not in record["event"]
    ]


def test_people_can_use_the_board(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    project = with_client(bake(), tmp_path / "board")
    with serve(project, tmp_path / "board.log") as served:
        failures = failures_in_chromium(requires, "page.mjs", served.url, str(SCREENSHOTS))
    assert failures == []
    assert loud(served) == []
    assert not_json(served) == []


def test_the_board_survives_every_interruption(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str], message_queue: str
) -> None:
    project = with_client(bake(), tmp_path / "board")
    settings = {
        "REDIS_URL": message_queue,
        "SERVICE_NAME": "interrupted-board",
        "WEB_CONCURRENCY": "2",
        "DRAIN_SECONDS": "1",
    }
    with serve(project, tmp_path / "board.log", **settings) as served:

        def interrupt(what: dict[str, Any]) -> None:
            if "kill" in what:
                os.kill(process_id(served, what["kill"]), signal.SIGKILL)
            elif "stop" in what:
                served.stop()
            else:
                served.start_again()

        failures = failures_in_chromium(
            requires, "interruptions.mjs", served.url, str(SCREENSHOTS), answer=interrupt
        )
    assert failures == []
    assert loud(served) == []
    assert not_json(served) == []


def test_a_refusal_is_shown_and_so_is_a_process_that_hangs(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    project = with_client(bake(), tmp_path / "board")
    with serve(project, tmp_path / "board.log") as served:

        def freeze_or_thaw(what: dict[str, Any]) -> None:
            if "freeze" in what:
                os.kill(process_id(served, what["freeze"]), signal.SIGSTOP)
            else:
                os.kill(process_id(served, what["thaw"]), signal.SIGCONT)

        failures = failures_in_chromium(requires, "troubles.mjs", served.url, answer=freeze_or_thaw)
    assert failures == []
    (warning,) = loud(served)
    assert "another origin" in warning["event"]
