"""A report for programs."""

from __future__ import annotations

import json
from typing import Any

from production.doctor.probe.verdicts import Report, Result, Verdict

VERSION = 1
"""Of the document: another one if a field changes its meaning or goes; new fields do not count."""


def as_json(report: Report) -> str:
    """Write a report as JSON. Neither the token nor a session id is in it.

    :param report: the report.
    """
    document = {
        "version": VERSION,
        "url": report.url,
        "verdict": Verdict.FAILED if report.has_failed else Verdict.PASSED,
        "counts": {verdict: report.count(verdict) for verdict in Verdict},
        "steps": [_step(result) for result in report.results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _step(result: Result) -> dict[str, Any]:
    return {
        "step": result.name,
        "title": result.title,
        "verdict": result.outcome.verdict,
        "seen": result.outcome.seen,
        "cause": result.outcome.cause,
        "fix": result.outcome.fix,
        "figures": dict(result.outcome.figures),
        "seconds": round(result.seconds, 3),
    }
