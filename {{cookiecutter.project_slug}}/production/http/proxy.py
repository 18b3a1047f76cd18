"""Believe the proxy in front, as many of them as there are, and nobody else."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix


def init_app(app: Flask, trusted_proxies: int) -> None:
    """Take scheme, host and client address from the headers of the trusted proxies.

    It wraps Socket.IO too: the origin of a WebSocket is compared with what the proxy was asked for.

    :param app: the app, with everything else around it.
    :param trusted_proxies: how many proxies stand in front; none leaves the headers unread.
    """
    if trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app,
            x_for=trusted_proxies,
            x_proto=trusted_proxies,
            x_host=trusted_proxies,
            x_port=trusted_proxies,
            x_prefix=trusted_proxies,
        )
