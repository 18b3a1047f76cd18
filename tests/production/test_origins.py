"""Which web pages may open a session."""

from __future__ import annotations

import pytest

from production.realtime.origins import origin_policy

REQUEST = {"wsgi.url_scheme": "https", "HTTP_HOST": "board.example:8443"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://board.example:8443", True),
        ("https://app.example", True),
        ("http://board.example:8443", False),
        ("https://board.example", False),
        ("https://app.example.evil.example", False),
        ("null", False),
    ],
)
def test_the_service_itself_and_those_that_are_named_may(origin: str, allowed: bool) -> None:
    policy = origin_policy(["https://app.example/"])
    assert callable(policy)
    assert policy(origin, REQUEST) is allowed


def test_forwarded_headers_of_anyone_are_not_believed() -> None:
    policy = origin_policy([])
    assert callable(policy)
    assert not policy("https://evil.example", {**REQUEST, "HTTP_X_FORWARDED_HOST": "evil.example"})


def test_development_may_allow_all() -> None:
    assert origin_policy(["*"]) == "*"
