"""What a client claims of its way here is believed from as many proxies as there are, and from no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from baking import ASYNC_MODES
from rawclient import http
from served import ServedProject

CLAIMS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "board.example.org"}
BEHIND_A_PROXY = "https://board.example.org"


@pytest.mark.parametrize("mode", ASYNC_MODES)
@pytest.mark.parametrize(("proxies", "statuses"), [("0", (200, 400)), ("1", (400, 200))])
def test_forwarded_headers(
    service: Callable[..., ServedProject], mode: str, proxies: str, statuses: tuple[int, int]
) -> None:
    """The loopback address, from which tests come, is no proxy because of that."""
    settings = {"TRUSTED_PROXIES": proxies} if proxies != "0" else {}
    served = service(mode, **settings)
    handshake = f"{served.url}/socket.io/?EIO=4&transport=polling"
    answers = tuple(
        http("GET", handshake, headers={**CLAIMS, "Origin": origin}).status
        for origin in (served.url, BEHIND_A_PROXY)
    )
    assert answers == statuses
    only_the_scheme = {"X-Forwarded-Proto": "https", "Origin": served.url}
    expected = 200 if proxies == "0" else 400
    assert http("GET", handshake, headers=only_the_scheme).status == expected
