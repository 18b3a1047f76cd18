"""Ports of the loopback address, each of which has one owner."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

BLOCKS = range(10_000, 32_000, 200)
"""Blocks of ports below those that the kernel picks from (``ip_local_port_range`` in ip(7))."""

# The first port of each block that is this process's; it stays bound for as long as the process runs.
_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port on which nothing listens, and which no other caller is given.

    A test process claims whole blocks of ports, of which it hands out each port once. Another one,
    of the same run or of a run beside it, finds the block taken.

    :raises RuntimeError: if all blocks are taken.
    """
    return next(_ports)


def _hand_out() -> Iterator[int]:
    for block in BLOCKS:
        with contextlib.suppress(OSError):
            _claims.append(_bound(block))
            for port in range(block + 1, block + BLOCKS.step):
                if _is_free(port):
                    yield port
    raise RuntimeError("every block of ports is taken by another test process")


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), _bound(port):
        return True
    return False


_ports = _hand_out()
