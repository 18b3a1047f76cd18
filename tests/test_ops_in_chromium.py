"""The operators' page in a real browser, with two workers: who may look, and what they see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baking import Bake
from chromium import SCREENSHOTS, failures_in_chromium, with_client
from observing import QUIET_LEVELS
from served import serve

APPS = Path(__file__).parent / "apps"
TOKEN = "a-token-for-operators-0123456789-abcdef"


def test_operators_see_the_service(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str], message_queue: str
) -> None:
    project = with_client(bake(), tmp_path / "board")
    settings = {
        "PYTHONPATH": str(APPS),
        "WEB_CONCURRENCY": "2",
        "REDIS_URL": message_queue,
        "SERVICE_NAME": "trading-floor",
        "HOST_ID": "web-1",
        "OPERATOR_TOKEN": TOKEN,
        "ADMIN_UI": "production",
    }
    with serve(project, tmp_path / "board.log", "chatty:app", **settings) as served:
        failures = failures_in_chromium(requires, "ops.mjs", served.url, TOKEN, str(SCREENSHOTS))
        loud = [record for record in served.records() if record["level"] not in QUIET_LEVELS]
    assert failures == []
    assert {record["logger"] for record in loud} == {"chatty"}
