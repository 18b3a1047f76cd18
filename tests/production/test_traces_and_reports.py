"""What OpenTelemetry and Sentry need is imported when it is asked for, and named when it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from flask import Flask
from flask_socketio import SocketIO

import production
from production.observe.reports import tell_what_is_pending
from production.refusal import ConfigurationError
from production.settings import Settings, load_settings

LAYER = Path(production.__file__).parent.parent

START = """
import sys
from flask import Flask
from flask_socketio import SocketIO
import production
from production.settings import load_settings

settings = load_settings(environment="development", async_mode="threading", redis_url=None)
production.init_app(Flask("app"), SocketIO(), settings)
# redis-py imports opentelemetry.sdk by itself.
libraries = {"sentry_sdk", "opentelemetry.exporter", "opentelemetry.instrumentation"}
print(sorted(libraries & {*sys.modules}))
"""


def settings(**changes: str) -> Settings:
    """Return settings for a process without a queue."""
    fixed = {"environment": "development", "async_mode": "threading", "redis_url": None}
    return load_settings(**{**fixed, **changes})


@pytest.mark.parametrize(
    ("setting", "value", "library"),
    [
        ("traces_endpoint", "http://127.0.0.1:4318", "opentelemetry"),
        ("sentry_dsn", "https://key@sentry.example/1", "sentry_sdk"),
    ],
)
def test_a_missing_library_is_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError) as refusal:
        production.init_app(Flask(__name__), SocketIO(), settings(**{setting: value}))
    sentence = f"{setting.upper()} is set, but {library} is not installed: add "
    assert sentence in str(refusal.value)


# Sentry's library imports eventlet to see whether it has patched.
@pytest.mark.filterwarnings(r"ignore:\s*Eventlet is deprecated")
def test_a_dsn_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError, match="SENTRY_DSN is no address") as refusal:
        production.init_app(
            Flask(__name__), SocketIO(), settings(sentry_dsn="https://hush@nowhere")
        )
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://127.0.0.1:4317"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="TRACES_ENDPOINT must be the URL of a collector"):
        settings(traces_endpoint=endpoint)


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    started = subprocess.run(
        [sys.executable, "-B", "-c", START], cwd=LAYER, capture_output=True, text=True, check=True
    )
    assert started.stdout.splitlines()[-1] == "[]"


def test_reports_that_are_left_at_the_end_are_one_line_of_the_log() -> None:
    with structlog.testing.capture_logs() as lines:
        tell_what_is_pending(1, 2.0)
    (line,) = lines
    assert (line["log_level"], line["reports"], line["timeout"]) == ("info", 1, 2.0)
