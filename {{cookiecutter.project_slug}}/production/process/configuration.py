"""What the gunicorn master knows of the settings, and what it refuses to start with."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from production.adopt.workers import why_several
from production.process.waiting_room import SEATS_OF_THREADS
from production.refusal import ConfigurationError

if TYPE_CHECKING:
    from gunicorn.config import Config

WORKER_CLASSES = {
    "eventlet": "production.process.eventlet_worker.EventletWorker",
    "gevent": "production.process.gevent_worker.GeventWorker",
    "threading": "production.process.thread_worker.ThreadWorker",
}

# Threads and connections beyond those that sessions may hold: HTTP requests and health checks are
# answered out of these when every session is taken.
ROOM_FOR_HTTP = 64


# Seconds that the last of the closed sessions have for their closing handshake.
CLOSING_TIME = 2


def read_settings() -> Any:
    """Read and check the settings in a process of their own.

    The master must not import what the workers have yet to patch: pydantic's objects break
    eventlet's search for existing locks. It also means that a reload reads the settings afresh.

    :return: the settings as a namespace of plain values, by field name, secrets masked; ``given`` has
        the names of those that somebody has set.
    :raises ConfigurationError: what the settings refuse, already written to standard error.
    """
    reader = subprocess.run(
        [sys.executable, "-m", "production.settings"], stdout=subprocess.PIPE, check=False
    )
    if reader.returncode:
        raise SystemExit(reader.returncode)
    return SimpleNamespace(**json.loads(reader.stdout))


def worker_class_for(settings: Any) -> str:
    """Return the worker class of the mode that the service is to run in.

    :param settings: with ``async_mode``.
    :raises ConfigurationError: if the mode's library is not installed.
    """
    mode = settings.async_mode
    if mode != "threading" and find_spec(mode) is None:
        raise ConfigurationError(
            f"ASYNC_MODE is {mode}, but {mode} is not installed: add it to what the project requires and "
            "install that, or choose another mode."
        )
    return WORKER_CLASSES[mode]


def thread_count(settings: Any) -> int:
    """Return how many threads a gthread worker needs.

    A WebSocket, and a long poll while it waits, holds one thread of the pool; in the green modes
    gunicorn ignores the number.

    :param settings: with ``async_mode`` and ``max_sessions``.
    """
    if settings.async_mode != "threading":
        return 1
    return int(settings.max_sessions) + SEATS_OF_THREADS + ROOM_FOR_HTTP


def connection_count(settings: Any) -> int:
    """Return how many connections a worker may hold open.

    A session holds two for a moment, while its WebSocket is being probed beside its long poll.

    :param settings: with ``max_sessions``.
    """
    return 2 * int(settings.max_sessions) + 2 * ROOM_FOR_HTTP


def drain_time_limit(settings: Any) -> int:
    """Return after how many seconds gunicorn gives up on a worker that is leaving.

    :param settings: with ``drain_seconds``.
    """
    return math.ceil(float(settings.drain_seconds)) + CLOSING_TIME


def check_gunicorn(cfg: Config, settings: Any) -> None:
    """Refuse what gunicorn was told on its command line if the service cannot work with it.

    :param cfg: gunicorn's final configuration.
    :param settings: with ``async_mode``, ``redis_url`` and ``existing_app``.
    :raises ConfigurationError: naming the option and the fix.
    """
    expected = WORKER_CLASSES[settings.async_mode]
    found = f"{cfg.worker_class.__module__}.{cfg.worker_class.__qualname__}"
    if found != expected:
        raise ConfigurationError(
            f"ASYNC_MODE is {settings.async_mode}, but gunicorn was told to use the worker class {found}: "
            "leave out -k and --threads, and choose the mode with ASYNC_MODE=eventlet, gevent or "
            "threading."
        )
    if cfg.preload_app:
        raise ConfigurationError(
            "preload_app imports the app in the master, before the workers patch the standard "
            "library and where its background tasks die at the fork: leave out --preload."
        )
    if cfg.max_requests:
        raise ConfigurationError(
            "max_requests restarts a worker under its open sessions: leave out --max-requests."
        )


def check_worker_count(server: Any, settings: Any) -> None:
    """Refuse to start with more workers than the service can have.

    :param server: gunicorn's master.
    :param settings: with ``redis_url``, ``existing_app`` and, of an adopted app, what
        :func:`production.adopt.workers.why_several` asks for.
    :raises ConfigurationError: naming what keeps it from them, and the fix.
    """
    workers = server.num_workers
    if workers <= 1:
        return
    if settings.existing_app:
        server.log.info("%d workers: %s", workers, why_several(workers, settings))
    _check_several_workers(workers, server.cfg, settings)


def limit_workers(server: Any, settings: Any, before: int | None) -> None:
    """Go on with one worker where a reload, or a signal, asks for more than the service can have.

    :param server: gunicorn's master, which has been told a new number of workers.
    :param settings: as for :func:`check_worker_count`, read afresh if it is a reload.
    :param before: how many it had, nothing at the start.
    """
    if before is None or server.num_workers <= 1:
        return
    try:
        _check_growth(server.num_workers, settings, before)
        check_worker_count(server, settings)
    except ConfigurationError as refusal:
        server.log.warning("One worker goes on to serve. %s", refusal.message)
        # A reload starts as many as the configuration says.
        server.cfg.set("workers", 1)
        server.num_workers = 1


def _check_growth(workers: int, settings: Any, before: int) -> None:
    """Refuse others beside an only worker that does the work of an adopted app's start."""
    if settings.existing_app and before <= 1:
        raise ConfigurationError(
            f"{workers} workers were asked for, but background work of the app that runs in an only "
            "worker cannot be shared out any more: restart the service instead."
        )


def _check_several_workers(workers: int, cfg: Config, settings: Any) -> None:
    """Refuse what only one worker could do."""
    if not settings.redis_url:
        raise ConfigurationError(
            f"{workers} workers were asked for, but without a message queue none would hear "
            "what the others emit: set REDIS_URL, for example redis://127.0.0.1:6379/0, or "
            "WEB_CONCURRENCY=1 and leave out -w."
        )
    if cfg.is_ssl:
        raise ConfigurationError(
            f"{workers} workers were asked for, but a connection that gunicorn itself encrypts "
            "cannot be handed from one to another: let the proxy speak TLS and leave out --certfile "
            "and --keyfile, or set WEB_CONCURRENCY=1 and leave out -w."
        )
    if cfg.protocol != "http" or cfg.http2_cleartext != "off":
        raise ConfigurationError(
            f"{workers} workers were asked for, but only a connection that speaks HTTP/1.1 can "
            "be handed from one to another: leave out --protocol and --http2-cleartext, or set "
            "WEB_CONCURRENCY=1 and leave out -w."
        )


def tell_worker_count(server: Any) -> None:
    """Let the settings of a new worker say how many there are, whatever asked for them.

    :param server: gunicorn's master, as the worker knows it.
    """
    os.environ["WEB_CONCURRENCY"] = str(server.num_workers)
