"""A project that was generated from an old state of the template takes what is new with one command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import TEMPLATE, BakedProject, clean_environment, cookiecutter_config

LAYER = "{{cookiecutter.project_slug}}/production"


class Repository:
    """A git repository of the test's own.

    :param path: its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Run git in the repository, as somebody who has a name."""
        identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
        return run("git", *identity, *arguments, cwd=self.path).stdout

    def commit(self, message: str) -> None:
        """Commit everything as it is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def write(self, name: str, text: str) -> None:
        """Write a file, and what leads to it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Change one place of a file."""
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new, 1))

    def append(self, name: str, text: str) -> None:
        """Add to the end of a file."""
        self.write(name, (self.path / name).read_text(encoding="utf-8") + text)


def run(*command: str, cwd: Path, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
    outcome = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not succeeds or outcome.returncode == 0, outcome.stdout
    return outcome


@pytest.fixture
def template(tmp_path: Path) -> Repository:
    """An older state of this template: one module less in the layer, and one more."""
    path = tmp_path / "template"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=TEMPLATE)
    for name in listed.stdout.splitlines():
        source, target = TEMPLATE / name, path / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    template = Repository(path)
    template.change(f"{LAYER}/version.py", 'VERSION = "', 'VERSION = "0.')
    template.append(f"{LAYER}/realtime/repeats.py", "\n# An old remark.\n")
    template.write(f"{LAYER}/abandoned.py", '"""A module that the layer has no more."""\n')
    template.commit("Old")
    return template


@pytest.fixture
def project(template: Repository) -> Repository:
    """A project that was generated then, in its owner's repository."""
    generate(template)
    project = Repository(template.path.parent / "live-board")
    project.commit("Generated")
    return project


def generate(template: Repository, *arguments: str) -> None:
    config = str(cookiecutter_config(template.path.parent))
    command = (sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", config)
    run(*command, template.path.name, *arguments, cwd=template.path.parent)


def release(template: Repository) -> None:
    """Bring the template to its present state, and a Makefile target beyond it."""
    for name in ("version.py", "realtime/repeats.py"):
        template.write(f"{LAYER}/{name}", (TEMPLATE / LAYER / name).read_text(encoding="utf-8"))
    (template.path / LAYER / "abandoned.py").unlink()
    template.append("{{cookiecutter.project_slug}}/deploy/nginx/hosts.conf", "# A new remark.\n")
    template.append("{{cookiecutter.project_slug}}/{{cookiecutter.package_name}}/board.py", "#\n")
    template.commit("New")


def update(project: Repository, *options: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "production.update", *options)
    return run(*command, cwd=project.path, succeeds=False)


def test_the_layer_is_replaced_and_what_is_the_users_stays(
    template: Repository, project: Repository
) -> None:
    project.append("live_board/board.py", "\n\nMINE = True\n")
    project.append("tests/test_board.py", "\n\ndef test_mine() -> None:\n    assert True\n")
    project.change("Makefile", ".DEFAULT_GOAL", "MINE := yes\n\n.DEFAULT_GOAL")
    project.change("README.md", "# Live Board", "# Our Board")
    (project.path / "deploy/nginx/sticky.conf").unlink()
    project.commit("Make it ours")
    secret = (project.path / ".env").read_text()
    release(template)

    outcome = update(project)

    assert outcome.returncode == 0, outcome.stdout
    for path in (TEMPLATE / LAYER).rglob("*.py"):
        copy = project.path / "production" / path.relative_to(TEMPLATE / LAYER)
        assert copy.read_bytes() == path.read_bytes()
    assert not (project.path / "production/abandoned.py").exists()
    assert (project.path / "deploy/nginx/hosts.conf").read_text().endswith("# A new remark.\n")
    assert (project.path / "live_board/board.py").read_text().endswith("MINE = True\n")
    assert "MINE := yes" in (project.path / "Makefile").read_text()
    assert (project.path / "README.md").read_text().startswith("# Our Board\n")
    assert not (project.path / "deploy/nginx/sticky.conf").exists()
    assert (project.path / ".env").read_text() == secret
    tests = BakedProject(project.path).run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout
    project.commit("Update")
    assert update(project).stdout.startswith("Up to date: ")


def test_a_project_of_the_first_commit_that_recorded_its_origin_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    """Not a state that the test made up, but one that the template was really in."""
    if run("git", "rev-parse", "--is-shallow-repository", cwd=TEMPLATE).stdout.strip() == "true":
        pytest.skip("this clone has no history")
    record = "{{cookiecutter.project_slug}}/.cruft.json"
    commits = run("git", "log", "--reverse", "--format=%H", "--", record, cwd=TEMPLATE)
    run("git", "clone", "--quiet", "--no-tags", str(TEMPLATE), "template", cwd=tmp_path)
    template = Repository(tmp_path / "template")
    template.git("remote", "remove", "origin")
    newest = template.git("rev-parse", "HEAD").strip()
    template.git("checkout", "--quiet", commits.stdout.split()[0])
    generate(template)
    template.git("checkout", "--quiet", newest)
    project = Repository(tmp_path / "live-board")
    project.append("live_board/board.py", "\n\nMINE = True\n")
    project.change("README.md", "# Live Board", "# Our Board")
    project.commit("Make it ours")

    outcome = update(project)

    assert outcome.returncode == 0, outcome.stdout
    assert (project.path / "live_board/board.py").read_text().endswith("MINE = True\n")
    assert (project.path / "README.md").read_text().startswith("# Our Board\n")
    tests = BakedProject(project.path).run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout


@pytest.fixture
def adopted(template: Repository) -> Repository:
    """An app of somebody else's, with the layer around it as it was then."""
    path = template.path.parent / "main_guard"
    shutil.copytree(TEMPLATE / "tests/adopted/main_guard", path)
    app = Repository(path)
    generate(
        template,
        *("--overwrite-if-exists", "--skip-if-file-exists"),
        *("project_slug=main_guard", "existing_app=python main.py"),
    )
    app.commit("Adopted")
    return app


def test_the_layer_around_an_app_is_replaced(template: Repository, adopted: Repository) -> None:
    adopted.change("Makefile", ".DEFAULT_GOAL", "MINE := yes\n\n.DEFAULT_GOAL")
    adopted.commit("Make it ours")
    release(template)

    assert update(adopted, "--check").returncode == 1
    outcome = update(adopted)

    assert outcome.returncode == 0, outcome.stdout
    assert not (adopted.path / "production/abandoned.py").exists()
    version = (TEMPLATE / LAYER / "version.py").read_text()
    assert (adopted.path / "production/version.py").read_text() == version
    assert "MINE := yes" in (adopted.path / "Makefile").read_text()
    app = Path("main.py")
    assert (adopted.path / app).read_bytes() == (
        TEMPLATE / "tests/adopted/main_guard" / app
    ).read_bytes()
    adopted.commit("Update")
    assert update(adopted).stdout.startswith("Up to date: ")


def test_a_project_says_whether_it_is_behind(template: Repository, project: Repository) -> None:
    newest = re.search(r'"(.+)"', (TEMPLATE / LAYER / "version.py").read_text().split("=")[1])
    assert newest
    assert update(project, "--check").stdout == f"Up to date: 0.{newest[1]}.\n"
    release(template)
    outcome = update(project, "--check")
    first, *news = outcome.stdout.splitlines()
    assert outcome.returncode == 1
    commit = template.git("rev-parse", "--short=8", "HEAD").strip()
    assert first == (
        f"This project has 0.{newest[1]}, the template is at {newest[1]}+{commit}: make update."
    )
    assert any(line.startswith("## [") for line in news)
    assert project.git("status", "--porcelain") == ""


def test_what_no_release_has_yet_is_named_by_its_commits(
    template: Repository, project: Repository, requires: Callable[[str], str]
) -> None:
    template.change("CHANGELOG.md", "## [", "## [0.")
    template.commit("Write for ourselves")
    asked = update(project, "--check")
    assert asked.returncode == 1
    assert asked.stdout.endswith("\n\nWhat projects are made of has not changed since.\n\n")
    template.append("{{cookiecutter.project_slug}}/deploy/nginx/hosts.conf", "# A new remark.\n")
    template.commit("Remark upon the hosts")
    news = "\n\n- Remark upon the hosts\n\n"
    told = run(requires("make"), "outdated", f"TOOLS={sys.prefix}", cwd=project.path)
    assert told.stdout.endswith(news), "make takes the news for a failure"


def test_a_release_goes_before_what_was_not_released(
    template: Repository, project: Repository
) -> None:
    template.git("tag", "v0.1.0")
    release(template)
    assert update(project).stdout.startswith("Up to date: ")
    template.git("tag", "v0.2.0")
    assert update(project).stdout.startswith("Updated from ")


def test_what_both_changed_is_named_and_left_to_the_user(
    template: Repository, project: Repository
) -> None:
    project.change("Makefile", "VENV := .venv", "VENV := .mine")
    project.commit("Move the environment")
    template.change(
        "{{cookiecutter.project_slug}}/Makefile", "VENV := .venv\n", "VENV := .environment\n"
    )
    release(template)

    outcome = update(project)

    assert outcome.returncode == 1
    assert outcome.stdout.endswith("You changed what the template changed too: Makefile\n")
    makefile = (project.path / "Makefile").read_text()
    assert "VENV := .mine" in makefile
    assert "VENV := .environment" in makefile


def forget_the_commit(project: Repository) -> None:
    origin = json.loads((project.path / ".cruft.json").read_text())
    project.write(".cruft.json", json.dumps(origin | {"commit": None}))
    project.commit("Forget")


def lose_the_template(project: Repository) -> None:
    project.change(".cruft.json", '"template": "', '"template": "/nowhere')
    project.commit("Lose")


def leave_work_unsaved(project: Repository) -> None:
    project.append("README.md", "Unsaved\n")


def remove_the_record(project: Repository) -> None:
    (project.path / ".cruft.json").unlink()


def break_the_record(project: Repository) -> None:
    project.write(".cruft.json", "{")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (forget_the_commit, "names no commit"),
        (lose_the_template, "cannot be fetched"),
        (leave_work_unsaved, "not committed"),
        (remove_the_record, "is missing"),
        (break_the_record, "is no JSON"),
    ],
)
def test_what_stops_an_update_is_said_in_one_sentence(
    template: Repository, project: Repository, spoil: object, sentence: str
) -> None:
    assert callable(spoil)
    spoil(project)
    release(template)
    outcome = update(project)
    assert outcome.returncode == 2
    assert sentence in outcome.stdout
    assert len(outcome.stdout.splitlines()) == 1


def test_the_changelog_has_the_release_that_projects_get() -> None:
    version = re.search(r'VERSION = "(.+)"', (TEMPLATE / LAYER / "version.py").read_text())
    released = re.search(r"^## \[(\d.+?)\]", (TEMPLATE / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    assert released
    assert version[1] == released[1]
