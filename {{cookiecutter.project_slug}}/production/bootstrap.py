"""Make the standard library cooperative, in the worker, after the fork and before the app is imported.

The master process stays as Python made it: a patched master breaks its own threads and its asyncio
control loop, and every worker would inherit a hub that is bound to the master's descriptors.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import socket
import subprocess
import sys
import warnings
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import FunctionType
from typing import Any

from packaging.specifiers import SpecifierSet

from production.modes import AsyncMode
from production.refusal import ConfigurationError


@dataclass(frozen=True)
class Fault:
    """What is wrong with some releases of a library.

    :param library: the distribution's name.
    :param releases: which releases have the fault.
    :param consequence: what it does to a service.
    :param cure: the requirement that avoids it.
    """

    library: str
    releases: SpecifierSet
    consequence: str
    cure: str


KNOWN_FAULTS = (
    Fault(
        "redis",
        SpecifierSet("==8.0.0"),
        "its default read time-out kills the queue's listener and loses messages",
        "redis>=8.1",
    ),
    Fault(
        "python-engineio",
        SpecifierSet("<4.15.1"),
        "closing a WebSocket prints `write() before start_response`, and sessions leak",
        "python-engineio>=4.15.1",
    ),
    Fault(
        "python-socketio",
        SpecifierSet("<5.18"),
        "clients that are still being authenticated count as connected",
        "python-socketio>=5.18",
    ),
)


def patch(mode: AsyncMode) -> None:
    """Patch the standard library for a mode, or leave it alone for ``threading``.

    :param mode: the async mode that this process is to serve in.
    """
    if mode is AsyncMode.EVENTLET:
        _patch_for_eventlet()
    elif mode is AsyncMode.GEVENT:
        from gevent import monkey

        monkey.patch_all()
        await_processes_greenly()


def _patch_for_eventlet() -> None:
    # eventlet's own resolver times out behind Docker and Kubernetes name servers
    # (eventlet issues 690 and 814); the system's is right, if blocking: see below.
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    # Choosing eventlet in spite of its deprecation is a decision that the README explains: repeated
    # at the start of every worker, the warning would tell nobody anything.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet
        import eventlet.hubs

    # It looks once whether sockets can send descriptors, which those of eventlet do without saying so.
    importlib.import_module("multiprocessing.reduction")
    # A hub from before the fork would share its epoll descriptor with the sibling processes.
    eventlet.hubs.use_hub()
    eventlet.monkey_patch()
    _resolve_in_threads()
    _take_in_output_greenly()


def _resolve_in_threads() -> None:
    """Let a name server that does not answer block a thread of a pool, and not every session.

    gevent does so by itself.
    """
    from eventlet import tpool

    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is None or _is_address(host):
            return resolve(host, *arguments, **options)
        return tpool.execute(resolve, host, *arguments, **options)

    socket.getaddrinfo = getaddrinfo


def _take_in_output_greenly() -> None:
    """Let ``subprocess.check_output`` wait as ``run`` does: eventlet's copy starts a process that blocks."""
    copied = subprocess.check_output
    green = FunctionType(copied.__code__, vars(subprocess), argdefs=copied.__defaults__)
    green.__kwdefaults__ = copied.__kwdefaults__
    subprocess.check_output = green


def await_processes_greenly() -> None:
    """Let nobody wait for a process that was spawned, as nobody does for one that gevent has forked."""
    from multiprocessing import util

    from gevent.os import fork_and_watch

    spawn = util.spawnv_passfds

    def spawn_and_watch(*arguments: Any) -> int:
        pid: int = fork_and_watch(fork=partial(spawn, *arguments))
        return pid

    util.spawnv_passfds = spawn_and_watch  # type: ignore[assignment]


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def plain_sockets(mode: AsyncMode) -> Any:
    """Return the class whose methods bind and listen, whatever the sockets of a mode are made of.

    :param mode: the async mode that this process serves in.
    """
    if mode is AsyncMode.EVENTLET:
        from eventlet import patcher

        # eventlet's sockets keep one of these each, and take its methods.
        return patcher.original("socket").socket
    return socket.socket


def patched_for() -> AsyncMode:
    """Return the mode that the sockets of this process are made for."""
    owner = socket.socket.__module__.partition(".")[0]
    return (
        AsyncMode(owner) if owner in {AsyncMode.EVENTLET, AsyncMode.GEVENT} else AsyncMode.THREADING
    )


def is_served() -> bool:
    """Tell whether gunicorn runs in this process, rather than a command that uses the app."""
    return "gunicorn.app.base" in sys.modules


def check_patch(mode: AsyncMode) -> None:
    """Make sure that this process was patched for a mode before the app was imported.

    :raises ConfigurationError: naming what was found and how to start the service.
    """
    found = patched_for()
    if found is not mode:
        raise ConfigurationError(
            f"ASYNC_MODE is {mode}, but the sockets of this process are made for {found}: start the "
            "service with `make run` or `gunicorn`, whose gunicorn.conf.py chooses the worker that "
            "patches in time, leave out --preload, and remove any monkey patch of your own."
        )


def check_releases() -> None:
    """Refuse libraries in releases whose faults cost messages or sessions.

    :raises ConfigurationError: naming the release, its fault and the requirement that cures it.
    """
    for fault in KNOWN_FAULTS:
        try:
            installed = version(fault.library)
        except PackageNotFoundError:
            continue
        if fault.releases.contains(installed, prereleases=True):
            raise ConfigurationError(
                f"{fault.library} {installed} is installed, and {fault.consequence}: "
                f"pip install '{fault.cure}'."
            )
