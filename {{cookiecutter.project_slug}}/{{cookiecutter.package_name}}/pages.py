"""The pages that people look at."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, current_app, render_template, url_for

blueprint = Blueprint("pages", __name__)

# `make assets` puts a copy of the client into static/vendor; until then the page loads it from a CDN,
# whose copy must match the hash.
CLIENT_VENDORED = "vendor/socket.io.min.js"
CLIENT_ON_CDN = {
    "src": "https://cdn.jsdelivr.net/npm/socket.io-client@4.8.4/dist/socket.io.min.js",
    "integrity": "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1",
}


@blueprint.get("/")
def index() -> str:
    """Show the live board."""
    return render_template(
        "index.html",
        title=current_app.config["TITLE"],
        description=current_app.config["DESCRIPTION"],
        client_script=_client_script(),
    )


def _client_script() -> dict[str, str]:
    static = Path(str(current_app.static_folder))
    if (static / CLIENT_VENDORED).exists():
        return {"src": url_for("static", filename=CLIENT_VENDORED), "integrity": ""}
    return CLIENT_ON_CDN
