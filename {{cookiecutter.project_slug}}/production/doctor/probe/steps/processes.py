"""Whether what one process emits reaches the clients of another."""

from __future__ import annotations

from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.verdicts import Outcome


def delivery(context: Context) -> Outcome:
    """Emit in one process and wait for it in a client of another."""
    context.open_session().leave()
    raise CannotTell(
        "Only a service with this template's layer says which process a client is with."
    )
