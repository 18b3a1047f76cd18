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

    def leave_out(self, step: Step) -> None:
        """The step is not tried, since one that it needs did not pass."""


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
        missing = next((need for need in step.needs if need in failed), None)
        if missing is not None:
            failed.add(step.name)
            results.append(Result(step.name, step.title, _not_tried(missing), 0.0))
            watcher.leave_out(step)
            continue
        watcher.begin(step)
        started_at = time.monotonic()
        outcome = _try(step, context)
        result = Result(step.name, step.title, outcome, time.monotonic() - started_at)
        if outcome.verdict is Verdict.FAILED:
            failed.add(step.name)
        results.append(result)
        watcher.end(result)
    return Report(context.target.url, tuple(results))


def _try(step: Step, context: Context) -> Outcome:
    try:
        return step.run(context)
    except CannotTell as reason:
        return unknown(reason.reason)
    except TROUBLES as trouble:
        return explain(trouble)


def _not_tried(missing: str) -> Outcome:
    return unknown(f"Not tried: the step {missing} did not pass.")
