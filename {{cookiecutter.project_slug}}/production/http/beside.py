"""Answer the layer's routes beside an app that knows nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask

from production.http import errors
from production.state import ServiceState

log = structlog.get_logger(__name__)


def make(state: ServiceState) -> Flask:
    """Return an app for the layer's routes.

    :param state: the process that they speak of.
    """
    layer = Flask(__name__, static_folder=None)
    layer.extensions["production"] = state
    errors.init_app(layer)
    return layer


def mount(app: Flask, layer: Flask) -> None:
    """Answer requests for the layer's routes before the app sees them.

    Its guards, such as a redirection to a login page before each request, do not reach them. Routes
    of its own with the same path win and are reported.

    :param app: the app.
    :param layer: an app with the layer's routes.
    """
    own = {rule.rule.rstrip("/") for rule in app.url_map.iter_rules()}
    fixed = {rule.rule for rule in layer.url_map.iter_rules() if not rule.arguments}
    folders = {rule.rule.partition("<")[0] for rule in layer.url_map.iter_rules() if rule.arguments}
    taken = fixed & own | {folder for folder in folders for path in own if path.startswith(folder)}
    for path in sorted(taken):
        log.warning("the app has a route of its own where one of the layer would be", path=path)
    paths, prefixes = fixed - taken, tuple(folders - taken)
    inner = app.wsgi_app

    def with_layer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path in paths or path.startswith(prefixes):
            return layer(environ, start_response)
        return inner(environ, start_response)

    app.wsgi_app = with_layer  # type: ignore[method-assign]
