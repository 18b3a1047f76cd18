"""The image: built for real, without a daemon, and run as its user over a read-only root.

The official images that it begins with are stood in for, see ``images.py``; so this proves what the
Dockerfile does, and nothing about them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import images
from baking import Bake, BakedProject, adopt, generate
from ports import free_port
from production.process.alive import ANSWER_TIME
from rawclient import PollingSession, http, open_websocket
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "adopted"
SECRET = "a-secret-for-tests-0123456789-abcdef"

SERVICE_RESTART = 1012
NANOSECONDS = 1_000_000_000
"""In which Docker writes seconds."""

LARGEST = 45_000_000
"""Bytes that the image may add to the one that it begins with; README.md of deploy/docker says how many."""

BUILDS_SOFTWARE = {"gcc", "cc", "make", "pip", "pip3", "npm", "node"}


class RunningService:
    """A service in a container.

    :param container: the container.
    :param output: where it writes to.
    :param environment: what differs from the image's own variables.
    """

    def __init__(self, container: images.Container, output: Path, **environment: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._container = container
        self._output = output
        self._environment = {"BIND": f"127.0.0.1:{port}", **environment}
        self.process = container.start(container.config["Cmd"], output, **self._environment)

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run the image's health check beside the service."""
        kind, *command = self._container.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self._container.run(*command, **self._environment)

    def wait_until_ready(self) -> None:
        """Wait until it answers its readiness check."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self._output.read_text()
            with contextlib.suppress(OSError):
                return http("GET", f"{self.url}/health/ready").status == 200
            return False

        eventually(is_ready, self._output.read_text)


@contextlib.contextmanager
def running(
    container: images.Container, output: Path, **environment: str
) -> Iterator[RunningService]:
    """Run a service in a container until the block ends."""
    service = RunningService(container, output, SECRET_KEY=SECRET, **environment)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.process.kill()
        service.process.wait()


@pytest.fixture(scope="module")
def container(
    bake: Bake,
    builder: Callable[[BakedProject, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[images.Container]:
    """The image of a new service, unpacked."""
    project = generate(tmp_path_factory.mktemp("image") / "output", {})
    (project.path / "server.key").write_text("not for an image")
    with images.unpacked(builder(project, "new-service")) as unpacked:
        yield unpacked


def sizes(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def test_the_image_holds_what_runs_and_nothing_else(container: images.Container) -> None:
    config = container.config
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
    assert config["Healthcheck"]["Timeout"] > ANSWER_TIME * NANOSECONDS
    assert config["Labels"]["org.opencontainers.image.title"] == "live-board"
    assert {path.name for path in container.path("/srv/app").iterdir()} == {
        *("__pycache__", "gunicorn.conf.py", "live_board", "production", "production.toml"),
        *("pyproject.toml", "requirements.txt", "wsgi.py"),
    }
    assert container.path("/srv/app/production/browser/static/vendor/socket.io.min.js").is_file()
    assert list(container.path("/srv/app/production/__pycache__").glob("settings.*.pyc"))
    assert not list(container.path("/opt").rglob("pip"))
    for directory in ("/opt/venv/bin", "/usr/local/bin", "/usr/bin"):
        assert not BUILDS_SOFTWARE & {path.name for path in container.path(directory).iterdir()}
    assert sizes(container.path("/opt/venv")) + sizes(container.path("/srv/app")) < LARGEST


def test_nothing_in_it_can_be_written(container: images.Container) -> None:
    script = "id -u; touch /srv/app/x; touch /opt/venv/x; touch /tmp/x && echo written"
    user, *refusals, written = container.run("sh", "-c", script).stdout.splitlines()
    assert (user, written) == ("10001", "written")
    assert all("Read-only file system" in refusal for refusal in refusals)
    for path in map(container.path, ("/srv/app", "/opt/venv", "/srv/app/production/settings.py")):
        assert (path.stat().st_uid, path.stat().st_mode & 0o022) == (0, 0)


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_it_serves_and_leaves_on_time(
    container: images.Container, tmp_path: Path, message_queue: str, mode: str
) -> None:
    output = tmp_path / "service.log"
    queue = {"REDIS_URL": message_queue, "SERVICE_NAME": f"image-{mode}", "WEB_CONCURRENCY": "2"}
    with running(container, output, ASYNC_MODE=mode, **queue) as service:
        checked = service.check()
        assert (checked.returncode, checked.stdout) == (0, "")
        polling = PollingSession(service.url)
        polling.connect_namespace()
        with open_websocket(service.url, sid=polling.sid) as ws:
            ws.upgrade()
        with open_websocket(service.url) as ws:
            ws.connect_namespace()
            ws.wait_for_event("connection_ack")
            assert ws.call("subscribe", {"channels": ["lobby"]})["ok"]
            service.process.send_signal(signal.SIGTERM)
            assert ws.until_closed()[-1].close_code == SERVICE_RESTART
        assert service.process.wait(PATIENCE) == 0, output.read_text()
        checked = service.check()
        assert checked.returncode == 1
        assert re.fullmatch(r"127\.0\.0\.1:\d+ does not answer: .*\.\n", checked.stdout)


def test_without_a_lock_the_build_says_what_to_do(
    bake: Bake, container: images.Container, tmp_path: Path
) -> None:
    project = bake().copy(tmp_path / "project")
    (project.path / "requirements.txt").unlink(missing_ok=True)
    with pytest.raises(images.BuildError) as failed:
        images.build(project, "unlocked")
    # buildah may lose what a step has written right before it failed, but not which step that was.
    failed_step = str(failed.value).partition("Error: building at STEP ")[2]
    assert "requirements.txt is missing: run make lock, and commit it." in failed_step, failed.value


def test_an_adopted_app_runs_in_an_image(
    builder: Callable[[BakedProject, str], str], tmp_path: Path
) -> None:
    folder = tmp_path / "chat"
    shutil.copytree(APPS / "package", folder)
    project = adopt(folder, "python -m chatserver", async_mode="gevent")
    with (
        images.unpacked(builder(project, "adopted")) as unpacked,
        running(unpacked, tmp_path / "service.log") as service,
    ):
        assert service.check().returncode == 0
        with open_websocket(service.url) as ws:
            ws.connect_namespace()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE) == 0
