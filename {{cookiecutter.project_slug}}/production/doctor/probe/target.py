"""What is probed, and how it is reached."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

PATIENCE = 10.0
"""Seconds within which an answer has to come. A page's user has left by then."""

HUNG_UP = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
"""What a connection raises whose other side has ended it; the last one through TLS."""


@dataclass(frozen=True)
class Target:
    """A service as a client sees it.

    :param scheme: ``http`` or ``https``.
    :param host: a name or an address.
    :param port: the port.
    :param page: the path and query of the page that people open.
    :param path: where Socket.IO is, with a slash at both ends.
    :param health: the path of the readiness check.
    :param namespace: the Socket.IO namespace to join.
    :param auth: what is sent when joining, as Socket.IO clients send it.
    :param origin: the ``Origin`` that requests carry, as a browser's do; empty for none.
    :param headers: further headers of every request.
    :param verify: whether the certificate has to be valid.
    :param patience: seconds within which an answer has to come.
    """

    scheme: str
    host: str
    port: int
    page: str = "/"
    path: str = "/socket.io/"
    health: str = "/health/ready"
    namespace: str = "/"
    auth: dict[str, Any] | None = None
    origin: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    verify: bool = True
    patience: float = PATIENCE

    @property
    def is_tls(self) -> bool:
        """Whether it is reached by TLS."""
        return self.scheme == "https"

    @property
    def own_origin(self) -> str:
        """The origin of the pages that the service itself serves."""
        return origin_of(self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        """Host and port, as in a ``Host`` header."""
        return self.own_origin.partition("://")[2]

    @property
    def url(self) -> str:
        """The page's address."""
        return self.own_origin + self.page

    def engine_request(self, transport: str, sid: str = "") -> str:
        """Return path and query of an Engine.IO request.

        :param transport: ``polling`` or ``websocket``.
        :param sid: the session that it belongs to, none for a new one.
        """
        query = {"EIO": "4", "transport": transport, **({"sid": sid} if sid else {})}
        return f"{self.path}?{urlencode(query)}"

    def sent_headers(self) -> dict[str, str]:
        """Return the headers of every Engine.IO request."""
        return {**({"Origin": self.origin} if self.origin else {}), **self.headers}

    def connect(self) -> socket.socket:
        """Open a connection, through TLS if that is how the service is reached.

        :raises OSError: if there is none, or if the certificate is not valid.
        """
        connection = socket.create_connection((self.host, self.port), self.patience)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self.is_tls:
                return connection
            return self._context().wrap_socket(connection, server_hostname=self.host)
        except BaseException:
            connection.close()
            raise

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def address_of(url: str) -> tuple[str, str, int, str]:
    """Read the address that a user gave.

    :param url: with or without a scheme.
    :return: scheme, host, port, and path with query.
    :raises ValueError: saying what is wrong with it.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(
            f"{parts.scheme}:// is nothing that can be probed: write http:// or https://"
        )
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host: write https://example.org")
    try:
        host = parts.hostname.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{parts.hostname!r} is no host name") from None
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except ValueError:
        raise ValueError(f"{url!r} has a port that is none") from None
    scheme = "https" if parts.scheme in {"https", "wss"} else "http"
    page = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return scheme, host, port, page


def origin_of(scheme: str, host: str, port: int) -> str:
    """Return an origin as browsers write it (RFC 6454, section 6.1)."""
    written = f"[{host}]" if ":" in host else host
    return f"{scheme}://{written}" + ("" if port == DEFAULT_PORTS[scheme] else f":{port}")
