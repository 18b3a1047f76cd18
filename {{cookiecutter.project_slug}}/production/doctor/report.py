"""Running the checks over a folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from production.doctor.checks.state import IN_PROCESS
from production.doctor.model import Check, Finding, Note, Place, Severity
from production.doctor.project import Project
from production.doctor.registry import all_checks

ANY_PROJECT = ("0", "9")
"""The areas that are checked in every project; the others only where Flask-SocketIO is used."""

NAMES = frozenset({"SECRET_KEY", "FLASK_SECRET_KEY"})

SECRET = "<secret>"  # noqa: S105  what a secret is replaced by


@dataclass(frozen=True)
class Report:
    """What is wrong with a project.

    :param root: the folder.
    :param findings: by file, line and code.
    :param notes: what could not be read.
    """

    root: Path
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings that are as bad as a severity, or worse."""
        return tuple(one for one in self.findings if one.check.severity.rank <= severity.rank)


@dataclass(frozen=True)
class StateVerdict:
    """Whether a second process would have a state of its own.

    :param evidence: the findings that say so; empty if nothing was found.
    :param unread: Python files that could not be read, in which there may be more.
    """

    evidence: tuple[Finding, ...]
    unread: tuple[Note, ...]

    @property
    def keeps_state(self) -> bool:
        """Whether something was found that breaks with a second process."""
        return bool(self.evidence)

    @property
    def allows_several_workers(self) -> bool:
        """Whether nothing was found, and everything was read."""
        return not self.evidence and not self.unread


def check_folder(root: Path, ignored: Collection[str] = ()) -> Report:
    """Check a folder. Nothing of it is imported or run.

    :param root: the folder.
    :param ignored: codes that are left out.
    :raises NotADirectoryError: if it is none.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    return check_project(Project(root), ignored)


def check_project(project: Project, ignored: Collection[str] = ()) -> Report:
    """Check a project that has been read.

    :param project: the project.
    :param ignored: codes that are left out.
    """
    found: dict[tuple[str, int, str, str], Finding] = {}
    notes = list(project.notes)
    for check in all_checks():
        if check.code in ignored or not _concerns(check, project):
            continue
        try:
            places = list(check.find(project))
        except RecursionError:
            notes.append(
                Note(".", f"{check.code} was not checked: an expression is nested too deep")
            )
            continue
        for place in places:
            if check.code not in place.source.ignored(place.line):
                key = (place.source.path, place.line, check.code, place.subject)
                found.setdefault(
                    key,
                    Finding(
                        check,
                        place.source.path,
                        place.line,
                        _quote(place),
                        place.subject,
                        place.detail,
                    ),
                )
    findings = tuple(found[key] for key in sorted(found))
    return Report(project.root, findings, tuple(sorted(notes, key=lambda one: one.path)))


def _concerns(check: Check, project: Project) -> bool:
    """Tell whether a check says anything about an app that may not use Flask-SocketIO."""
    return project.uses_flask_socketio or check.code[3] in ANY_PROJECT


def state_verdict(root: Path) -> StateVerdict:
    """Say whether the app in a folder keeps state in its process, with the evidence.

    :param root: the folder.
    :raises NotADirectoryError: if it is none.
    """
    return verdict_of(check_folder(root))


def verdict_of(report: Report) -> StateVerdict:
    """Say the same from a report that is there already.

    A comment that ignores a finding is the owner's word that it does not matter.

    :param report: of the app's folder, with no code left out.
    """
    return StateVerdict(
        tuple(one for one in report.findings if one.code in IN_PROCESS),
        tuple(one for one in report.notes if one.unread and _may_hide_python(one)),
    )


def _may_hide_python(note: Note) -> bool:
    name = note.path.rpartition("/")[2]
    return name.endswith((".py", ".pyw")) or "." not in name or name == "."


def _quote(place: Place) -> str:
    quote = place.source.quote(place.line)
    return _masked(quote) if place.secret else quote


def _masked(quote: str) -> str:
    """Replace whatever stands between quotation marks, but for the setting's name."""
    output, position = [], 0
    while position < len(quote):
        character = quote[position]
        if character not in "'\"":
            output.append(character)
            position += 1
            continue
        end = quote.find(character, position + 1)
        end = len(quote) if end < 0 else end
        inside = quote[position + 1 : end]
        output.append(character + (inside if inside in NAMES else SECRET) + character)
        position = end + 1
    return "".join(output)
