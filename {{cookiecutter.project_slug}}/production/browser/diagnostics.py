"""The page ``/diagnostics``: the browser tries every way to the service and says what it meets.

Its own part is small: the page, a frame that is refreshed over and over, and what the service saw of
a request. The rest is in ``static/diagnostics*.js`` and in :mod:`production.browser.diagnostics_events`.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from production.browser import diagnostics_events
from production.browser.page import render_page
from production.state import ServiceState

ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
"""What a page may name as another service to diagnose; nothing else gets into a header."""

FORWARDED = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
)
"""Headers by which a proxy says what it was asked for."""

blueprint = Blueprint("production-diagnostics", __name__, template_folder="templates")


def init_app(app: Flask, state: ServiceState) -> None:
    """Serve the page and what it speaks to, unless the settings switch it off.

    :param app: the app with the layer's routes.
    :param state: the process to speak of.
    """
    if state.settings.diagnostics_page:
        app.register_blueprint(blueprint)
        diagnostics_events.register(state)


@blueprint.get("/diagnostics")
def page() -> Response:
    """Show the page."""
    return _page("production/diagnostics.html", framed_by="'none'")


@blueprint.get("/diagnostics/frame")
def frame() -> Response:
    """Show the page in the page: it connects once each time that it is loaded."""
    return _page("production/diagnostics-frame.html", framed_by="'self'")


@blueprint.get("/diagnostics/request")
def seen() -> tuple[dict[str, Any], dict[str, str]]:
    """Say what the service saw of this very request.

    What proxies name of each other stays untold: it concerns nobody but the service's owner.
    """
    state = _state()
    proxies = state.settings.trusted_proxies
    forwarded = {
        name: request.headers[name].count(",") + 1 for name in FORWARDED if name in request.headers
    }
    return {
        "scheme": request.scheme,
        "host": request.host,
        "client_address": request.remote_addr,
        "forwarded": forwarded,
        "believed": proxies > 0,
        "too_few": proxies > forwarded.get("X-Forwarded-For", 0),
        "process": state.process,
    }, {"Cache-Control": "no-store"}


def _page(template: str, *, framed_by: str) -> Response:
    """Render a page that may speak to the service that it names, by default its own."""
    return render_page(
        template,
        origins=_origins(request.args.get("service", "").removesuffix("/")),
        framed_by=framed_by,
        root=request.script_root,
        socket_path=request.script_root + _state().socketio.server.eio.endpoint.rstrip("/"),
    )


def _origins(service: str) -> tuple[str, ...]:
    """Return the origins under which scripts reach a service, over HTTP and over WebSocket."""
    if not ORIGIN.fullmatch(service):
        return ()
    return (service, service.replace("http", "ws", 1))


def _state() -> ServiceState:
    state: ServiceState = current_app.extensions["production"]
    return state
