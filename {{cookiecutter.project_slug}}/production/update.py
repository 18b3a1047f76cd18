"""Bring what is new in the template into this project: ``make update``, or ``make outdated`` to ask.

cruft does the work: it generates the project as it was and as it would be now, and merges what changed
in between. It runs in an environment of its own, for which this module needs the standard library only.

As with diff, the exit status is 1 if there is something new, or something left to do, and 2 if that cannot
be told or done.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from production.version import VERSION

PROJECT_ROOT = Path(__file__).resolve().parent.parent

ORIGIN = PROJECT_ROOT / ".cruft.json"
# Beside an existing app the record is a part of the layer: the app may come from a template of its own.
ORIGIN_OF_THE_LAYER = PROJECT_ROOT / "production/.cruft.json"

PROJECT_DIRECTORY = "{{cookiecutter.project_slug}}"

# What a generation writes into an adopted app's production/ without having it from there.
NOT_IN_THE_TEMPLATE = ("production/.cruft.json", "production/to_merge/")

UP_TO_DATE = 0
NEEDS_ATTENTION = 1
REFUSED = 2


class UpdateRefused(Exception):
    """Nothing can be brought; the message says why, and what to do."""


@dataclass(frozen=True)
class Release:
    """A state of the template.

    :param checkout: where its files are.
    :param reference: what git calls it.
    :param commit: its commit.
    """

    checkout: Path
    reference: str
    commit: str

    @property
    def version(self) -> str:
        """The number that its layer bears."""
        text = (self.checkout / PROJECT_DIRECTORY / "production/version.py").read_text(
            encoding="utf-8"
        )
        found = re.search(r'^VERSION = "([^"]+)"', text, re.MULTILINE)
        return found[1] if found else "unknown"

    @property
    def name(self) -> str:
        """What to call it: by its number, and what is not released by its commit too."""
        return self.version if self.reference != "HEAD" else f"{self.version}+{self.commit[:8]}"

    def news(self, origin: dict[str, Any]) -> str:
        """Return what the changelog says of newer releases than this project's, or else the newer commits."""
        return self._releases(since=VERSION) or self._commits(since=origin["commit"])

    def _releases(self, since: str) -> str:
        text = (self.checkout / "CHANGELOG.md").read_text(encoding="utf-8")
        sections = re.split(r"^(?=## \[)", text, flags=re.MULTILINE)[1:]
        newer = []
        for section in sections:
            if section.startswith(f"## [{since}]"):
                break
            newer.append(section.strip())
        return "\n\n".join(newer)

    def _commits(self, since: str) -> str:
        """Return the titles of the commits that changed what projects are made of, the newest first."""
        newer = ["log", "--no-merges", "--format=- %s", f"{since}..{self.commit}"]
        return _git(self.checkout, *newer, "--", PROJECT_DIRECTORY)


def read_origin() -> dict[str, Any]:
    """Read where this project comes from.

    :raises UpdateRefused: if that is not known.
    """
    path = ORIGIN_OF_THE_LAYER if ORIGIN_OF_THE_LAYER.exists() else ORIGIN
    try:
        origin: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UpdateRefused(
            f"{ORIGIN.name} is missing, so nobody knows which template this project comes from: "
            "restore it from the first commit, or make it with cruft link."
        ) from None
    except json.JSONDecodeError as error:
        raise UpdateRefused(
            f"{ORIGIN.name} is no JSON (line {error.lineno}): restore it from the last commit."
        ) from None
    if not origin.get("commit"):
        raise UpdateRefused(
            f"{ORIGIN.name} names no commit, because the template was a copy without its history: "
            "write the commit or tag that it was made from there."
        )
    return origin


@contextmanager
def newest_release(template: str) -> Iterator[Release]:
    """Fetch the template at its newest release, or at its newest commit if none was released.

    :param template: where its repository is.
    :raises UpdateRefused: if it cannot be had.
    """
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory) / "template"
        cloned = _run("git", "clone", "--quiet", template, str(checkout))
        if cloned.returncode:
            raise UpdateRefused(
                f"The template cannot be fetched from {template}: {_last_line(cloned.stderr)}"
            )
        tags = _git(checkout, "tag", "--list", "v*", "--sort=-version:refname").splitlines()
        reference = tags[0] if tags else "HEAD"
        _git(checkout, "checkout", "--quiet", reference)
        yield Release(checkout, reference, _git(checkout, "rev-parse", "HEAD"))


def is_behind(origin: dict[str, Any], release: Release) -> bool:
    """Tell whether a release is not yet in this project."""
    ancestry = ["merge-base", "--is-ancestor", release.commit, origin["commit"]]
    return _run("git", "-C", str(release.checkout), *ancestry).returncode != 0


def check() -> int:
    """Say whether the template has something new."""
    origin = read_origin()
    with newest_release(origin["template"]) as release:
        if not is_behind(origin, release):
            print(f"Up to date: {VERSION}.")
            return UP_TO_DATE
        print(f"This project has {VERSION}, the template is at {release.name}: make update.")
        _show_news(origin, release)
        return NEEDS_ATTENTION


def update() -> int:
    """Bring what is new, and say what is left to do."""
    origin = read_origin()
    _refuse_unsaved_work()
    with newest_release(origin["template"]) as release:
        if not is_behind(origin, release):
            print(f"Up to date: {VERSION}.")
            return UP_TO_DATE
        adopted = origin["context"]["cookiecutter"]["existing_app"]
        merged = (_generate_again if adopted else _merge)(origin, release)
        if merged.returncode:
            raise UpdateRefused(
                "The update stopped, and git reset --hard takes it back: "
                f"{_last_line(merged.stderr or merged.stdout)}"
            )
        print(f"Updated from {VERSION} to {release.name}.")
        _show_news(origin, release)
    return _report_conflicts()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m production.update", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether there is something")
    command = check if parser.parse_args(arguments).check else update
    try:
        return command()
    except UpdateRefused as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED


def _merge(origin: dict[str, Any], release: Release) -> subprocess.CompletedProcess[str]:
    # cookiecutter finds the template's extension by itself, cruft does not.
    environment = {**os.environ, "PYTHONPATH": str(release.checkout)}
    options = ["--skip-apply-ask", "--checkout", release.reference]
    return _run(sys.executable, "-m", "cruft", "update", *options, env=environment)


def _generate_again(origin: dict[str, Any], release: Release) -> subprocess.CompletedProcess[str]:
    """Put the layer around an existing app once more, and remove what it has no more."""
    answers = origin["context"]["cookiecutter"] | {"project_slug": PROJECT_ROOT.name}
    before = set(_git(PROJECT_ROOT, "ls-files", "production").splitlines())
    generated = _run(
        sys.executable,
        *("-m", "cookiecutter", str(release.checkout), "--no-input"),
        *("--overwrite-if-exists", "--skip-if-file-exists", "--output-dir", ".."),
        *(f"{name}={answer}" for name, answer in answers.items()),
    )
    project = release.checkout / PROJECT_DIRECTORY
    written = {path.relative_to(project).as_posix() for path in project.glob("production/**/*")}
    ours = {name for name in before if not name.startswith(NOT_IN_THE_TEMPLATE)}
    abandoned = sorted(ours - written)
    if abandoned and not generated.returncode:
        _git(PROJECT_ROOT, "rm", "--quiet", "--", *abandoned)
    return generated


def _show_news(origin: dict[str, Any], release: Release) -> None:
    news = release.news(origin) or "What projects are made of has not changed since."
    print(f"\n{news}\n")


def _refuse_unsaved_work() -> None:
    status = _run("git", "status", "--porcelain")
    if status.returncode:
        raise UpdateRefused(
            "This project is no git repository, so an update could not be taken back: git init, "
            "and commit what is there."
        )
    if status.stdout.strip():
        raise UpdateRefused(
            "There are changes that are not committed: commit or stash them, so that the update "
            "can be seen and taken back."
        )


def _report_conflicts() -> int:
    conflicts = _git(PROJECT_ROOT, "diff", "--name-only", "--diff-filter=U").splitlines()
    rejected = [str(path.relative_to(PROJECT_ROOT)) for path in PROJECT_ROOT.rglob("*.rej")]
    if conflicts or rejected:
        print(f"You changed what the template changed too: {', '.join(conflicts + rejected)}")
        return NEEDS_ATTENTION
    print("Look at it with git diff HEAD, run make test, and commit.")
    return UP_TO_DATE


def _git(repository: Path, *arguments: str) -> str:
    return _run("git", "-C", str(repository), *arguments).stdout.strip()


def _run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  git, and what this environment holds
        command, cwd=PROJECT_ROOT, env=env, capture_output=True, text=True, check=False
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason was given"])[-1]


if __name__ == "__main__":
    sys.exit(main())
