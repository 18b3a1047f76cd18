"""The Flask context of an event, without what its connection has already.

Flask-SocketIO makes a request context for each event, of the request that opened the connection. Flask
opens the session for it, which reads and verifies the cookie or asks a store, and Flask-SocketIO then
puts the connection's own session in its place. How addresses are read is worked out anew as well,
though the request stays the same.

This is the seam to :mod:`flask.ctx`.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.ctx import RequestContext
from werkzeug.routing import MapAdapter

SAVED_SESSION = "saved_session"
"""Where Flask-SocketIO keeps the session of a connection, if it manages sessions, in its environment."""

URL_ADAPTER = "production.url_adapter"


def init_app(app: Flask) -> None:
    """Make the contexts of a connection's events from what is known of the connection.

    :param app: the app.
    """
    request_context = app.request_context
    create_url_adapter = app.create_url_adapter

    def with_saved_session(environ: dict[str, Any]) -> RequestContext:
        context = request_context(environ)
        if SAVED_SESSION in environ:
            # A context that has a session opens none.
            context._session = environ[SAVED_SESSION]
        return context

    def with_kept_adapter(request: Any) -> MapAdapter | None:
        if request is None or SAVED_SESSION not in request.environ:
            return create_url_adapter(request)
        if URL_ADAPTER not in request.environ:
            request.environ[URL_ADAPTER] = create_url_adapter(request)
        adapter: MapAdapter | None = request.environ[URL_ADAPTER]
        return adapter

    app.request_context = with_saved_session  # type: ignore[method-assign]
    app.create_url_adapter = with_kept_adapter  # type: ignore[method-assign]
