"""Signals of an adopted app: gunicorn's stay in the worker, and are the app's in what it forks."""

from __future__ import annotations

import pytest

from baking import run_beside_layer

FORK = """
import os, signal, sys

from production import bootstrap
bootstrap.patch(bootstrap.AsyncMode(sys.argv[1]))

from production.adopt.signals import keep_gunicorns_handlers
from production.process.forks import set_apart

leave = lambda *_: None
signal.signal(signal.SIGTERM, leave)
set_apart(bootstrap.AsyncMode(sys.argv[1]), [], lambda: None)
keep_gunicorns_handlers()
signal.signal(signal.SIGTERM, print)
assert signal.getsignal(signal.SIGTERM) is leave

child = os.fork()
if child == 0:
    began_with = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, print)
    good = began_with == signal.SIG_DFL and signal.getsignal(signal.SIGTERM) is print
    os._exit(0 if good else 1)
_, status = os.waitpid(child, 0)
assert signal.getsignal(signal.SIGTERM) is leave
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_what_the_app_forks_has_its_own(mode: str) -> None:
    result = run_beside_layer(FORK, mode)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "0", result.stderr
