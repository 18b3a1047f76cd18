"""The settings of a service's own code: one place, three sources, and what .env says is in the environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake, BakedProject, clean_environment
from rawclient import http
from served import ServedProject, serve
from waiting import WHOLE_PROGRAM

SAY = """
from live_board import create_app
app = create_app()

@app.get("/own")
def own():
    import os
    return [app.config["SQLALCHEMY_DATABASE_URI"], os.environ.get("THEIR_OWN")]
"""


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> BakedProject:
    """A project that says what it was told."""
    made = bake().copy(tmp_path / "project")
    (made.path / "saying_own.py").write_text(SAY)
    return made


def settings_of(project: BakedProject, tmp_path: Path, mode: str, **environment: str) -> object:
    """Return what the service says of its own settings."""
    with serve(
        project, tmp_path / "service.log", "saying_own:app", ASYNC_MODE=mode, **environment
    ) as served:
        return http("GET", f"{served.url}/own").json()


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_what_the_file_says_is_in_the_environment(
    project: BakedProject, tmp_path: Path, mode: str
) -> None:
    with (project.path / ".env").open("a") as file:
        file.write("\nDATABASE_URL=sqlite:///env.db\nTHEIR_OWN=file\n")
    assert settings_of(project, tmp_path, mode) == ["sqlite:///env.db", "file"]


def test_each_source_wins_over_the_next(project: BakedProject, tmp_path: Path) -> None:
    toml = project.path / "production.toml"
    toml.write_text(toml.read_text() + '\n[app]\ndatabase_url = "sqlite:///toml.db"\n')
    assert settings_of(project, tmp_path, "threading") == ["sqlite:///toml.db", None]
    with (project.path / ".env").open("a") as file:
        file.write("\nDATABASE_URL=sqlite:///env.db\nTHEIR_OWN=file\n")
    own = {"DATABASE_URL": "sqlite:///environment.db", "THEIR_OWN": "environment"}
    said = settings_of(project, tmp_path, "threading", **own)
    assert said == [own["DATABASE_URL"], "environment"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("databse_url = 'x'", "production.toml sets databse_url, which is no setting"),
        ("database_url = 3", "DATABASE_URL input should be a valid string."),
    ],
)
def test_what_is_no_setting_is_refused_in_one_sentence(
    project: BakedProject, tmp_path: Path, line: str, sentence: str
) -> None:
    toml = project.path / "production.toml"
    toml.write_text(f"{toml.read_text()}\n[app]\n{line}\n")
    served = ServedProject(project, tmp_path / "service.log", {})
    assert served.wait() != 0
    assert sentence in served.log_text()
    assert "Traceback" not in served.log_text()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "routes"]
    done = subprocess.run(
        command,
        cwd=project.path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=WHOLE_PROGRAM,
        check=False,
    )
    assert done.returncode != 0
    assert sentence in done.stderr
