"""What signs an adopted app's session cookies: the environment's secret, or the app's own."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import closing

import structlog
from flask import Flask

from production.realtime.redis_connection import QUEUE_ERRORS, connect, name
from production.refusal import ConfigurationError
from production.settings import Settings
from production.weak_secrets import check_secret

log = structlog.get_logger(__name__)

FINGERPRINT_SIZE = 4
"""Bytes: enough to tell two secrets apart, and too few to tell what either is."""


def settle_secret(app: Flask, settings: Settings) -> None:
    """Let the environment's secret win; without one the app's stays, whatever it is worth.

    :param app: the app, as its start has left it.
    :param settings: the settings of the process.
    :raises ConfigurationError: if there is none, or each worker has another.
    """
    ours = settings.secret_key.get_secret_value()
    if ours:
        if app.secret_key and app.secret_key != ours:
            log.info(
                "an option of the app is overridden", option="SECRET_KEY", setting="SECRET_KEY"
            )
        app.secret_key = ours
    elif app.secret_key:
        _warn_of_weak_secret(app.secret_key)
        if settings.several_processes:
            _check_others(app.secret_key, settings)
    elif settings.in_development and settings.web_concurrency == 1:
        app.secret_key = secrets.token_urlsafe(48)  # production: ignore[FSP304]
    else:
        raise ConfigurationError(
            "The app has no SECRET_KEY, and none is set: set it in the environment or in "
            'production.env; make one with: python3 -c "import secrets; '
            'print(secrets.token_urlsafe(48))".'
        )


def _warn_of_weak_secret(secret: str | bytes) -> None:
    try:
        check_secret(_bytes(secret).decode("latin-1"))
    except ValueError as fault:
        log.warning(
            "the app's own SECRET_KEY is not safe, whoever knows it can forge sessions",
            fault=str(fault),
        )


def _check_others(secret: str | bytes, settings: Settings) -> None:
    """Make sure that the workers that start with this one have the same secret.

    Where the queue does not answer nothing is known, and the app is served all the same.

    :raises ConfigurationError: if one has another: the app draws it.
    """
    assert settings.redis_url  # noqa: S101
    mine = hashlib.blake2b(_bytes(secret), digest_size=FINGERPRINT_SIZE).digest()
    gunicorn = f"{settings.host_id}.{os.getppid()}"
    key = name(settings.service_name, "secret", gunicorn)
    try:
        with closing(connect(settings.redis_url.get_secret_value())) as client:
            first = client.set(key, mine, nx=True, ex=settings.worker_timeout)
            theirs = mine if first else client.get(key)
    except QUEUE_ERRORS as error:
        log.warning("whether the workers share a SECRET_KEY is not known", reason=str(error))
        return
    if theirs not in {mine, None}:
        raise ConfigurationError(
            "The app's SECRET_KEY is another one in each worker, and none could read the others' "
            "sessions: set SECRET_KEY in the environment or in production.env."
        )


def _bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret
