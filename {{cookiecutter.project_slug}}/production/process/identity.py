"""Which worker a session belongs to, and how its id says so.

A session id is ``<host>.<slot>.<age>.<secret>``. The host is the setting ``HOST_ID``. The slot is
the worker's place in its gunicorn: the lowest that is free, so a replacement takes its
predecessor's. While a reload lets old and new workers overlap, each has a slot of its own. The age
is gunicorn's number of the worker, which no other worker of that gunicorn ever gets: so an id names
one process, and not whoever has its slot now. The secret is Engine.IO's own random id; the rest is
no secret and protects nothing.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from production.host_id import LONGEST_HOST_ID
from production.process.switchboard import FEWEST_SLOTS, SPARE_SLOTS, Switchboard

# Engine.IO's own ids are 15 bytes in base64, 12 of them random.
_SESSION_ID = re.compile(
    rf"(?P<host>[a-z0-9-]{{1,{LONGEST_HOST_ID}}})"
    r"\.(?P<slot>[0-9]{1,4})\.(?P<age>[0-9]{1,12})\.[A-Za-z0-9_-]{20}"
)


class Place(NamedTuple):
    """One worker among all of the service, past ones included.

    :param host: the ``HOST_ID`` of its host.
    :param slot: its slot in its gunicorn.
    :param age: gunicorn's number of it.
    """

    host: str
    slot: int
    age: int

    @property
    def prefix(self) -> str:
        """What the ids of this worker's sessions begin with."""
        return f"{self.host}.{self.slot}.{self.age}."


def place_of(session_id: str) -> Place | None:
    """Return the worker that a session id names.

    :param session_id: what a client says is one.
    :return: nothing if it is not an id that a worker of this service could have given.
    """
    match = _SESSION_ID.fullmatch(session_id)
    if match is None:
        return None
    return Place(match["host"], int(match["slot"]), int(match["age"]))


def assign_slot(arbiter: Any, worker: Any) -> None:
    """Give a worker that is about to be forked its slot; gunicorn's hook ``pre_fork``.

    :param arbiter: gunicorn's master, which keeps the switchboard.
    :param worker: the worker, which is told its ``slot`` and the ``switchboard``.
    """
    switchboard = _switchboard(arbiter)
    worker.slot = switchboard.claim(_taken_slots(arbiter))
    worker.switchboard = switchboard


def release_slots(arbiter: Any) -> None:
    """Forget the workers that are gone; gunicorn's hook ``child_exit``.

    :param arbiter: gunicorn's master.
    """
    _switchboard(arbiter).reclaim(_taken_slots(arbiter))


def _switchboard(arbiter: Any) -> Switchboard:
    if not hasattr(arbiter, "switchboard"):
        arbiter.switchboard = Switchboard(max(FEWEST_SLOTS, 2 * arbiter.cfg.workers + SPARE_SLOTS))
    switchboard: Switchboard = arbiter.switchboard
    return switchboard


def _taken_slots(arbiter: Any) -> list[int]:
    return [worker.slot for worker in arbiter.WORKERS.values() if worker.slot is not None]
