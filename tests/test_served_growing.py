"""A service that runs and is asked for more workers than it can have: one goes on to serve."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from adopting import APPS
from baking import Bake, adopt
from routed import workers
from served import ServedProject, serve
from waiting import eventually


def kept_to_one(served: ServedProject) -> str:
    """Wait until the service says why it keeps to one worker, and it has no more; return the reason."""

    def refusals() -> list[str]:
        events = [str(record["event"]) for record in served.records()]
        return [event for event in events if event.startswith("One worker goes on to serve. ")]

    (refusal,) = eventually(refusals, served.log_text)
    eventually(lambda: len(workers(served)) == 1, served.log_text)
    return refusal


def test_a_signal_adds_no_worker_that_would_not_hear_the_other(bake: Bake, tmp_path: Path) -> None:
    with serve(bake(), tmp_path / "log", ASYNC_MODE="threading") as served:
        served.signal(signal.SIGTTIN)
        assert "2 workers were asked for, but without a message queue" in kept_to_one(served)
        assert "Booting worker" in served.log_text()
        assert served.log_text().count("Booting worker") == 1


def test_a_reload_adds_no_worker_that_would_not_hear_the_other(bake: Bake, tmp_path: Path) -> None:
    project = bake().copy(tmp_path / "project")
    with serve(project, tmp_path / "log", ASYNC_MODE="threading") as served:
        before = workers(served)
        with (project.path / ".env").open("a") as settings:
            settings.write("WEB_CONCURRENCY=3\n")
        served.signal(signal.SIGHUP)
        assert "3 workers were asked for, but without a message queue" in kept_to_one(served)
        eventually(lambda: before[0] not in workers(served), served.log_text)
        assert len(workers(served)) == 1
        assert served.log_text().count("Booting worker") == 2


def test_the_only_worker_of_an_adopted_app_gets_no_second_one(
    tmp_path: Path, message_queue: str
) -> None:
    """Its loops run in the one, and nothing could keep the second from running them too."""
    folder = tmp_path / "app"
    shutil.copytree(APPS / "main_guard", folder)
    project = adopt(folder, "python main.py --greeting hi")
    with serve(project, tmp_path / "log", REDIS_URL=message_queue) as served:
        (folder / "production.env").write_text("WEB_CONCURRENCY=2\n")
        served.signal(signal.SIGHUP)
        assert "restart the service instead" in kept_to_one(served)
