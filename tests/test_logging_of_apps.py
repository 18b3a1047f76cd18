"""An app that configures logging for itself: what it wants holds, and what the layer writes stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake
from rawclient import open_websocket
from served import serve

APPS = Path(__file__).parent / "apps"


@pytest.mark.parametrize(
    ("mode", "form"), [*((mode, "json") for mode in ASYNC_MODES), ("eventlet", "console")]
)
def test_both_configurations_hold(bake: Bake, tmp_path: Path, mode: str, form: str) -> None:
    file = tmp_path / "theirs.log"
    with (
        serve(
            bake(),
            tmp_path / "service.log",
            "own_logging:app",
            ASYNC_MODE=mode,
            LOG_FORMAT=form,
            LOG_FILE=str(file),
            OPERATOR_TOKEN="a-token-for-tests-0123456789-abcdef",
            PYTHONPATH=str(APPS),
        ) as served,
        open_websocket(served.url) as client,
    ):
        client.connect_namespace()
        assert client.call("fail")["error"]["code"] == "internal"
        client.call("say", "hello")
    written = served.log_text()
    # The layer's own level is its setting's, and the app's for the root logger is the app's.
    assert written.count("client connected") == 1
    assert written.count("said hello") == 1
    assert "whispered" not in written
    assert written.count("RuntimeError: as ever") == 1
    if form == "json":
        records = [json.loads(line) for line in written.splitlines()]
        [failure] = [one for one in records if one["event"] == "event handler failed"]
        assert "RuntimeError: as ever" in failure["exception"]
        assert failure["event_name"] == "fail"
        assert failure["request_id"]
        [said] = [one for one in records if one["event"] == "said hello"]
        assert said["event_name"] == "say"
    theirs = file.read_text()
    assert "] WARNING in own_logging: said hello\n" in theirs
    assert "] ERROR in errors: event handler failed" in theirs
    assert "RuntimeError: as ever" in theirs
    assert "INFO in server: client connected request_id=" in theirs
