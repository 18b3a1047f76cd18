"""Generated projects pass their own checks, and their Makefile works on a bare machine."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from baking import ASYNC_MODES, ODD_TEXT, TEMPLATE, Bake, BakedProject, generate
from waiting import WHOLE_PROGRAM


@pytest.fixture(scope="module", params=ASYNC_MODES)
def project(request: pytest.FixtureRequest, bake: Bake) -> BakedProject:
    """A project of each mode whose texts are odd."""
    return bake(
        project_name=ODD_TEXT,
        project_slug=f"{request.param}-board",
        description=ODD_TEXT,
        author=ODD_TEXT,
        async_mode=request.param,
    )


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all projects: most of what mypy reads is the libraries."""
    return tmp_path_factory.mktemp("mypy")


def check(project: BakedProject, *command: str) -> None:
    """Run a tool of this very environment in the project, without leaving a cache there."""
    outcome = project.run(sys.executable, "-m", *command)
    assert outcome.returncode == 0, outcome.stdout


def test_the_linter_has_nothing_to_say(project: BakedProject) -> None:
    check(project, "ruff", "check", "--no-cache")


def test_the_formatter_would_change_nothing(project: BakedProject) -> None:
    check(project, "ruff", "format", "--check", "--diff", "--no-cache")


@pytest.mark.parametrize("package", ["a", "quality", "z" * 40])
@pytest.mark.parametrize("length", [1, 55, 66, 77, 88, 99, 300])
def test_names_and_texts_of_any_length_keep_to_the_style(
    bake: Bake, package: str, length: int
) -> None:
    project = bake(package_name=package, description="d" * length, project_name="n" * length)
    check(project, "ruff", "check", "--no-cache")
    check(project, "ruff", "format", "--check", "--diff", "--no-cache")


def test_the_types_hold(project: BakedProject, mypy_cache: Path) -> None:
    check(project, "mypy", f"--cache-dir={mypy_cache}")


def test_its_own_tests_pass(project: BakedProject) -> None:
    check(project, "pytest", "-p", "no:cacheprovider")


def test_its_requirements_are_what_is_tested_here(project: BakedProject) -> None:
    metadata = tomllib.loads(project.text("pyproject.toml"))["project"]
    for line in metadata["dependencies"]:
        requirement = Requirement(line)
        assert version(requirement.name) in requirement.specifier


@pytest.fixture
def fresh_project(tmp_path: Path) -> BakedProject:
    """A project in a directory whose name has a space, in which the Makefile may do as it likes."""
    return generate(tmp_path / "fresh copy", {"description": ODD_TEXT})


@pytest.fixture(scope="module")
def installed_project(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """A project that tests install into, one after the other: what there is takes no time.

    Of one mode: what the others install is installed for all the other tests.
    """
    return generate(tmp_path_factory.mktemp("installed copy"), {"description": ODD_TEXT})


def listed_by_git(project: BakedProject, *options: str) -> list[str]:
    """List what git would add to a new repository of the project, or what its options name."""
    project.run("git", "init", "--quiet")
    outcome = project.run("git", "ls-files", "--others", "--exclude-standard", *options)
    shutil.rmtree(project.path / ".git")
    return outcome.stdout.splitlines()


def make(project: BakedProject, *arguments: str) -> str:
    outcome = project.run("make", *arguments, timeout=WHOLE_PROGRAM)
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


class TestMakefile:
    @pytest.fixture(autouse=True)
    def _make(self, requires: Callable[[str], str]) -> None:
        requires("make")

    @pytest.mark.parametrize("whose", ["project", "template"])
    def test_an_environment_of_another_interpreter_is_made_anew(
        self, bake: Bake, tmp_path: Path, whose: str
    ) -> None:
        project = bake().copy(tmp_path / "project")
        command = ("-n", "install")
        if whose == "template":
            for name in ("Makefile", "pyproject.toml"):
                shutil.copy(TEMPLATE / name, project.path)
            command = ("-n", ".venv/bin/python")
        python = project.path / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        for name in ("requirements.txt", "requirements-dev.txt", ".venv/.installed"):
            (project.path / name).touch()
        other = tmp_path / "python"
        other.write_text("#!/bin/sh\necho 3.99\n")
        other.chmod(0o755)
        assert "venv" not in make(project, *command).replace(".venv", "")
        assert "--clear" not in make(project, *command, f"PYTHON={sys.executable}")
        assert f"{other} -m venv --clear .venv" in make(project, *command, f"PYTHON={other}")
        python.unlink()
        python.symlink_to(tmp_path / "upgraded-away")
        assert "-m venv --clear .venv" in make(project, *command)

    def test_make_alone_lists_the_commands(self, fresh_project: BakedProject) -> None:
        listed = [line.split()[1] for line in make(fresh_project).splitlines()]
        assert listed == [
            "help",
            "install",
            "run",
            "debug",
            "stack",
            "test",
            "lint",
            "format",
            "doctor",
            "probe",
            "assets",
            "binary",
            "lock",
            "upgrade",
            "audit",
            "outdated",
            "update",
            "clean",
        ]

    def test_a_python_that_is_too_old_is_refused_with_one_sentence(
        self, fresh_project: BakedProject, old_python: Path
    ) -> None:
        outcome = fresh_project.run("make", "install", f"PYTHON={old_python}")
        sentence, _ = outcome.stdout.splitlines()
        assert sentence.startswith("Python 3.11 or newer is needed")
        assert not (fresh_project.path / ".venv").exists()

    def test_what_is_pinned_is_installed_without_the_tool_that_pins(
        self, fresh_project: BakedProject
    ) -> None:
        assert "Installing uv " in make(fresh_project, "--dry-run", "install")
        pinned = fresh_project.path / "requirements-dev.txt"
        pinned.touch()
        assert "Installing uv " not in make(fresh_project, "--dry-run", "install")
        pinned.unlink()

    def test_assets_are_served_from_the_project_and_ignored_by_git(
        self, fresh_project: BakedProject, requires: Callable[[str], str]
    ) -> None:
        requires("npm")
        requires("git")
        make(fresh_project, "assets")
        vendor = "production/browser/static/vendor"
        assert (fresh_project.path / vendor / "socket.io.min.js").exists()
        assert [name for name in listed_by_git(fresh_project) if name.startswith(vendor)] == []
        shutil.rmtree(fresh_project.path / vendor)

    @pytest.mark.slow
    def test_install_lint_and_test_work_from_nothing(self, installed_project: BakedProject) -> None:
        make(installed_project, "clean")
        make(installed_project, "install")
        for lock in ("requirements.txt", "requirements-dev.txt"):
            assert "://" not in installed_project.text(lock)
        make(installed_project, "lint")
        make(installed_project, "test")

    @pytest.mark.slow
    def test_a_second_installation_has_nothing_to_do(self, installed_project: BakedProject) -> None:
        make(installed_project, "install")
        assert "Nothing to be done" in make(installed_project, "install")

    @pytest.mark.slow
    def test_what_was_installed_and_cached_is_ignored_by_git_and_removed_by_clean(
        self, installed_project: BakedProject, requires: Callable[[str], str]
    ) -> None:
        requires("git")
        make(installed_project, "install")
        to_commit = listed_by_git(installed_project)
        make(installed_project, "clean")
        assert to_commit == listed_by_git(installed_project)
        assert listed_by_git(installed_project, "--ignored") == [".env"]
