"""What the pages of the documentation link to."""

from __future__ import annotations

import re
from pathlib import Path

LINK = re.compile(r"\]\(([a-z-]+\.md)?(?:#([a-z0-9_-]+))?\)")


def headings(path: Path) -> list[str]:
    """Return the headings of a page."""
    return re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return what a link may name on a page: its headings as GitHub writes them, and its own ids."""
    named = set(re.findall(r'<a id="([^"]+)">', path.read_text("utf-8")))
    return named | {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings(path)
    }
