"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from production.doctor.project import Project
    from production.doctor.sources import Source


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    BREAKS = "breaks"
    """Fails for users: now, behind a proxy, with a second process or with current releases."""

    UNSAFE = "unsafe"
    """Lets somebody in, or lets something out."""

    MISLEADING = "misleading"
    """Does nothing, or hides what happens."""

    STYLE = "style"
    """Works, and is better written in another way."""

    @property
    def rank(self) -> int:
        """The place in the order, 0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Place:
    """Where a check found its fault.

    :param source: the file.
    :param line: from 1.
    :param subject: the name of what is wrong there: an option, a function, a package. A fixer finds
        it again by line and subject.
    :param detail: what is particular to this place, as a clause without a full stop; may be empty.
    :param secret: whether the line must not be quoted as it stands.
    """

    source: Source
    line: int
    subject: str = ""
    detail: str = ""
    secret: bool = False


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong.

    :param code: stable, ``FSP`` and three digits, of which the first is the area.
    :param severity: how bad it is.
    :param title: what is wrong, in a few words.
    :param why: one sentence.
    :param fix: one sentence.
    :param evidence: addresses of what shows it: upstream issues and documentation, or a section of
        this template's own documents.
    :param find: finds the places in a project.
    """

    code: str
    severity: Severity
    title: str
    why: str
    fix: str
    evidence: tuple[str, ...]
    find: Callable[[Project], Iterator[Place]]


@dataclass(frozen=True)
class Finding:
    """A check's fault at a place.

    :param check: what is wrong.
    :param path: the file, relative to the folder, with forward slashes.
    :param line: from 1.
    :param quote: the line as it stands, without indentation; what is secret is masked.
    :param subject: as in :class:`Place`.
    :param detail: as in :class:`Place`.
    """

    check: Check
    path: str
    line: int
    quote: str
    subject: str
    detail: str

    @property
    def code(self) -> str:
        """The check's code."""
        return self.check.code

    @property
    def message(self) -> str:
        """Why the line is wrong, with what is particular to it."""
        return f"{self.detail}: {self.check.why}" if self.detail else self.check.why


@dataclass(frozen=True)
class Note:
    """What could not be read, or only in part.

    :param path: relative to the folder.
    :param text: what happened, without a full stop.
    :param unread: whether something may have escaped the checks.
    """

    path: str
    text: str
    unread: bool = True
