"""docs/reliability.md: each promise names a test that there is, and links lead somewhere."""

from __future__ import annotations

import re

import pytest

from baking import TEMPLATE
from pages import LINK, anchors

PAGE = TEMPLATE / "docs/reliability.md"
TEXT = PAGE.read_text(encoding="utf-8")

PROOFS = sorted(set(re.findall(r"((?:production/)?(?:test|long)_\w+\.py)(?:::(\w+))?", TEXT)))


@pytest.mark.parametrize(("file", "test"), PROOFS)
def test_each_proof_exists(file: str, test: str) -> None:
    text = (TEMPLATE / "tests" / file).read_text(encoding="utf-8")
    assert f"def {test or 'test_'}" in text


def test_links_lead_somewhere() -> None:
    for page, heading in LINK.findall(TEXT):
        assert not heading or heading in anchors(PAGE.with_name(page or PAGE.name)), heading


def test_each_promise_has_a_proof() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| promise", "| ---"))]
    assert len(promises) >= 18
    assert all(".py" in row for row in promises)
