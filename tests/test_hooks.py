"""The hooks, rendered as cookiecutter renders them and called as functions."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.utils import create_env_with_context

from baking import TEMPLATE

ANSWERS = {
    "project_name": "Live Board",
    "project_slug": "live-board",
    "package_name": "live_board",
    "description": "",
    "author": "",
    "async_mode": "eventlet",
    "existing_app": "",
}

LoadHook = Callable[..., ModuleType]


def rendered(name: str, **answers: str) -> str:
    settings = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    private = {key: settings[key] for key in ("_extensions", "_jinja2_env_vars")}
    context = {"cookiecutter": {**ANSWERS, **answers, **private}}
    source = (TEMPLATE / "hooks" / f"{name}.py").read_text()
    text: str = create_env_with_context(context).from_string(source).render(**context)
    return text


@pytest.fixture
def load_hook(tmp_path: Path) -> LoadHook:
    """Render a hook with some answers and import what comes out."""

    def load(name: str, **answers: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(rendered(name, **answers))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory as it is for a hook."""
    path = tmp_path / "project"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def test_good_answers_pass_the_first_hook(load_hook: LoadHook) -> None:
    load_hook("pre_gen_project")


def test_a_bad_answer_stops_the_first_hook(load_hook: LoadHook) -> None:
    with pytest.raises(FailedHookException, match="is taken by Python as a keyword"):
        load_hook("pre_gen_project", package_name="class")


def test_an_answer_reaches_the_hook_as_data(load_hook: LoadHook) -> None:
    hostile_slug = '""" + exit() + r"""\\{{x}}'
    hook = load_hook("post_gen_project", project_slug=hostile_slug)
    assert hostile_slug == hook.PROJECT_SLUG


def test_a_secret_is_written_for_its_owner_only(load_hook: LoadHook, project: Path) -> None:
    load_hook("post_gen_project").main()
    path = project / ".env"
    comment, secret, *of_the_queue = path.read_text().splitlines()
    assert comment.startswith("# ")
    assert re.fullmatch(r"VALKEY_PASSWORD=[\w-]{32}", of_the_queue[-1])
    assert secret.startswith("SECRET_KEY=")
    assert len(secret.removeprefix("SECRET_KEY=")) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_secret_is_another(load_hook: LoadHook) -> None:
    hook = load_hook("post_gen_project")
    assert hook.environment_file() != hook.environment_file()


def test_a_secret_that_is_there_is_kept(load_hook: LoadHook, project: Path) -> None:
    (project / ".env").write_text("SECRET_KEY=in-use\n")
    load_hook("post_gen_project").main()
    assert (project / ".env").read_text() == "SECRET_KEY=in-use\n"


def test_a_link_to_a_secret_elsewhere_is_kept(load_hook: LoadHook, project: Path) -> None:
    (project / ".env").symlink_to(project / "not-mounted")
    load_hook("post_gen_project").main()
    assert not (project / "not-mounted").exists()


def test_the_last_hook_deletes_and_changes_nothing_else(load_hook: LoadHook, project: Path) -> None:
    (project / "mine.txt").write_text("mine")
    (project / "empty").mkdir()
    load_hook("post_gen_project").main()
    assert {path.name for path in project.iterdir()} == {"mine.txt", "empty", ".env"}
    assert (project / "mine.txt").read_text() == "mine"


def test_the_last_hook_prints_three_lines(
    load_hook: LoadHook, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_hook("post_gen_project").main()
    enter, run, test = capsys.readouterr().out.splitlines()
    assert enter == "cd live-board"
    assert run.startswith("make run ")
    assert run.endswith("http://127.0.0.1:5000")
    assert test.startswith("make test ")


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """What cookiecutter writes for an existing app, in its folder."""
    path = tmp_path / "app" / ".adopting-1"
    (path / "production").mkdir(parents=True)
    (path / "production" / "__init__.py").write_text('"""The production layer: all of it."""\n')
    for name in ("wsgi.py", "gunicorn.conf.py", "production.toml", ".env.example", "Makefile"):
        (path / name).write_text(name)
    for name in ("Dockerfile", ".dockerignore", "compose.yaml", "compose.dev.yaml", "Procfile"):
        (path / name).write_text(name)
    (path / "requirements-production.txt").write_text("")
    (path / ".cruft.json").write_text("{}")
    (path / "deploy" / "nginx").mkdir(parents=True)
    (path / "deploy" / "start.sh").touch(mode=0o755)
    (path / "deploy" / "nginx" / "hosts.conf").write_text("hosts")
    (path / "MIGRATION.md").write_text("<!-- kept -->\n")
    (path / "README.md").write_text("of a new service")
    return path


def test_an_app_gets_what_is_for_it_and_no_secret(load_hook: LoadHook, staged: Path) -> None:
    hook = load_hook("post_gen_project", existing_app="run.py")
    hook.adopt(staged)
    assert {path.name for path in staged.parent.iterdir()} == {"production", *hook.ADDED}
    assert (staged.parent / "deploy" / "nginx" / "hosts.conf").read_text() == "hosts"
    assert (staged.parent / "deploy" / "start.sh").stat().st_mode & 0o111
    assert 'existing_app = "run.py"' in (staged.parent / "production.toml").read_text()


def test_a_delivery_that_fails_is_taken_back(
    load_hook: LoadHook, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = load_hook("post_gen_project", existing_app="run.py")
    (staged.parent / "run.py").write_text("mine")
    bring = hook.Delivery._bring

    def bring_until_the_disk_is_full(delivery: object, name: str) -> bool:
        if name == "MIGRATION.md":
            raise OSError(28, "No space left on device")
        brought: bool = bring(delivery, name)
        return brought

    monkeypatch.setattr(hook.Delivery, "_bring", bring_until_the_disk_is_full)
    with pytest.raises(OSError, match="No space"):
        hook.adopt(staged)
    assert [path.name for path in staged.parent.iterdir()] == ["run.py"]


@pytest.fixture
def migration(staged: Path) -> Path:
    """The module that fills the report; it says nothing yet."""
    path = staged / "production" / "adopt"
    path.mkdir()
    (path / "__init__.py").touch()
    return path / "migration.py"


def test_the_checker_s_findings_enter_the_report(
    load_hook: LoadHook, staged: Path, migration: Path
) -> None:
    migration.write_text("import sys\nprint(sys.argv[1:], len(sys.stdin.read()))\n")
    load_hook("post_gen_project", existing_app="run.py").adopt(staged)
    assert (staged.parent / "MIGRATION.md").read_text() == f"['{staged.parent}'] 14\n"


def test_a_checker_that_fails_is_quoted(load_hook: LoadHook, staged: Path, migration: Path) -> None:
    migration.write_text("raise SystemExit('no memory left')\n")
    load_hook("post_gen_project", existing_app="run.py").adopt(staged)
    report = (staged.parent / "MIGRATION.md").read_text()
    assert report.endswith("The checker failed:\n\n```text\nno memory left\n```\n")
