"""What is pinned: with hashes, from an index that no lock names; newer when asked for; and audited.

Nothing here needs the network: what is pinned comes from an index of the test's own, see ``packages.py``.
"""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from baking import Bake, BakedProject, adopt
from packages import PackageIndex, answering

APPS = Path(__file__).parent / "adopted"


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """A project with the default answers."""
    return bake()


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
    with answering(Advisories) as address:
        yield f"{address}/v1/query"


def audit(makefile: Path, lock: str, pins: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Ask with the tool of this environment about pins that need not exist."""
    shutil.copy(makefile, place)
    (place / lock).write_text(pins)
    with advisories() as address:
        return BakedProject(place).run(
            *("make", "audit", f"TOOLS={sys.prefix}"),
            f"AUDIT_FLAGS=--vulnerability-service osv --osv-url {address}",
        )


@pytest.mark.parametrize(("release", "status"), [("1.0", 2), ("1.1", 0)])
def test_the_audit_names_a_release_that_is_vulnerable(
    project: BakedProject,
    tmp_path: Path,
    requires: Callable[[str], str],
    release: str,
    status: int,
) -> None:
    requires("make")
    pins = "".join(
        f"{name}=={version} --hash=sha256:{'0' * 64}\n"
        for name, version in (("vulnerable", release), ("harmless", "1.0"))
    )
    outcome = audit(project.path / "Makefile", "requirements-dev.txt", pins, tmp_path)
    assert outcome.returncode == status, outcome.stdout
    assert ("PYSEC-2026-1" in outcome.stdout) == bool(status)
    assert "harmless" not in outcome.stdout


@pytest.fixture
def index(tmp_path: Path, requires: Callable[[str], str]) -> Iterator[PackageIndex]:
    """An index with one release of two libraries."""
    requires("make")
    with PackageIndex.served(tmp_path / "index") as index:
        index.add("harmless", "1.0")
        index.add("tester", "1.0")
        yield index


def make(project: BakedProject, index: PackageIndex, *arguments: str) -> str:
    """Run make with the tools of this environment where another index is named than the usual one."""
    outcome = project.run("env", *index.settings(), "make", f"TOOLS={sys.prefix}", *arguments)
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


@pytest.fixture
def small(project: BakedProject, tmp_path: Path) -> BakedProject:
    """A project that requires next to nothing."""
    small = BakedProject(tmp_path / "small")
    small.path.mkdir()
    shutil.copy(project.path / "Makefile", small.path)
    (small.path / "pyproject.toml").write_text(
        '[project]\nname = "small"\nversion = "1"\ndependencies = ["harmless"]\n'
        '[dependency-groups]\ndev = ["tester"]\n'
    )
    return small


def assert_names_no_index(lock: str) -> None:
    """Look for what pip and uv call an index, and for anything that is an address."""
    # This one says that none is to be written.
    lock = lock.replace("--no-emit-index-url", "")
    for word in ("://", "index-url", "extra-index", "find-links", "127.0.0.1", "secret"):
        assert word not in lock


def test_what_is_pinned_names_no_index_and_is_upgraded_when_asked_for(
    small: BakedProject, index: PackageIndex
) -> None:
    make(small, index, "lock")
    index.add("harmless", "1.1")
    make(small, index, "lock")
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "harmless==1.0 \\\n    --hash=sha256:" in small.text(name)
        assert_names_no_index(small.text(name))
    make(small, index, "upgrade")
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "harmless==1.1 " in small.text(name)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """An app with the layer around it, which require next to nothing."""
    folder = tmp_path_factory.mktemp("adopted") / "app"
    shutil.copytree(APPS / "main_guard", folder)
    project = adopt(folder, "python main.py", async_mode="threading")
    (folder / "requirements.txt").write_text("harmless\n")
    (folder / "requirements-production.txt").write_text("packaging\ntester\n")
    return project


@pytest.fixture
def their_index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index that only the app's own requirements name."""
    with PackageIndex.served(tmp_path / "their_index") as index:
        yield index


@pytest.fixture
def app(adopted: BakedProject, tmp_path: Path) -> BakedProject:
    """That app, to do with as one likes."""
    return adopted.copy(tmp_path / "app")


def test_what_is_locked_beside_an_app_is_installed_and_nothing_newer(
    app: BakedProject, index: PackageIndex, their_index: PackageIndex
) -> None:
    index.add_installed("packaging")
    their_index.add("theirs", "1.0")
    (app.path / "requirements.txt").write_text(
        f"--extra-index-url {their_index.address}\nharmless\ntheirs\n"
    )
    make(app, index, "lock")
    lock = app.text("requirements-locked.txt")
    assert "harmless==1.0 \\\n    --hash=sha256:" in lock
    assert_names_no_index(lock)
    for one, name in ((index, "harmless"), (their_index, "theirs")):
        one.add(name, "1.1")
    assert "what requirements-locked.txt pins" in make(app, index, "install")
    installed = {path.name for path in app.path.glob(".venv-production/lib/*/site-packages/*-1.*")}
    assert installed == {f"{name}-1.0.dist-info" for name in ("harmless", "theirs", "tester")}


def test_an_app_with_a_folder_among_its_requirements_is_locked_without_hashes(
    app: BakedProject, index: PackageIndex
) -> None:
    index.add_installed("packaging")
    (app.path / "own").mkdir()
    (app.path / "own/pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n')
    (app.path / "requirements.txt").write_text("./own\nharmless\n")
    told = make(app, index, "lock")
    assert "has no hash, so requirements-locked.txt has none at all" in told
    lock = app.text("requirements-locked.txt")
    assert "\n./own\n" in lock
    assert "\nharmless==1.0\n" in lock
    assert "--hash" not in lock


def test_the_audit_of_an_app_passes_over_what_is_no_release(
    adopted: BakedProject, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    requires("make")
    pins = "./own\nvulnerable==1.1\nown2 @ git+https://example.org/own2@0123456789abcdef\n"
    outcome = audit(adopted.path / "Makefile", "requirements-locked.txt", pins, tmp_path)
    assert outcome.returncode == 0, outcome.stdout
    assert "cannot be pinned" in outcome.stdout
