"""Which web pages may open a session."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

OriginPolicy = Callable[[str | None, dict[str, Any]], bool]

ANY_LABEL = "://*."
"""How an origin begins its host that stands for all names one label below another."""


def origin_policy(allowed: Collection[Any]) -> OriginPolicy | str:
    """Return what decides on the ``Origin`` of a request (RFC 6455, section 10.2).

    Upstream stops allowing the service's own pages once a list is given, and believes
    ``X-Forwarded-Host`` of anyone; here the proxy headers count only where a proxy is trusted.

    :param allowed: further origins beside the service's own, which may be anything that is equal to
        them; ``https://*.example.org`` is all hosts one label below that name, and ``*`` allows all.
    :return: a function of the origin and the WSGI environment, or ``*``.
    """
    if "*" in allowed:
        return "*"
    named = [_without_slash(origin) for origin in allowed]

    def is_allowed(origin: str | None, environ: dict[str, Any]) -> bool:
        if origin is None:
            return False
        own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"
        return origin == own or origin in named or _with_any_label(origin) in named

    return is_allowed


def _without_slash(origin: Any) -> Any:
    return origin.rstrip("/") if type(origin) is str else origin


def _with_any_label(origin: str) -> str:
    return re.sub(r"://[^.:/*]+\.", ANY_LABEL, origin, count=1)
