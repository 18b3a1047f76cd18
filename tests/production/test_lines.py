"""Who comes first goes first, in each async mode."""

from __future__ import annotations

import pytest

from baking import ASYNC_MODES, run_beside_layer
from production.realtime.lines import Line
from waiting import PATIENCE

ARRIVALS = """
import sys, threading, time

from production import bootstrap
bootstrap.patch(bootstrap.AsyncMode(sys.argv[1]))
from production.realtime.lines import Line

line, went, came = Line(), [], []

def go(number):
    came.append(number)
    with line.turn(60):
        # Whoever comes meanwhile waits; who comes right afterwards must not overtake.
        time.sleep(0.001)
        went.append(number)

threads = []
for number in range(40):
    threads.append(threading.Thread(target=go, args=(number,)))
    threads[-1].start()
    while len(came) <= number:
        time.sleep(0)
for thread in threads:
    thread.join()
print(came == went == list(range(40)))
"""


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_nobody_overtakes(mode: str) -> None:
    done = run_beside_layer(ARRIVALS, mode)
    assert done.stdout == "True\n", done.stderr


def test_who_waits_for_too_long_leaves_and_the_others_go_on() -> None:
    line = Line()
    with line.turn(PATIENCE), pytest.raises(TimeoutError), line.turn(0.01):
        pytest.fail("two have the turn")
    with line.turn(PATIENCE):
        pass
