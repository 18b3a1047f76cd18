"""Whether what one process emits reaches the clients of another."""

from __future__ import annotations

import contextlib
from typing import Any

from production.browser.diagnostics_events import NAMESPACE
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed
from production.doctor.probe.wire.client import Client, NotWelcome

SESSIONS_PER_WORKER = 4
"""Sessions that are opened at most for each worker, to find one that another process serves."""

NO_QUEUE = Advice(
    "The processes have no message queue, so each emits to its own clients only.",
    "Set REDIS_URL, for all of them alike.",
)
QUEUE_FAILS = Advice(
    "The processes do not hear each other through the message queue.",
    "See `message queue lost` in the log and the check message_queue in /health; all processes need the "
    "same REDIS_URL and SERVICE_NAME.",
)
UNKNOWN_PROCESS = (
    "Only a service with this template's layer, and DIAGNOSTICS_PAGE on, says which process a client is "
    "with."
)


def delivery(context: Context) -> Outcome:
    """Let clients of two processes send each other a message."""
    with contextlib.ExitStack() as stack:
        first, facts = _greeted(context, stack)
        for _ in range(SESSIONS_PER_WORKER * facts["workers"]):
            second, other_facts = _greeted(context, stack)
            if other_facts.get("process") != facts.get("process"):
                return _exchange(first, second, facts, other_facts)
    raise CannotTell(f"One process serves all sessions here ({facts['workers']} configured).")


def _greeted(context: Context, stack: contextlib.ExitStack) -> tuple[Client, dict[str, Any]]:
    """Open a session that stays open, and ask which process it is with."""
    try:
        client = stack.enter_context(context.join(NAMESPACE))
        facts = client.call("greet")
    except (NotWelcome, TimeoutError):
        raise CannotTell(UNKNOWN_PROCESS) from None
    if not (isinstance(facts, dict) and isinstance(facts.get("workers"), int)):
        raise CannotTell(UNKNOWN_PROCESS)
    return client, facts


def _exchange(
    first: Client, second: Client, facts: dict[str, Any], other_facts: dict[str, Any]
) -> Outcome:
    between = f"from {facts.get('process')} to {other_facts.get('process')}"
    for sender, receiver in ((first, second), (second, first)):
        sender.call("deliver", {"to": receiver.sid})
        try:
            receiver.wait_for("delivered")
        except TimeoutError:
            advice = QUEUE_FAILS if facts.get("message_queue") else NO_QUEUE
            return failed(f"No message came {between} and back.", advice)
    return passed(f"Messages came {between} and back.", workers=facts["workers"])
