"""Pages under a strict Content-Security-Policy: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, make_response, render_template

from production.browser.assets import asset_url, client_script
from production.browser.client import CDN, is_vendored


def render_page(template: str, *, origins: Sequence[str] = (), **context: Any) -> Response:
    """Render a page that browsers are told to guard.

    :param template: the template's name. It finds the address of a file of the layer with
        ``asset_url(name)``, and where to load the Socket.IO client from in ``client_script``.
    :param origins: other origins that the page's scripts may connect to, such as
        ``wss://example.org``.
    :param context: what else the template is given.
    """
    response = make_response(
        render_template(template, asset_url=asset_url, client_script=client_script(), **context)
    )
    response.headers["Content-Security-Policy"] = content_security_policy(origins)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def content_security_policy(origins: Sequence[str] = ()) -> str:
    """Return what a page of the layer may load and do (https://www.w3.org/TR/CSP3/).

    The CDN is in it only where the Socket.IO client has to come from there.

    :param origins: other origins that scripts may connect to.
    """
    scripts = ("'self'",) if is_vendored() else ("'self'", CDN)
    directives = {
        "default-src": ("'none'",),
        "script-src": scripts,
        "style-src": ("'self'",),
        "img-src": ("'self'",),
        "connect-src": ("'self'", *origins),
        "base-uri": ("'none'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
