"""Serves an app that was written for a development server, without touching a line of it.

The app is started as its owner starts it, after the worker is patched, until it makes the call that
would serve it. That call hands the app over and never returns, as it never did.

This file is imported by Flask's own command too, in the app's environment, where the layer's
libraries are missing: it imports nothing at first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from production.settings import Settings

__all__ = ["adopt"]


def adopt(existing_app: str | None = None, settings: Settings | None = None) -> Any:
    """Start an existing app and put the layer around it.

    :param existing_app: how it is started, for example ``python run.py``; the setting
        ``EXISTING_APP`` if nothing is given.
    :param settings: what to use instead of the settings of this process.
    :return: the Flask app, or the WSGI application that the app's own start wraps around it.
    :raises ConfigurationError: if it cannot be started, or not be served safely.
    """
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
        return _what_flask_would_have_found()

    from production.adopt.service import serve
    from production.settings import current_settings

    settings = settings or current_settings()
    return serve(existing_app or settings.existing_app, settings)


def _what_flask_would_have_found() -> Any:
    """Return the app of ``app.py``: Flask's own command looks for ``wsgi.py`` before it.

    So ``flask run`` in a project whose ``wsgi.py`` is the layer's works as before there was one.
    """
    from flask.cli import locate_app, prepare_import

    return locate_app(prepare_import("app.py"), None)
