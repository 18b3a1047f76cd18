"""What a project requires: requirements files, pyproject.toml, Pipfile."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from production.doctor.project import Project
from production.doctor.sources import Kind, Source

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version
except ImportError:  # where only cookiecutter is installed, pip brings a copy
    from pip._vendor.packaging.requirements import (  # type: ignore[assignment]
        InvalidRequirement,
        Requirement,
    )
    from pip._vendor.packaging.specifiers import (  # type: ignore[assignment]
        InvalidSpecifier,
        SpecifierSet,
    )
    from pip._vendor.packaging.utils import canonicalize_name  # type: ignore[assignment]
    from pip._vendor.packaging.version import InvalidVersion, Version  # type: ignore[assignment]


@dataclass(frozen=True)
class Required:
    """A requirement of a project.

    :param source: the file.
    :param line: from 1.
    :param name: the distribution, in its canonical spelling.
    :param releases: which of its releases are accepted.
    :param extras: in their canonical spelling.
    """

    source: Source
    line: int
    name: str
    releases: SpecifierSet
    extras: frozenset[str]

    def accepts_any(self, releases: Iterable[str]) -> bool:
        """Tell whether one of some releases, or one that the requirement itself names, is accepted.

        :param releases: which of them count; those that the requirement names must be at or after
            the first of these.
        """
        listed = list(releases)
        floor = Version(listed[0])
        named = [text for one in self.releases if (text := _at_least(one.version, floor))]
        return any(self.releases.contains(one, prereleases=True) for one in (*listed, *named))


def _at_least(text: str, floor: Version) -> str:
    try:
        version = Version(text.removesuffix(".*"))
    except InvalidVersion:
        return ""
    return str(version) if version >= floor else ""


@lru_cache(maxsize=2)
def requirements(project: Project) -> list[Required]:
    """Return everything that a project requires, file by file."""
    found: list[Required] = []
    for source in project.sources:
        if source.kind is Kind.REQUIREMENTS:
            found.extend(_from_lines(source))
        elif source.kind is Kind.PYPROJECT:
            found.extend(_from_pyproject(source))
        elif source.kind is Kind.PIPFILE:
            found.extend(_from_pipfile(source))
    return found


def required(project: Project, name: str) -> list[Required]:
    """Return the requirements of one distribution."""
    return [one for one in requirements(project) if one.name == name]


def _from_lines(source: Source) -> Iterator[Required]:
    for number, line in source.logical_lines():
        text = re.split(r"(?:^|\s)#|\s--", line, maxsplit=1)[0].strip().rstrip(";")
        if text and not text.startswith("-"):
            found = _parse(source, number, text)
            if found:
                yield found


def _parse(source: Source, line: int, text: str) -> Required | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return Required(
        source,
        line,
        canonicalize_name(requirement.name),
        requirement.specifier,
        frozenset(canonicalize_name(extra) for extra in requirement.extras),
    )


def _from_pyproject(source: Source) -> Iterator[Required]:
    document = _toml(source)
    project = _table(document, "project")
    groups: list[Any] = [project.get("dependencies", [])]
    groups += _table(project, "optional-dependencies").values()
    groups += _table(document, "dependency-groups").values()
    for group in groups:
        for text in group if isinstance(group, list) else ():
            if isinstance(text, str):
                found = _parse(source, _line_of(source, text), text)
                if found:
                    yield found
    poetry = _table(_table(document, "tool"), "poetry")
    yield from _from_tables(source, _table(poetry, "dependencies"))
    for group in _table(poetry, "group").values():
        yield from _from_tables(source, _table(group, "dependencies"))


def _from_pipfile(source: Source) -> Iterator[Required]:
    document = _toml(source)
    yield from _from_tables(source, _table(document, "packages"))
    yield from _from_tables(source, _table(document, "dev-packages"))


def _from_tables(source: Source, table: dict[str, Any]) -> Iterator[Required]:
    """Read the form ``name = "^1.2"``, of Poetry and of Pipenv."""
    for name, value in table.items():
        version = value.get("version", "") if isinstance(value, dict) else value
        extras = value.get("extras", []) if isinstance(value, dict) else []
        if not isinstance(version, str) or name.lower() == "python":
            continue
        try:
            releases = SpecifierSet(_specifier(version.strip()))
        except InvalidSpecifier:
            releases = SpecifierSet()
        line = _line_matching(source, rf"\s*[\"']?{re.escape(name)}[\"']?\s*=")
        yield Required(
            source,
            line,
            canonicalize_name(name),
            releases,
            frozenset(canonicalize_name(str(extra)) for extra in extras),
        )


def _specifier(text: str) -> str:
    """Translate a caret, a tilde or a bare version of Poetry into a specifier."""
    if text in {"", "*"}:
        return ""
    match = re.fullmatch(r"([\^~]?)(\d+(?:\.\d+)*)", text)
    if not match:
        return text
    sign, version = match.groups()
    parts = [int(part) for part in version.split(".")]
    if not sign:
        return f"=={version}"
    kept = 1 if sign == "^" or len(parts) == 1 else 2
    if sign == "^" and parts[0] == 0 and len(parts) > 1:
        kept = 2
    upper = [*parts[: kept - 1], parts[kept - 1] + 1]
    return f">={version},<{'.'.join(map(str, upper))}"


def _toml(source: Source) -> dict[str, Any]:
    try:
        return tomllib.loads(source.text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _table(table: Any, name: str) -> dict[str, Any]:
    value = table.get(name) if isinstance(table, dict) else None
    return value if isinstance(value, dict) else {}


def _line_of(source: Source, text: str) -> int:
    return next((n for n, line in enumerate(source.lines, 1) if text in line), 1)


def _line_matching(source: Source, pattern: str) -> int:
    expression = re.compile(pattern, re.IGNORECASE)
    return next((n for n, line in enumerate(source.lines, 1) if expression.match(line)), 1)
