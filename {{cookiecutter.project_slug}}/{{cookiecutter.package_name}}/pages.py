"""The pages that people look at."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from production.browser.page import render_page

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> Response:
    """Show the live board."""
    return render_page(
        "index.html",
        title=current_app.config["TITLE"],
        description=current_app.config["DESCRIPTION"],
        diagnostics=current_app.extensions["production"].settings.diagnostics_page,
    )
