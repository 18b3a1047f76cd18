"""What a step finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Figure = int | float | str


class Verdict(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "could not tell"


@dataclass(frozen=True)
class Outcome:
    """What a step has to say.

    :param verdict: how it ended.
    :param seen: what was seen, as a sentence.
    :param cause: what that mostly comes from; empty if nothing is wrong.
    :param fix: what to do about it; empty if nothing is wrong.
    :param figures: what was measured, by name.
    """

    verdict: Verdict
    seen: str
    cause: str = ""
    fix: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """What is likely to be behind something that was seen.

    :param cause: what it mostly comes from.
    :param fix: what to do about it.
    """

    cause: str
    fix: str


def passed(seen: str, **figures: Figure) -> Outcome:
    """Return what a step says that found nothing wrong."""
    return Outcome(Verdict.PASSED, seen, figures=figures)


def failed(seen: str, advice: Advice, **figures: Figure) -> Outcome:
    """Return what a step says that found something wrong."""
    return Outcome(Verdict.FAILED, seen, advice.cause, advice.fix, figures)


def unknown(seen: str, advice: Advice | None = None) -> Outcome:
    """Return what a step says that could not find out."""
    advice = advice or Advice("", "")
    return Outcome(Verdict.UNKNOWN, seen, advice.cause, advice.fix)


@dataclass(frozen=True)
class Result:
    """A step that was tried.

    :param name: the step's.
    :param title: what it tries, in a few words.
    :param outcome: what it found.
    :param seconds: how long it took.
    """

    name: str
    title: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class Report:
    """A whole probe.

    :param url: what was probed.
    :param results: step by step.
    """

    url: str
    results: tuple[Result, ...]

    @property
    def has_failed(self) -> bool:
        """Whether a step failed."""
        return self.count(Verdict.FAILED) > 0

    def count(self, verdict: Verdict) -> int:
        """Return how many steps ended so."""
        return sum(one.outcome.verdict is verdict for one in self.results)
