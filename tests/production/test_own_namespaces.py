"""The namespaces of an app stay its own where the layer would open one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from production.observe.admin_ui import open_to_admin_uis
from production.observe.door import Door
from production.observe.operators import open_to_operators
from production.realtime.server import Server
from production.settings import AdminUi

TOKEN = "a-token-of-operators-0123456789-abcdef"


@pytest.mark.parametrize(
    ("namespace", "open_to"), [("/ops", open_to_operators), ("/admin", open_to_admin_uis)]
)
def test_a_namespace_of_the_app_stays_its_own(namespace: str, open_to: Any) -> None:
    server: Any = SimpleNamespace(handlers={namespace: {}}, namespace_handlers={})
    server.may_open = lambda name: Server.may_open(server, name)
    state: Any = SimpleNamespace(
        socketio=SimpleNamespace(server=server),
        settings=SimpleNamespace(admin_ui=AdminUi.PRODUCTION),
    )
    with capture_logs() as records:
        assert not open_to(state, Door(TOKEN))
    assert [(record["log_level"], record["namespace"]) for record in records] == [
        ("warning", namespace)
    ]
