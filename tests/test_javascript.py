"""The logic of the pages, in node's own test runner."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CASES = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_logic_of_a_page(case: Path, requires: Callable[[str], str]) -> None:
    outcome = subprocess.run(
        [requires("node"), "--test", str(case)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout
