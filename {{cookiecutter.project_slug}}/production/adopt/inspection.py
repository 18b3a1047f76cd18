"""What the files of an adopted app say about a second process; nothing of it is imported or run.

``python -m production.adopt.inspection`` prints it for the master, see workers.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from production.doctor.checks.state import IN_PROCESS
from production.doctor.model import Finding
from production.doctor.registry import all_checks
from production.doctor.report import check_folder, verdict_of

PROJECT_ROOT = Path(__file__).resolve().parents[2]

DRAWN_SECRET = "FSP304"  # noqa: S105  a code


def inspect(root: Path) -> dict[str, list[str]]:
    """Return the places that matter, each in words with file and line.

    :param root: the app's folder.
    :return: ``state`` that a process keeps, ``secrets`` that it draws, and files that are ``unread``.
    """
    wanted = IN_PROCESS | {DRAWN_SECRET}
    report = check_folder(
        root, ignored=[one.code for one in all_checks() if one.code not in wanted]
    )
    verdict = verdict_of(report)
    return {
        "state": [_words(finding) for finding in verdict.evidence],
        "secrets": [_place(finding) for finding in report.findings if finding.code == DRAWN_SECRET],
        "unread": [f"{note.path} ({note.text})" for note in verdict.unread],
    }


def _words(finding: Finding) -> str:
    return f"{finding.subject} at {_place(finding)}"


def _place(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}"


if __name__ == "__main__":
    print(json.dumps(inspect(PROJECT_ROOT)))
