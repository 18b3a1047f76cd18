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


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.org", True),
        ("https://b.example.org", True),
        ("https://example.org", False),
        ("https://a.b.example.org", False),
        ("http://a.example.org", False),
        ("https://a.example.org:8443", False),
        ("https://a.example.org.evil.example", False),
        ("https://evil.example/.example.org", False),
        ("https://.example.org", False),
        ("null", False),
    ],
)
def test_a_name_may_stand_for_all_hosts_one_label_below_it(origin: str, allowed: bool) -> None:
    policy = origin_policy(["https://*.example.org"])
    assert callable(policy)
    assert policy(origin, REQUEST) is allowed


class Below:
    """What an app may give as an origin: anything that is equal to some."""

    def __init__(self, parent: str) -> None:
        self._parent = parent

    def __eq__(self, origin: object) -> bool:
        return isinstance(origin, str) and origin.endswith(f".{self._parent}")

    def __hash__(self) -> int:
        return hash(self._parent)


class AnyCase(str):
    """An origin that is equal to others."""

    def __eq__(self, origin: object) -> bool:
        return isinstance(origin, str) and origin.lower() == self.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


def test_what_is_equal_to_an_origin_allows_it() -> None:
    policy = origin_policy([Below("example.org"), AnyCase("https://App.example")])
    assert callable(policy)
    assert policy("https://a.example.org", REQUEST)
    assert policy("https://APP.example", REQUEST)
    assert not policy("https://a.example.com", REQUEST)


def test_a_request_without_an_origin_needs_no_headers_for_one() -> None:
    policy = origin_policy([])
    assert callable(policy)
    assert policy(None, REQUEST) is False


def test_forwarded_headers_of_anyone_are_not_believed() -> None:
    policy = origin_policy([])
    assert callable(policy)
    assert not policy("https://evil.example", {**REQUEST, "HTTP_X_FORWARDED_HOST": "evil.example"})


def test_development_may_allow_all() -> None:
    assert origin_policy(["*"]) == "*"
