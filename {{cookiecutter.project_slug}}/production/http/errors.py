"""HTTP errors: problem details for programs (RFC 9457), a readable page for people.

Only :class:`~werkzeug.exceptions.HTTPException` is handled, and what a view declines, as an event's
handler may, by :class:`~production.realtime.errors.Rejected`. Flask itself turns any other exception
into one, after it has logged it and fired ``got_request_exception``, so nothing is hidden and
nothing internal is shown.
"""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template

from flask import Flask, Response, request
from markupsafe import escape
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    ServiceUnavailable,
    TooManyRequests,
)

from production.browser.assets import asset_url
from production.realtime.errors import Rejected, current_request_id

PROBLEM = "application/problem+json"

LATER = frozenset({"full", "unavailable"})
"""Codes of what the service cannot do now, through no fault of the client: 503."""

SLOWER = frozenset({"too_many"})
"""Codes of what the client has done too often: 429."""

RETRY_AFTER = 60
"""Seconds after which a client that was declined so may try again, unless the rejection says it."""


def init_app(app: Flask) -> None:
    """Answer each HTTP error in the form that its client can read.

    :param app: the app; handlers of its own for a status or an exception win over this one.
    """
    if any(issubclass(HTTPException, handled) for handled in app.error_handler_spec[None][None]):
        return
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Rejected, answer_rejection)


def answer_rejection(rejection: Rejected) -> HTTPException | Response:
    """Answer a request that a view declines.

    :param rejection: what was raised.
    :return: 400, unless it is worth to try again; the problem names its code.
    """
    retry_after = getattr(rejection, "retry_after", RETRY_AFTER)
    error: HTTPException = BadRequest(rejection.message)
    if rejection.code in LATER:
        error = ServiceUnavailable(rejection.message, retry_after=retry_after)
    elif rejection.code in SLOWER:
        error = TooManyRequests(rejection.message, retry_after=retry_after)
    return answer_http_error(error, rejection.code)


def answer_http_error(error: HTTPException, code: str | None = None) -> HTTPException | Response:
    """Answer an HTTP error, with the headers that belong to it.

    :param error: what was raised, by Flask or by a view.
    :param code: a short name for it, for programs.
    :return: the error itself if it carries a response of its own, else a problem or a page.
    """
    if error.response is not None or error.code is None:
        return error
    response = Response(status=error.code)
    response.headers.extend(
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in {"content-type", "content-length"}
    )
    if _wants_page():
        response.set_data(_page(error))
        response.content_type = "text/html; charset=utf-8"
    else:
        response.set_data(_problem(error, code))
        response.content_type = PROBLEM
    return response


def _wants_page() -> bool:
    """Tell whether the client prefers HTML; one that takes anything is a program."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > max(accepted["application/json"], accepted[PROBLEM])


def _problem(error: HTTPException, code: str | None) -> str:
    named = {} if code is None else {"code": code}
    return json.dumps(
        {
            "type": "about:blank",
            "title": error.name,
            "status": error.code,
            "detail": error.description,
            "instance": request.path,
            "request_id": current_request_id(),
            **named,
        }
    )


def _page(error: HTTPException) -> str:
    template = Template(files(__package__).joinpath("error.html").read_text(encoding="utf-8"))
    return template.substitute(
        status=error.code,
        title=escape(error.name),
        detail=escape(error.description or ""),
        request_id=escape(current_request_id() or ""),
        stylesheet=escape(asset_url("page.css")),
        start=escape(f"{request.script_root}/"),
    )
