"""Believe the proxy in front, as many of them as there are, and nobody else.

This is the seam to :mod:`werkzeug.middleware.proxy_fix`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

CLIENT = "production.client"
"""Where the environment of a request that came through a proxy says who its client is."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""In which a host without IPv4 sees all of IPv4 (RFC 6052, section 2.1)."""

IPV6_CLIENT = 64
"""Bits of an IPv6 address that name a client's network (RFC 4291, section 2.5.4): of the rest, each client
has as many as it likes."""


def init_app(app: Flask, trusted_proxies: int) -> None:
    """Take scheme, host and client address from the headers of the trusted proxies.

    It wraps Socket.IO too: the origin of a WebSocket is compared with what the proxy was asked for.

    :param app: the app, with everything else around it.
    :param trusted_proxies: how many proxies stand in front; none leaves the headers unread.
    """
    if trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, trusted_proxies)  # type: ignore[method-assign]


class TrustedProxies(ProxyFix):
    """Takes the client's address from what the proxies say.

    :param app: a WSGI application.
    :param count: how many proxies there are.
    """

    def __init__(self, app: Any, count: int) -> None:
        super().__init__(
            app, x_for=count, x_proto=count, x_host=count, x_port=count, x_prefix=count
        )
        self._count = count

    def _get_real_value(self, trusted: int, value: str | None) -> str | None:
        """Return what the first of the trusted proxies has written into a header.

        Upstream reads the list as HTTP has it, in which a client's opening quotation mark would swallow
        what the proxies have added.
        """
        values = [each.strip() for each in value.split(",")] if value else []
        return values[-trusted] if len(values) >= trusted else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Hand a request on."""
        address = self._get_real_value(self._count, environ.get("HTTP_X_FORWARDED_FOR"))
        environ[CLIENT] = client_address(address or "")
        return super().__call__(environ, start_response)


def client_of(environ: dict[str, Any]) -> str | None:
    """Return by which address the client of a request is counted.

    :param environ: the request's environment.
    :return: see :func:`client_address`; ``None`` as well if a proxy has asked and does not say for whom.
    """
    if CLIENT in environ:
        client: str | None = environ[CLIENT]
        return client
    return client_address(environ.get("REMOTE_ADDR", ""))


def counted_address(environ: dict[str, Any]) -> str:
    """Return whose tries are counted together: the client's, or those of all whom nothing tells apart.

    :param environ: a request's environment.
    """
    return client_of(environ) or environ.get("REMOTE_ADDR", "")


@lru_cache(maxsize=1024)
def client_address(text: str) -> str | None:
    """Return what stands for all addresses that one client can easily have.

    :param text: an address, which may have a port.
    :return: the IPv4 address, whatever it is wrapped in; the network of an IPv6 address; ``None`` if
        it is neither, as with a Unix socket.
    """
    address = _parse(text.strip())
    if address is None or isinstance(address, ipaddress.IPv4Address):
        return None if address is None else str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    if address in NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return str(ipaddress.IPv6Network((int(address), IPV6_CLIENT), strict=False))


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address, without the port that some proxies add."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
