"""Whose the operators' namespaces are, and what a process says of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from production.observe.admin_ui import open_to_admin_uis
from production.observe.door import Door
from production.observe.operators import open_to_operators
from production.observe.quality import Figures, Quality
from production.observe.snapshot import quality_of
from production.realtime.server import Server
from production.settings import AdminUi

TOKEN = "a-token-of-operators-0123456789-abcdef"


@pytest.mark.parametrize(
    ("namespace", "open_to"), [("/ops", open_to_operators), ("/admin", open_to_admin_uis)]
)
def test_a_namespace_of_the_app_stays_its_own(namespace: str, open_to: Any) -> None:
    server = SimpleNamespace(handlers={namespace: {}}, namespace_handlers={})
    server.has_namespace = lambda name: Server.has_namespace(server, name)
    state: Any = SimpleNamespace(
        socketio=SimpleNamespace(server=server),
        settings=SimpleNamespace(admin_ui=AdminUi.PRODUCTION),
    )
    with capture_logs() as records:
        assert not open_to(state, Door(TOKEN))
    assert [(record["log_level"], record["name"]) for record in records] == [("warning", namespace)]


def figures(**changes: Any) -> Quality:
    return Quality(Figures(**{"state": "connected", "transport": "websocket", **changes}), 0.0)


def test_the_worst_connections_are_shown_and_all_are_counted() -> None:
    shown = quality_of(
        {
            "quick": figures(median_ms=49.9),
            "slow": figures(median_ms=400),
            "losing": figures(median_ms=60, loss=0.5),
            "degraded": figures(state="degraded"),
            **{f"usual{number}": figures(median_ms=120) for number in range(20)},
        }
    )
    assert (shown["known"], shown["degraded"]) == (24, 1)
    assert shown["bands"] == [1, 1, 20, 0, 1]
    assert [each["session"] for each in shown["worst"]][:3] == ["degraded", "losing", "slow"]
    assert len(shown["worst"]) == 10
