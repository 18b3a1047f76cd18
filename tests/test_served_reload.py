"""A running service that is told to reload settings which it would not have started with."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from baking import Bake, BakedProject
from routed import workers
from served import serve
from waiting import eventually

PATIENCE = 30.0


def test_a_reload_with_refused_settings_changes_nothing(bake: Bake, tmp_path: Path) -> None:
    project = BakedProject(tmp_path / "project")
    shutil.copytree(bake().path, project.path)
    environment = project.path / ".env"
    good = environment.read_text()
    with serve(project, tmp_path / "log", ASYNC_MODE="threading") as served:
        before = workers(served)
        environment.write_text(f"{good}PING_INTERVAL=often\n")
        served.signal(signal.SIGHUP)
        eventually(lambda: "Nothing is reloaded" in served.log_text(), PATIENCE, served.log_text)
        assert "PING_INTERVAL input should be a valid number" in served.log_text()
        assert workers(served) == before

        environment.write_text(f"{good}PING_INTERVAL=20\n")
        served.signal(signal.SIGHUP)
        eventually(lambda: not set(before).intersection(workers(served)), PATIENCE, served.log_text)
        assert served.log_text().count("Booting worker") == 2
