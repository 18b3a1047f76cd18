"""The operators' page, ``/ops``: what the service is doing, live.

The page itself holds nothing. What it shows comes through the operators' namespace, to whoever knows
``OPERATOR_TOKEN``; where none is set, there is neither.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from production.browser.page import render_page
from production.observe.admin_ui import open_to_admin_uis
from production.observe.door import Door
from production.observe.operators import open_to_operators
from production.state import ServiceState


def init_app(app: Flask, state: ServiceState) -> None:
    """Add the page, what feeds it and what feeds Admin UIs, if operators have a token.

    :param app: the app.
    :param state: the process.
    """
    token = state.settings.operator_token
    if token is None:
        return
    door = Door(token.get_secret_value())
    open_to_admin_uis(state, door)
    if open_to_operators(state, door):
        app.register_blueprint(_blueprint(state))


def _blueprint(state: ServiceState) -> Blueprint:
    blueprint = Blueprint("ops", __name__, template_folder="templates")

    @blueprint.get("/ops")
    def ops() -> Response:
        """Show the page, which asks for the token."""
        return render_page(
            "production/ops.html",
            service=state.settings.service_name,
            endpoint=state.socketio.server.eio.endpoint,
            transports=state.settings.transports,
        )

    return blueprint
