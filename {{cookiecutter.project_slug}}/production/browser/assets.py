"""The layer's own static files, under ``/realtime/``."""

from __future__ import annotations

from flask import Blueprint, Flask, request

from production.browser.client import (
    INTEGRITY,
    ON_CDN,
    STATIC,
    VENDORED,
    ClientScript,
    is_vendored,
)

PREFIX = "/realtime"

blueprint = Blueprint(
    "realtime",
    __name__,
    static_folder=STATIC,
    static_url_path=PREFIX,
)


def init_app(app: Flask) -> None:
    """Serve the files.

    :param app: the app.
    """
    app.register_blueprint(blueprint)


def asset_url(name: str) -> str:
    """Return the address of one of the layer's files, for the request at hand.

    An adopted app has no endpoint of that name, so that Flask's ``url_for`` would not know it there.

    :param name: the file's name below ``production/browser/static``.
    """
    return f"{request.script_root}{PREFIX}/{name}"


def client_script() -> ClientScript:
    """Return where the page of the request at hand loads the Socket.IO client from."""
    if is_vendored():
        return ClientScript(asset_url(VENDORED))
    return ClientScript(ON_CDN, INTEGRITY)
