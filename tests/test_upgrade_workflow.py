"""The workflow that upgrades the libraries opens one pull request: its step is run here, without GitHub."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from baking import Bake, clean_environment


class GitHub:
    """A repository with a branch ``main``, a checkout of it, and a program ``gh`` that only takes notes.

    :param place: where to make them.
    """

    def __init__(self, place: Path) -> None:
        self.checkout = place / "checkout"
        self._place = place
        self._remote = place / "remote.git"
        self._calls = place / "calls"
        self._calls.touch()
        program = place / "bin/gh"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >> "{self._calls}"\n'
            'case "$1 $2" in\n'
            f'"pr create") echo 7 > "{place}/open" ;;\n'
            f'"pr list") cat "{place}/open" 2>/dev/null || true ;;\n'
            "esac\n"
        )
        program.chmod(0o755)
        self._run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self._remote))

    def start_with(self, pins: str) -> None:
        """Commit the first pins to ``main``."""
        self._run("git", "clone", "--quiet", str(self._remote), str(self.checkout))
        self.pin(pins)
        self.git("add", ".")
        self.git("-c", "user.name=Someone", "-c", "user.email=a@example.org", "commit", "-qm", "1")
        self.git("push", "--quiet", "origin", "HEAD:main")

    def pin(self, pins: str) -> None:
        """Write what ``make upgrade`` writes."""
        (self.checkout / "requirements.txt").write_text(pins)
        (self.checkout / "requirements-dev.txt").write_text(f"{pins}tester==1.0\n")

    def git(self, *arguments: str) -> str:
        """Run git in the checkout."""
        return self._run("git", "-C", str(self.checkout), *arguments)

    def step(self, step: dict[str, Any], **environment: str) -> str:
        """Run a step of a workflow as GitHub does, and return what it printed.

        The shell is the one of ``run`` where none is named, see
        https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
        """
        own = {
            "PATH": f"{self._place / 'bin'}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self._place),
            "GITHUB_REF_NAME": "main",
            "GITHUB_REPOSITORY": "someone/board",
        }
        script = self._place / "step.sh"
        script.write_text(step["run"])
        variables = {**clean_environment(), **step["env"], **environment, **own}
        return self._run("bash", "-e", str(script), environment=variables)

    def calls(self) -> list[str]:
        """Return what ``gh`` was called with."""
        return self._calls.read_text().splitlines()

    def proposed(self) -> str:
        """Return the text of the pull request."""
        return (self._place / "text.md").read_text()

    def branches(self) -> list[str]:
        """Return what GitHub has."""
        listed = self._run("git", "-C", str(self._remote), "branch", "--format=%(refname:short)")
        return listed.split()

    def _run(self, *command: str, environment: dict[str, str] | None = None) -> str:
        where = self.checkout if self.checkout.exists() else self._place
        outcome = subprocess.run(
            command,
            cwd=where,
            env=environment or clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert outcome.returncode == 0, outcome.stdout
        return outcome.stdout


@pytest.fixture
def github(tmp_path: Path, requires: Callable[[str], str]) -> GitHub:
    """A repository whose libraries are pinned."""
    requires("git")
    github = GitHub(tmp_path)
    github.start_with("harmless==1.0 \\\n    --hash=sha256:00\n")
    return github


@pytest.fixture
def proposal(bake: Bake) -> dict[str, Any]:
    """The step that opens the pull request."""
    workflow = yaml.safe_load(bake().text(".github/workflows/upgrade.yml"))
    steps = workflow["jobs"]["propose"]["steps"]
    step: dict[str, Any] = steps[-1]
    return step


def test_what_was_upgraded_is_proposed_once(github: GitHub, proposal: dict[str, Any]) -> None:
    for release in ("1.1", "1.2"):
        github.git("reset", "--quiet", "--hard", "origin/main")
        github.pin(f"harmless=={release} ; python_version < '4' \\\n    --hash=sha256:11\n")
        github.step(proposal, AUDIT="failure", RUN="https://example.org/run")

    branch = proposal["env"]["BRANCH"]
    assert github.branches() == ["main", branch]
    assert github.git("rev-list", "--count", f"origin/main..origin/{branch}") == "1\n"
    changed = github.git("diff", "--name-only", "origin/main", f"origin/{branch}").split()
    assert changed == ["requirements-dev.txt", "requirements.txt"]
    [created] = [call for call in github.calls() if call.startswith("pr create ")]
    assert f"--base main --head {branch} " in created
    assert "repos/someone/board/pulls/7 --field body=@" in github.calls()[-1]
    assert "```diff\n-harmless==1.0\n+harmless==1.2\n```\n" in github.proposed()
    assert "`make audit`: failure. " in github.proposed()
    assert "(https://example.org/run)" in github.proposed()


def test_nothing_is_proposed_when_nothing_is_newer(
    github: GitHub, proposal: dict[str, Any]
) -> None:
    assert github.step(proposal) == "There is nothing newer.\n"
    assert github.calls() == []
    assert github.branches() == ["main"]
