"""Whose turn it is, among the processes of an adopted app, to do the work that its start began.

The processes compete as for :mod:`production.once`. What runs is the app's own and cannot be stopped,
so a turn lasts as long as its process: one that leaves does the work until it has ended, and one that
was cut off, and finds that another has taken over, leaves.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import structlog
from flask import Flask

from production.adopt.gate import Gate
from production.adopt.leaving import at_the_end
from production.once import Contest, Turn

log = structlog.get_logger(__name__)

TITLE = "the work of the app's start"

LEASE = 10.0
"""Seconds after which another process takes over from one that died."""

FAREWELL = 1.0
"""Seconds that a process which ends waits until it has given up its turn."""


class LastingTurn(Turn):
    """A turn that goes on while the process leaves."""

    def ends_with(self, server: Any) -> bool:
        """Let no turn be over because the process leaves: the work goes on until it has left."""
        return False


class StartContest(Contest):
    """Opens the gate when it is this process's turn.

    :param app: the app, with a message queue.
    :param gate: what holds the work back.
    """

    turn_class = LastingTurn

    def __init__(self, app: Flask, gate: Gate) -> None:
        super().__init__(app, self._open_the_gate, TITLE, LEASE)
        self._gate = gate
        self._turn: Turn | None = None
        self._idle = threading.Event()
        self._idle.set()
        at_the_end(self._give_up)

    def compete(self) -> None:
        """Compete for the turn, and keep it as long as the process runs.

        :raises NotHeld: if the turn was lost.
        """
        self._idle.clear()
        try:
            super().compete()
        finally:
            self._idle.set()

    def give_way(self) -> None:
        """Leave if another process has taken over: what runs here cannot be stopped."""
        if self._gate.is_open:
            log.warning(
                "another process does the work of the app's start now: this one leaves, and is "
                "replaced"
            )
            os.kill(os.getpid(), signal.SIGTERM)

    def _open_the_gate(self, turn: Turn) -> None:
        self._turn = turn
        self._gate.open()
        while True:
            turn.sleep(LEASE)

    def _give_up(self) -> None:
        """Let another process take over at once, and not only when the lock has run out."""
        if self._turn is not None:
            self._turn.end()
            self._idle.wait(FAREWELL)
