"""Which web pages may open a session."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

OriginPolicy = Callable[[str, dict[str, Any]], bool]


def origin_policy(allowed: Collection[str]) -> OriginPolicy | str:
    """Return what decides on the ``Origin`` of a request (RFC 6455, section 10.2).

    Upstream stops allowing the service's own pages once a list is given, and believes
    ``X-Forwarded-Host`` of anyone; here the proxy headers count only where a proxy is trusted.

    :param allowed: further origins beside the service's own; ``*`` allows all.
    :return: a function of the origin and the WSGI environment, or ``*``.
    """
    if "*" in allowed:
        return "*"
    others = frozenset(origin.rstrip("/") for origin in allowed)

    def is_allowed(origin: str, environ: dict[str, Any]) -> bool:
        own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"
        return origin == own or origin in others

    return is_allowed
