"""Keeps pages working behind HTTPS that put an ``http:`` or ``ws:`` address together by hand.

A page that came by HTTPS may not load or connect to what is plain, so ``"http://" + document.domain +
":" + location.port`` is refused by the browser. A header makes the browser ask for the same host by
HTTPS and WSS instead: https://www.w3.org/TR/upgrade-insecure-requests/.

It changes the scheme, and port 80 to 443, nothing else: an address with another host or port works
only if TLS is spoken there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

HEADER = "Content-Security-Policy"
UPGRADE = "upgrade-insecure-requests"


def init_app(app: Flask) -> None:
    """Let browsers upgrade what a page of the app asks for, if the page came by HTTPS.

    A policy of the app's own stays as it is.

    :param app: the app, inside of what believes the proxy.
    """
    inner = app.wsgi_app

    def with_upgrades(
        environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("wsgi.url_scheme") != "https":
            return inner(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if _is_page(headers) and not _has_policy(headers):
                headers = [*headers, (HEADER, UPGRADE)]
            return start_response(status, headers, *exc_info)

        return inner(environ, start)

    app.wsgi_app = with_upgrades  # type: ignore[method-assign]


def _is_page(headers: list[tuple[str, str]]) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/html")
        for name, value in headers
    )


def _has_policy(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == HEADER.lower() for name, _ in headers)
