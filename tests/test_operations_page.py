"""docs/operations.md: every alert is explained, links lead somewhere, settings and figures exist."""

from __future__ import annotations

import re

import pytest
import yaml

from baking import TEMPLATE, Bake
from bench.tables import COLUMNS
from pages import LINK, anchors, headings
from production.settings import Settings

PAGE = TEMPLATE / "docs/operations.md"

SETTING = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")

# Of Flask.
NO_SETTINGS = {"SECRET_KEY_FALLBACKS"}


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_every_alert_is_explained(bake: Bake) -> None:
    rules = yaml.safe_load(bake().text("deploy/grafana/alerts.yml"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    explained = [heading for heading in headings(PAGE) if heading.startswith("SocketIO")]
    assert explained == alerts


def test_links_lead_somewhere(page: str) -> None:
    links = LINK.findall(page)
    assert links
    for file, anchor in links:
        target = PAGE.parent / (file or PAGE.name)
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_settings_exist(page: str) -> None:
    named = set(SETTING.findall(page))
    assert named <= {name.upper() for name in Settings.model_fields} | NO_SETTINGS


def test_the_figures_are_those_that_are_measured(page: str) -> None:
    for heading in COLUMNS.values():
        assert f"| {heading} " in page
