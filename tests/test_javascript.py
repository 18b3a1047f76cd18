"""The scripts of the pages and of the tests: their style, their types and their logic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from baking import PROJECT_TEMPLATE
from npm import COMPILER_OPTIONS, JAVASCRIPT, npm_tool, run

LAYER = PROJECT_TEMPLATE / "production/browser/static"
EXAMPLE = PROJECT_TEMPLATE / "{{cookiecutter.package_name}}/static"

Requires = Callable[[str], str]


@pytest.mark.parametrize(
    "folder", [LAYER, EXAMPLE, JAVASCRIPT], ids=lambda folder: folder.parent.name
)
def test_the_linter_has_nothing_to_say(requires: Requires, folder: Path) -> None:
    run(npm_tool("biome", requires), "lint", "--config-path=.", "--error-on-warnings", str(folder))


def test_the_declarations_say_what_a_page_may_write(requires: Requires) -> None:
    run(npm_tool("tsc", requires), *COMPILER_OPTIONS, "types.ts")


def test_the_logic_holds_without_a_browser(requires: Requires) -> None:
    files = sorted(path.name for path in JAVASCRIPT.glob("*.test.mjs"))
    assert files
    run(requires("node"), "--test", *files)
