"""Running the steps."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.plan import STEPS, Step
from production.doctor.probe.troubles import TROUBLES, explain
from production.doctor.probe.verdicts import Outcome, Report, Result, Verdict, unknown


class Watcher(Protocol):
    """Who is told how far the probe is."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def progress(self, text: str) -> None:
        """The step is that far."""

    def end(self, result: Result) -> None:
        """The step has ended."""


def run(context: Context, watcher: Watcher, skipped: Collection[str] = ()) -> Report:
    """Try every step, whatever becomes of the others.

    :param context: what to probe.
    :param watcher: who is told how far it is.
    :param skipped: the names of steps to leave out.
    """
    context.tell = watcher.progress
    results: list[Result] = []
    failed: set[str] = set()
    for step in STEPS:
        if step.name in skipped:
            continue
        watcher.begin(step)
        started_at = time.monotonic()
        outcome = _try(step, context, failed)
        result = Result(step.name, step.title, outcome, time.monotonic() - started_at)
        if outcome.verdict is Verdict.FAILED or _is_blocked(step, failed):
            failed.add(step.name)
        results.append(result)
        watcher.end(result)
    return Report(context.target.url, tuple(results))


def _is_blocked(step: Step, failed: set[str]) -> bool:
    return any(need in failed for need in step.needs)


def _try(step: Step, context: Context, failed: set[str]) -> Outcome:
    if _is_blocked(step, failed):
        missing = next(need for need in step.needs if need in failed)
        return unknown(f"Not tried: the step {missing} did not pass.")
    try:
        return step.run(context)
    except CannotTell as reason:
        return unknown(reason.reason)
    except TROUBLES as trouble:
        return explain(trouble)
