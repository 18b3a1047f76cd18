"""The layer's routes beside those of an app that knows nothing of them."""

from __future__ import annotations

import pytest
from flask import Flask, abort
from structlog.testing import capture_logs

from production.http import beside


@pytest.fixture
def layer() -> Flask:
    """The layer's routes."""
    layer = Flask(__name__, static_folder=None)
    layer.add_url_rule("/health", "health", lambda: "layer")
    layer.add_url_rule("/realtime/<path:name>", "realtime", lambda name: f"layer {name}")
    return layer


@pytest.fixture
def app() -> Flask:
    """An app that lets nobody in."""
    app = Flask(__name__)
    app.before_request(lambda: abort(403))
    return app


def text(app: Flask, path: str) -> str:
    return app.test_client().get(path).get_data(as_text=True)


def test_the_guards_of_the_app_do_not_reach_the_layer(app: Flask, layer: Flask) -> None:
    beside.mount(app, layer)
    assert text(app, "/health") == "layer"
    assert text(app, "/realtime/vendor/a.js") == "layer vendor/a.js"
    assert app.test_client().get("/realtime").status_code == 403
    assert app.test_client().get("/").status_code == 403


@pytest.mark.parametrize(
    ("rule", "path"),
    [("/health", "/health"), ("/health/", "/health/"), ("/realtime/status", "/realtime/status")],
)
def test_a_route_of_the_app_wins_and_is_reported(layer: Flask, rule: str, path: str) -> None:
    app = Flask(__name__)
    app.add_url_rule(rule, "own", lambda: "app")
    with capture_logs() as records:
        beside.mount(app, layer)
    assert text(app, path) == "app"
    assert [record["log_level"] for record in records] == ["warning"]


def test_a_route_for_anything_leaves_the_layer_its_own(app: Flask, layer: Flask) -> None:
    app.add_url_rule("/<path:anything>", "anything", lambda anything: "app")
    beside.mount(app, layer)
    assert text(app, "/health") == "layer"
