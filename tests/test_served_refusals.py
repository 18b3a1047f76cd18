"""A service that would be unsafe or could not work does not start, and says why in one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from baking import Bake, clean_environment
from queues import running
from served import ServedProject
from waiting import PATIENCE

FAULTS = {
    "no secret": ((), {"SECRET_KEY": ""}, "SECRET_KEY is missing"),
    "a short secret": ((), {"SECRET_KEY": "0123456789abcdef"}, "SECRET_KEY has 16 characters"),
    "a known secret": (
        (),
        {"SECRET_KEY": "please-changeme-please-changeme-please"},
        "SECRET_KEY is a well-known default",
    ),
    "any origin": ((), {"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS contains *"),
    "an origin with a path": (
        (),
        {"ALLOWED_ORIGINS": "https://example.org/page"},
        "which is no origin",
    ),
    "pings slower than the proxy": ((), {"PING_INTERVAL": "45"}, "PROXY_READ_TIMEOUT"),
    "a limit that is no integer": ((), {"MAX_MESSAGE_BYTES": "1e6"}, "MAX_MESSAGE_BYTES"),
    "an unknown transport": ((), {"TRANSPORTS": "polling,carrier-pigeon"}, "TRANSPORTS"),
    "an unknown mode": ((), {"ASYNC_MODE": "fibers"}, "ASYNC_MODE"),
    "an unknown log level": ((), {"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    "a foreign worker class": (("-k", "gevent"), {}, "leave out -k"),
    "a worker class of another mode": (
        ("-k", "production.process.thread_worker.ThreadWorker"),
        {},
        "leave out -k",
    ),
    "the default worker class": (("-k", "sync"), {}, "leave out -k"),
    "threads instead of a mode": (("--threads", "8", "-k", "gthread"), {}, "leave out -k"),
    "an app imported by the master": (("--preload",), {}, "leave out --preload"),
    "several workers without a queue": (("-w", "2"), {}, "set REDIS_URL"),
    "several workers without a queue, by setting": (
        (),
        {"WEB_CONCURRENCY": "3"},
        "3 workers were asked for, but without a message queue",
    ),
    "several workers that speak TLS themselves": (
        ("--certfile", __file__, "--keyfile", __file__),
        {"WEB_CONCURRENCY": "2", "REDIS_URL": "redis://127.0.0.1:9/0"},
        "let the proxy speak TLS",
    ),
    "several workers that speak HTTP/2 themselves": (
        ("--http2-cleartext", "upgrade"),
        {"WEB_CONCURRENCY": "2", "REDIS_URL": "redis://127.0.0.1:9/0"},
        "only a connection that speaks HTTP/1.1",
    ),
    "a host id that is more than itself in a URL": (
        (),
        {"HOST_ID": "web.1&x"},
        "HOST_ID must be 1 to 24 of the characters",
    ),
    "workers that restart under their sessions": (
        ("--max-requests", "100"),
        {},
        "leave out --max-requests",
    ),
}


@pytest.mark.parametrize(("arguments", "environment", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_refused_by_name_and_with_the_fix(
    bake: Bake,
    tmp_path: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    sentence: str,
) -> None:
    served = ServedProject(bake(), tmp_path / "service.log", environment, arguments)
    assert served.wait() != 0
    assert sentence in served.log_text()
    assert "Refusing to start" in served.log_text()
    assert "Traceback" not in served.log_text()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE)


def test_a_queue_that_lets_do_too_little_is_refused_by_name(bake: Bake, tmp_path: Path) -> None:
    with running(tmp_path) as valkey, valkey.client as client:
        client.execute_command(
            *("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-time")
        )
        url = f"redis://limited:secret@127.0.0.1:{valkey.port}"
        served = ServedProject(bake(), tmp_path / "service.log", {"REDIS_URL": url})
        assert served.wait() != 0
    assert "does not let the user of REDIS_URL TIME: grant it `+time`" in served.log_text()
    assert "Traceback" not in served.log_text()


def test_all_faults_of_the_settings_are_named_at_once(bake: Bake, tmp_path: Path) -> None:
    environment = {"MAX_MESSAGE_BYTES": "1e6", "LOG_LEVEL": "LOUD"}
    served = ServedProject(bake(), tmp_path / "service.log", environment)
    served.wait()
    assert "MAX_MESSAGE_BYTES" in served.log_text()
    assert "LOG_LEVEL" in served.log_text()


def test_a_refused_secret_is_not_repeated(bake: Bake, tmp_path: Path) -> None:
    served = ServedProject(bake(), tmp_path / "service.log", {"SECRET_KEY": "hunter2"})
    served.wait()
    assert "hunter2" not in served.log_text()


def test_a_worker_that_did_not_patch_for_the_mode_is_refused(bake: Bake) -> None:
    refused = subprocess.run(
        [sys.executable, "-c", "import gunicorn.app.base, wsgi"],
        cwd=bake().path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "ASYNC_MODE is eventlet, but the sockets" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_app_that_refuses_stops_the_master_too(bake: Bake, tmp_path: Path) -> None:
    app = tmp_path / "refusing.py"
    app.write_text(
        "from production.refusal import ConfigurationError\n"
        "raise ConfigurationError('The database has no schema: run make migrate.')\n"
    )
    served = ServedProject(
        bake(), tmp_path / "service.log", {"PYTHONPATH": str(tmp_path)}, ("refusing:app",)
    )
    assert served.wait() != 0
    assert "The database has no schema" in served.log_text()
    assert "Traceback" not in served.log_text()


def test_development_may_go_without_a_secret_and_with_any_origin(
    bake: Bake, tmp_path: Path
) -> None:
    environment = {"ENVIRONMENT": "development", "SECRET_KEY": "", "ALLOWED_ORIGINS": "*"}
    served = ServedProject(bake(), tmp_path / "service.log", environment)
    try:
        served.wait_until_ready()
    finally:
        served.stop()
