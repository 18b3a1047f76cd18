"""Where to listen, and whether that can be done, seen before anything is started that would.

gunicorn finds out by itself, with two lines of its log a try, and none of them says what to do.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from typing import Any

from production.process.supervisor import supervisor
from production.refusal import ConfigurationError

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for which an address may be taken: gunicorn's own, in which a predecessor has left."""

POLL_INTERVAL = 0.25
"""Seconds between two tries."""


def addresses_to_open(settings: Any) -> list[str]:
    """Return the addresses that gunicorn is to open: none where systemd has opened its own for it.

    gunicorn takes those whatever it is told. But told something new, it would close them at a reload,
    and clients would wait at a socket that nobody reads.

    :param settings: with ``bind`` and ``given``.
    """
    wanted: list[str] = settings.bind.split(",")
    if not supervisor.addresses:
        return wanted
    if "bind" in settings.given and set(wanted) != set(supervisor.addresses):
        log.warning(
            "BIND=%s does not count: systemd listens, at %s, as ListenStream of its socket unit says",
            settings.bind,
            ",".join(supervisor.addresses),
        )
    return []


def wait_for_addresses(arbiter: Any) -> None:
    """Wait until gunicorn can listen; for its hook ``on_starting``.

    :param arbiter: gunicorn's master.
    :raises ConfigurationError: naming the address that it cannot listen on, and the fix.
    """
    inherited = supervisor.addresses or "GUNICORN_FD" in os.environ
    if inherited or arbiter.cfg.reuse_port:
        return
    for address in arbiter.cfg.address:
        if isinstance(address, tuple):
            wait_for_address(*address)


def wait_for_address(host: str, port: int) -> None:
    """Wait until an address is free, and say so.

    :param host: a name, or an address of either family.
    :param port: the port.
    :raises ConfigurationError: if it stays taken, or is none to listen on.
    """
    if not _is_taken(host, port):
        return
    log.warning("Something else listens on %s:%d; waiting for it to leave", host, port)
    deadline = time.monotonic() + PATIENCE
    while _is_taken(host, port):
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"Something else listens on {host}:{port}, perhaps an earlier start in another "
                "terminal: stop it, or choose another port, for example with BIND=127.0.0.1:5001."
            )
        time.sleep(POLL_INTERVAL)


def _is_taken(host: str, port: int) -> bool:
    """Try an address as gunicorn does, but without listening on it.

    :raises ConfigurationError: if it is none to listen on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                return True
            raise ConfigurationError(
                f"{host}:{port} is no address to listen on here ({fault.strerror}): choose another, for "
                "example with BIND=127.0.0.1:5001."
            ) from fault
    return False
