"""Hosts for tests: network namespaces of this machine, each with a link to the one in the middle."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000  # linux/sched.h

NAMESPACES = Path("/run/netns")


class NotPermittedError(Exception):
    """This process may not make network namespaces."""


@dataclass(frozen=True)
class Host:
    """A network namespace.

    :param name: its name.
    :param address: its address, as the one in the middle reaches it.
    :param gateway: the address of the one in the middle, as it is reached from here.
    """

    name: str
    address: str
    gateway: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command there."""
        return ("ip", "netns", "exec", self.name)


@dataclass(frozen=True)
class Network:
    """Hosts around one in the middle, which has no link to this machine's own network.

    :param middle: the one in the middle.
    :param hosts: those around it.
    """

    middle: Host
    hosts: tuple[Host, ...]


@contextlib.contextmanager
def network(count: int) -> Iterator[Network]:
    """Make a network and remove it at the end.

    :param count: how many hosts are around the middle.
    :raises NotPermittedError: if this process may not.
    """
    middle = Host(f"middle-{os.getpid()}", "127.0.0.1", "127.0.0.1")
    hosts = tuple(
        Host(f"host-{os.getpid()}-{number}", f"10.77.{number}.2", f"10.77.{number}.1")
        for number in range(1, count + 1)
    )
    with contextlib.ExitStack() as namespaces:
        for host in (middle, *hosts):
            ip("netns", "add", host.name)
            namespaces.callback(ip, "netns", "delete", host.name)
            ip("-n", host.name, "link", "set", "lo", "up")
        for number, host in enumerate(hosts):
            near, far = f"to-host{number}", "to-middle"
            peer = ("peer", "name", far, "netns", host.name)
            ip("-n", middle.name, "link", "add", near, "type", "veth", *peer)
            for name, link, address in (
                (middle.name, near, host.gateway),
                (host.name, far, host.address),
            ):
                ip("-n", name, "address", "add", f"{address}/24", "dev", link)
                ip("-n", name, "link", "set", link, "up")
        yield Network(middle, hosts)


def ip(*arguments: str) -> None:
    """Run ``ip``.

    :raises NotPermittedError: if it fails.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPermittedError(done.stderr.strip())


@contextlib.contextmanager
def inside(host: Host) -> Iterator[None]:
    """Let this thread, and those that it starts, use the network of a host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        with (NAMESPACES / host.name).open("rb") as there:
            enter(libc, there.fileno())
        try:
            yield
        finally:
            enter(libc, home.fileno())


def enter(libc: ctypes.CDLL, descriptor: int) -> None:
    """Enter a namespace; see setns(2)."""
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run_in(host: Host, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process on a host."""
    return subprocess.Popen(
        [*host.prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
