"""What GitHub reads in a project: workflows and a Dependabot configuration that the real tools accept."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from baking import Bake, BakedProject
from npm import node_with

CI = ".github/workflows/ci.yml"
UPGRADE = ".github/workflows/upgrade.yml"
LINTER = Path(__file__).parent / "js/workflow.mjs"


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """A project with the default answers."""
    return bake()


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("github-workflows", CI),
        ("github-workflows", UPGRADE),
        ("dependabot", ".github/dependabot.yml"),
    ],
)
def test_what_github_reads_has_the_published_schema(
    project: BakedProject, schema: str, name: str
) -> None:
    outcome = project.run(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", f"vendor.{schema}", name),
    )
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("workflow", [CI, UPGRADE])
def test_actionlint_has_nothing_to_say(
    project: BakedProject, requires: Callable[[str], str], workflow: str
) -> None:
    outcome = project.run(node_with("actionlint", requires), str(LINTER), workflow)
    assert (outcome.returncode, outcome.stdout) == (0, "")


def test_zizmor_finds_no_weakness(project: BakedProject) -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    outcome = project.run(str(zizmor), "--offline", "--no-progress", ".github")
    assert outcome.returncode == 0, outcome.stdout
    assert "No findings to report" in outcome.stdout


@pytest.mark.parametrize("workflow", [CI, UPGRADE])
def test_every_action_is_pinned_to_a_commit(project: BakedProject, workflow: str) -> None:
    actions = re.findall(r"uses: (\S+)(.*)", project.text(workflow))
    assert actions
    for action, release in actions:
        assert re.search(r"@[0-9a-f]{40}$", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", release), action


def test_continuous_integration_may_read_only(project: BakedProject) -> None:
    assert "permissions:\n  contents: read\n" in project.text(CI)
    assert "write" not in project.text(CI)


def test_what_runs_upgraded_code_may_not_write(project: BakedProject) -> None:
    workflow = yaml.safe_load(project.text(UPGRADE))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        runs_it = any(step.get("run", "").startswith("make ") for step in job["steps"])
        assert runs_it == ("write" not in job["permissions"].values())


@pytest.mark.parametrize("workflow", [CI, UPGRADE])
def test_the_workflow_runs_what_the_makefile_has(project: BakedProject, workflow: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", project.text("Makefile"), re.MULTILINE))
    commands = set(re.findall(r"run: make ([a-z]+)", project.text(workflow)))
    assert commands
    assert commands <= targets


def test_every_image_is_where_dependabot_looks(project: BakedProject) -> None:
    """It reads Dockerfiles and Kubernetes manifests, and Compose files, each kind in the named folders only."""
    entries = yaml.safe_load(project.text(".github/dependabot.yml"))["updates"]
    watched = {
        (entry["package-ecosystem"], folder)
        for entry in entries
        for folder in entry.get("directories") or [entry["directory"]]
    }
    for path in project.files():
        folder = f"/{path.parent.as_posix()}".removesuffix("/.")
        if path.suffix == ".yaml" and re.search(r"^ *(- )?image: \S+:\S", project.text(path), re.M):
            ecosystem = "docker-compose" if path.name.startswith("compose") else "docker"
            assert (ecosystem, folder or "/") in watched, path
    assert ("docker", "/") in watched
    assert "${" not in "".join(re.findall(r"^FROM .*", project.text("Dockerfile"), re.MULTILINE))
