"""A report as text, JSON or SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from production.doctor.model import Check, Finding, Severity
from production.doctor.registry import AREAS, all_checks
from production.doctor.report import Report, verdict_of

Writer = Callable[[Report, Sequence[Finding]], str]

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

SARIF_LEVELS = {
    Severity.BREAKS: "error",
    Severity.UNSAFE: "error",
    Severity.MISLEADING: "warning",
    Severity.STYLE: "note",
}


def as_text(report: Report, findings: Sequence[Finding]) -> str:
    """Write a report for people.

    :param report: the report.
    :param findings: those of its findings that are shown.
    """
    lines: list[str] = []
    for one in findings:
        lines += [
            f"{one.path}:{one.line}: {one.code} {one.check.severity}: {one.check.title}",
            f"    | {one.quote}",
            f"    why: {one.message}",
            f"    fix: {one.check.fix}",
            f"    see: {_address(one.check)}",
            "",
        ]
    for note in report.notes:
        lines.append(f"{note.path}: {note.text}")
    if report.notes:
        lines.append("")
    lines.append(_summary(findings))
    verdict = verdict_of(report)
    if verdict.keeps_state:
        codes = ", ".join(sorted({one.code for one in verdict.evidence}))
        lines.append(f"State in the process: yes ({codes}), so it is served by one worker.")
    elif verdict.unread:
        lines.append("State in the process: none found, but not every file could be read.")
    else:
        lines.append("State in the process: none found.")
    return "\n".join(lines) + "\n"


def _address(check: Check) -> str:
    """Return where the evidence is; the template's own documents are not in every project."""
    first = next((one for one in check.evidence if one.startswith("https://")), None)
    return first or f"{check.evidence[0]} in the template's repository"


def _summary(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing found."
    counts = [
        f"{count} {severity}"
        for severity in Severity
        if (count := sum(one.check.severity is severity for one in findings))
    ]
    total = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    return f"{total}: {', '.join(counts)}."


def as_json(report: Report, findings: Sequence[Finding]) -> str:
    """Write a report for programs.

    :param report: the report.
    :param findings: those of its findings that are shown.
    """
    verdict = verdict_of(report)
    document = {
        "version": 1,
        "folder": str(report.root),
        "findings": [
            {
                "code": one.code,
                "severity": one.check.severity,
                "title": one.check.title,
                "path": one.path,
                "line": one.line,
                "quote": one.quote,
                "subject": one.subject,
                "why": one.message,
                "fix": one.check.fix,
                "evidence": list(one.check.evidence),
            }
            for one in findings
        ],
        "notes": [
            {"path": note.path, "text": note.text, "unread": note.unread} for note in report.notes
        ],
        "state_in_process": {
            "found": verdict.keeps_state,
            "evidence": [f"{one.path}:{one.line}" for one in verdict.evidence],
            "unread": [note.path for note in verdict.unread],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_sarif(report: Report, findings: Sequence[Finding]) -> str:
    """Write a report in SARIF 2.1.0, for code scanning.

    :param report: the report.
    :param findings: those of its findings that are shown.
    """
    rules = sorted({one.code: one.check for one in findings}.values(), key=lambda one: one.code)
    places = {rule.code: index for index, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "production.doctor",
                "informationUri": "https://flask-socketio.readthedocs.io/",
                "rules": [_rule(check) for check in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, places[one.code]) for one in findings],
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "message": {"text": f"{note.path}: {note.text}"},
                        "locations": [_location(note.path)],
                    }
                    for note in report.notes
                ],
            }
        ],
    }
    document = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rule(check: Check) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": check.code,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "help": {"text": f"{check.fix} See {', '.join(check.evidence)}."},
        "defaultConfiguration": {"level": SARIF_LEVELS[check.severity]},
        "properties": {"severity": check.severity, "area": AREAS[check.code[3]]},
    }
    address = next((one for one in check.evidence if one.startswith("https://")), None)
    if address:
        rule["helpUri"] = address
    return rule


def _result(one: Finding, rule: int) -> dict[str, Any]:
    location = _location(one.path)
    location["physicalLocation"]["region"] = {
        "startLine": one.line,
        "snippet": {"text": one.quote},
    }
    return {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": SARIF_LEVELS[one.check.severity],
        "message": {"text": f"{one.message} {one.check.fix}"},
        "locations": [location],
        "partialFingerprints": {"place/v1": f"{one.code}:{one.path}:{one.subject}:{one.quote}"},
    }


def _location(path: str) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": quote(path)}}}


def table() -> str:
    """Return every check in a line of its own, area by area."""
    lines: list[str] = []
    for digit, area in AREAS.items():
        lines += ["", f"{area[0].upper()}{area[1:]}"]
        lines += [
            f"  {check.code}  {check.severity:<10}  {check.title}"
            for check in all_checks()
            if check.code[3] == digit
        ]
    return "\n".join(lines[1:]) + "\n"


WRITERS: dict[str, Writer] = {"text": as_text, "json": as_json, "sarif": as_sarif}
