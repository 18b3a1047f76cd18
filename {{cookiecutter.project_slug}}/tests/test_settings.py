"""The settings that this project refuses, so that a change of them is noticed."""

from __future__ import annotations

import pytest

from production.refusal import ConfigurationError
from production.settings import load_settings

SECRET = "a-secret-for-tests-0123456789-abcdef"


def test_a_service_without_a_secret_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY is missing"):
        load_settings(secret_key="")


def test_any_web_site_as_an_origin_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ALLOWED_ORIGINS"):
        load_settings(secret_key=SECRET, allowed_origins="*")


def test_pings_must_be_faster_than_the_proxy() -> None:
    with pytest.raises(ConfigurationError, match="PROXY_READ_TIMEOUT"):
        load_settings(secret_key=SECRET, ping_interval=50, proxy_read_timeout=60)
