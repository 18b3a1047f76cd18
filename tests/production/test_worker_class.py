"""Which worker serves a mode, and what is said where its library is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from production.process.configuration import worker_class_for
from production.refusal import ConfigurationError


@pytest.mark.parametrize("mode", ["eventlet", "gevent"])
def test_a_mode_without_its_library_is_refused(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(async_mode=mode)
    assert worker_class_for(settings)
    monkeypatch.setitem(sys.modules, mode, None)
    with pytest.raises(ConfigurationError, match=f"{mode} is not installed"):
        worker_class_for(settings)


def test_threads_need_no_library() -> None:
    assert worker_class_for(SimpleNamespace(async_mode="threading")).endswith("ThreadWorker")
