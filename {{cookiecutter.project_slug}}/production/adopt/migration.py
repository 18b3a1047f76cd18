"""Writes what was found in an app into its MIGRATION.md, for its owner to read in two minutes.

    python -m production.adopt.migration <folder> < MIGRATION.md

It puts each finding of the doctor under one of three headings: what only the owner can mend, what the
layer makes harmless by the way it serves, and what can wait. Standard library only: it runs where
nothing else is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from production.doctor.model import Check, Finding
from production.doctor.report import Report, check_folder

BY_GUNICORN = "gunicorn serves: the call only hands the app over, and its options count no more"
BY_DEBUG = "Debug mode is switched off"
BY_MODE = "`ASYNC_MODE` decides"
BY_PINGS = "`PING_INTERVAL` and `PING_TIMEOUT` decide"
BY_LIMIT = "`MAX_MESSAGE_BYTES` decides"
BY_TRANSPORTS = "`TRANSPORTS` decides, and both are taken"
BY_LOG = "`LOG_LEVEL` decides, and no packet is logged"
BY_QUEUE = "The layer's client for the queue has time-outs"
BY_PATCH = "Each worker is patched for its mode before the app is imported"
BY_ONE_WORKER = "There is one worker; before you allow several, this is what to share"
BY_COURTESY = "The old call is still answered, with a warning in the log"
BY_REASON = "Disconnect handlers are called with a reason or without, as they are written"
BY_RELEASES = "The layer brings releases that work together"

NEUTRALISED = {
    "FSP105": BY_PINGS,
    "FSP106": BY_PINGS,
    "FSP107": BY_LIMIT,
    "FSP108": BY_LIMIT,
    "FSP109": BY_MODE,
    "FSP111": BY_QUEUE,
    "FSP112": BY_LOG,
    "FSP201": BY_GUNICORN,
    "FSP202": BY_GUNICORN,
    "FSP203": BY_GUNICORN,
    "FSP204": BY_DEBUG,
    "FSP205": BY_DEBUG,
    "FSP206": BY_GUNICORN,
    "FSP207": BY_GUNICORN,
    "FSP301": BY_ONE_WORKER,
    "FSP302": BY_ONE_WORKER,
    "FSP303": BY_ONE_WORKER,
    "FSP306": BY_ONE_WORKER,
    "FSP307": BY_ONE_WORKER,
    "FSP308": BY_ONE_WORKER,
    "FSP309": BY_ONE_WORKER,
    "FSP401": BY_REASON,
    "FSP402": BY_REASON,
    "FSP412": BY_COURTESY,
    "FSP501": BY_PATCH,
    "FSP502": BY_PATCH,
    "FSP503": BY_PATCH,
    "FSP504": BY_PATCH,
    "FSP506": BY_COURTESY,
    "FSP605": BY_MODE,
    "FSP701": BY_RELEASES,
    "FSP702": BY_RELEASES,
    "FSP703": BY_RELEASES,
    "FSP704": BY_RELEASES,
    "FSP705": BY_RELEASES,
    "FSP706": BY_RELEASES,
    "FSP708": BY_RELEASES,
    "FSP914": BY_TRANSPORTS,
}
"""What does no harm while the layer serves the app, and why. What is in neither of the two tables is
wrong however the app is served, and its owner's to mend."""

CAN_WAIT = frozenset(
    {
        "FSP101",
        "FSP407",
        "FSP408",
        "FSP413",
        "FSP415",
        "FSP707",
        "FSP810",
        "FSP902",
        "FSP903",
        "FSP906",
        "FSP907",
        "FSP908",
    }
)
"""What does nothing, or works and is better written in another way."""

MOST_URGENT = (
    "FSP310",
    "FSP601",
    "FSP602",
    "FSP603",
    "FSP604",
    "FSP606",
    "FSP709",
    "FSP901",
    "FSP913",
)
"""What loses data, then what fails from the first day; the rest is ordered by severity."""

WITHOUT_AN_EDIT = {
    "FSP102": "Without an edit: `ALLOWED_ORIGINS` wins over it.",
    "FSP304": "Without an edit: `SECRET_KEY` in the environment or in production.env wins over it.",
    "FSP305": "Without an edit: `SECRET_KEY` in the environment or in production.env wins over it.",
    "FSP910": "Until then, pages that came by HTTPS have their `http:` and `ws:` addresses upgraded by "
    "the browser, see `UPGRADE_INSECURE_REQUESTS`.",
}

MOST_PLACES = 6
"""Places of one fault that are listed; ``make doctor`` lists them all."""


def fill(text: str, report: Report) -> str:
    """Put what was found under its headings.

    :param text: MIGRATION.md, with marks.
    :param report: on the app's folder.
    """
    owners = sorted((one for one in report.findings if _is_owners(one)), key=_urgency)
    harmless = sorted(
        (one for one in report.findings if _is_neutralised(one)),
        key=lambda one: NEUTRALISED[one.code],
    )
    waiting = sorted((one for one in report.findings if one.code in CAN_WAIT), key=_urgency)
    for mark, lines in (
        ("mend", [*_to_mend(owners), *_unread(report)]),
        ("neutralised", _neutralised(harmless)),
        ("waiting", _waiting(waiting)),
    ):
        text = text.replace(f"<!-- {mark} -->\n", "".join(f"{line}\n" for line in lines))
    return text


def _is_neutralised(finding: Finding) -> bool:
    """Tell whether the layer makes a finding harmless: of servers, those that the app itself starts."""
    reason = NEUTRALISED.get(finding.code)
    in_code = finding.path.endswith((".py", ".pyw"))
    return reason is not None and (in_code or reason is not BY_GUNICORN)


def _is_owners(finding: Finding) -> bool:
    return finding.code not in CAN_WAIT and not _is_neutralised(finding)


def _urgency(finding: Finding) -> tuple[int, int, str]:
    code = finding.code
    first = MOST_URGENT.index(code) if code in MOST_URGENT else len(MOST_URGENT)
    return first, finding.check.severity.rank, code


def _by_check(findings: Iterable[Finding]) -> Iterator[tuple[Check, list[Finding]]]:
    for _, group in groupby(findings, key=lambda one: one.code):
        found = list(group)
        yield found[0].check, found


def _to_mend(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        yield "Nothing was found that needs an edit."
    for number, (check, found) in enumerate(_by_check(findings), 1):
        yield f"{number}. **{check.title}** ({check.code}): {_places(found)}."
        yield f"   {check.why} {check.fix} {WITHOUT_AN_EDIT.get(check.code, '')}".rstrip()


def _neutralised(findings: Sequence[Finding]) -> Iterator[str]:
    for reason, group in groupby(findings, key=lambda one: NEUTRALISED[one.code]):
        found = list(group)
        titles = dict.fromkeys(f"{one.check.title} ({one.code})" for one in found)
        yield f"- **{reason}**: {'; '.join(titles)}, {_places(found)}."


def _waiting(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        yield "Nothing."
    for check, found in _by_check(findings):
        yield f"- **{check.title}** ({check.code}): {_places(found)}. {check.fix}"


def _unread(report: Report) -> Iterator[str]:
    unread = [note for note in report.notes if note.unread]
    if unread:
        yield ""
        yield "What could not be read, and was not checked:"
        yield ""
        yield from (f"- {_code(note.path)}: {note.text}" for note in unread[:MOST_PLACES])
        if len(unread) > MOST_PLACES:
            yield f"- and {len(unread) - MOST_PLACES} more"


def _places(findings: Sequence[Finding]) -> str:
    places = list(dict.fromkeys(_code(f"{one.path}:{one.line}") for one in findings))
    more = len(places) - MOST_PLACES
    return ", ".join(places[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill what standard input holds, and print it.

    :param arguments: without the program's name; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m production.adopt.migration")
    parser.add_argument("folder", type=Path)
    report = check_folder(parser.parse_args(arguments).folder)
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(fill(sys.stdin.read(), report))


if __name__ == "__main__":
    main()
