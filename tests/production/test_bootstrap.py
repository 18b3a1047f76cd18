"""Releases with known faults, and processes that were patched for another mode."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from production import bootstrap
from production.modes import AsyncMode
from production.refusal import ConfigurationError


@pytest.mark.parametrize(
    ("library", "release"),
    [("redis", "8.0.0"), ("python-engineio", "4.15.0"), ("python-socketio", "5.17.1")],
)
def test_a_release_with_a_known_fault_is_refused(
    monkeypatch: pytest.MonkeyPatch, library: str, release: str
) -> None:
    monkeypatch.setattr(
        bootstrap, "version", lambda name: release if name == library else version(name)
    )
    with pytest.raises(ConfigurationError, match=f"{library} {release} is installed.*pip install"):
        bootstrap.check_releases()


def test_the_installed_releases_are_accepted() -> None:
    bootstrap.check_releases()


@pytest.mark.parametrize("mode", [AsyncMode.EVENTLET, AsyncMode.GEVENT])
def test_a_process_that_is_not_patched_cannot_serve_a_green_mode(mode: AsyncMode) -> None:
    with pytest.raises(ConfigurationError, match="made for threading"):
        bootstrap.check_patch(mode)


def test_a_process_that_is_not_patched_can_serve_threads() -> None:
    bootstrap.check_patch(AsyncMode.THREADING)
