"""What the patch of the standard library has to do beyond patching."""

from __future__ import annotations

import pytest

from baking import run_beside_layer

# A name server that takes its time, and a session that has something to do meanwhile.
RESOLVE_SLOWLY = """
import sys, time
import _socket
resolve, wait = _socket.getaddrinfo, time.sleep
def resolve_slowly(*arguments, **options):
    wait(1.0)
    return resolve(*arguments, **options)
_socket.getaddrinfo = resolve_slowly

from production import bootstrap
bootstrap.patch(bootstrap.AsyncMode(sys.argv[1]))

import socket, threading
seen = []
def work():
    while True:
        seen.append(time.monotonic())
        time.sleep(0.02)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
before = len(seen)
assert socket.getaddrinfo("localhost", 80)
assert socket.getaddrinfo(None, 80)
print(len(seen) - before)
"""


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_slow_name_server_blocks_nobody_else(mode: str) -> None:
    result = run_beside_layer(RESOLVE_SLOWLY, mode)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 10
