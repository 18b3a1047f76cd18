"""Whose a request is, for the log, and an id for each: in its log records, its answer and its problem details."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask

from production.http.proxy import client_of
from production.observe.current import UNKNOWN_CLIENT, current_client
from production.observe.lag import progress
from production.process.forks import end_if_forked

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""What a proxy in front may give us as a request id; anything else would let it write our logs."""


def init_app(app: Flask) -> None:
    """Give each request that reaches the app an id, and name it in the answer.

    :param app: the app.
    """
    inner = app.wsgi_app

    def with_request_id(
        environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        progress.mark()
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        if not WELL_FORMED.fullmatch(request_id):
            request_id = uuid.uuid4().hex

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-ID", request_id)], *exc_info)

        structlog.contextvars.clear_contextvars()
        peer = current_client.set(client_of(environ) or UNKNOWN_CLIENT)
        try:
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                return inner(environ, start)
        finally:
            end_if_forked()
            current_client.reset(peer)

    app.wsgi_app = with_request_id  # type: ignore[method-assign]
