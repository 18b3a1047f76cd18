"""What the tests use from npm, see js/package.json."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from waiting import PATIENCE

JAVASCRIPT = Path(__file__).parent / "js"
MODULES = JAVASCRIPT / "node_modules"

COMPILER_OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext")
"""For ``tsc``."""


def npm_tool(name: str, requires: Callable[[str], str]) -> str:
    """Find a command of an npm package.

    :param name: its name.
    :param requires: the fixture, which is asked where it is missing.
    """
    path = MODULES / ".bin" / name
    if not path.exists():
        requires(f"the npm package with {name} (make javascript)")
    return str(path)


def node_with(package: str, requires: Callable[[str], str]) -> str:
    """Find Node, for what needs an npm package.

    :param package: its name.
    :param requires: the fixture, which is asked where one of them is missing.
    """
    if not (MODULES / package).exists():
        requires(f"the npm package {package} (make javascript)")
    return requires("node")


def run(*command: str, directory: Path = JAVASCRIPT) -> None:
    """Run a command, by default where the tests' scripts are; what it says is shown if it fails."""
    output_of(*command, directory=directory)


def output_of(*command: str, directory: Path = JAVASCRIPT) -> str:
    """Run a command as :func:`run` does, and return what it writes."""
    outcome = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout
