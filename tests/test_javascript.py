"""The scripts of the pages and of the tests: their style, their types and their logic."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import PROJECT_TEMPLATE

JAVASCRIPT = Path(__file__).parent / "js"
LAYER = PROJECT_TEMPLATE / "production/browser/static"
EXAMPLE = PROJECT_TEMPLATE / "{{cookiecutter.package_name}}/static"

COMPILER_OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext")

Tool = Callable[[str], str]


@pytest.fixture
def npm_tool(requires: Callable[[str], str]) -> Tool:
    """Find a command of an npm package."""

    def find(name: str) -> str:
        path = JAVASCRIPT / "node_modules/.bin" / name
        if not path.exists():
            requires(f"the npm package with {name} (make javascript)")
        return str(path)

    return find


def run(*command: str) -> None:
    """Run a command where the tests' scripts are; what it says is shown if it fails."""
    outcome = subprocess.run(
        command, cwd=JAVASCRIPT, capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "folder", [LAYER, EXAMPLE, JAVASCRIPT], ids=lambda folder: folder.parent.name
)
def test_the_linter_has_nothing_to_say(npm_tool: Tool, folder: Path) -> None:
    run(npm_tool("biome"), "lint", "--config-path=.", "--error-on-warnings", str(folder))


def test_the_declarations_say_what_a_page_may_write(npm_tool: Tool) -> None:
    run(npm_tool("tsc"), *COMPILER_OPTIONS, "types.ts")


def test_the_logic_holds_without_a_browser(requires: Callable[[str], str]) -> None:
    files = sorted(path.name for path in JAVASCRIPT.glob("*.test.mjs"))
    assert files
    run(requires("node"), "--test", *files)
