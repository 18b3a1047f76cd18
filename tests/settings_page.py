"""Write docs/configuration.md from the settings: ``python tests/settings_page.py``. A test compares the two.

Types and bounds come from ``production/settings.py``, the words and defaults from ``.env.example``, which
another test compares with the settings.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import jinja2

TEMPLATE = Path(__file__).resolve().parent.parent
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
PAGE = TEMPLATE / "docs/configuration.md"

if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    sys.dont_write_bytecode = True

from pydantic import SecretStr  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

from production.settings import Settings  # noqa: E402

INTRODUCTION = """\
# Configuration

A setting is an environment variable, a line in `.env` (`production.env` beside an adopted app), or, in lower
case, a line in `production.toml`; the first of these that has it wins, and the default stands behind them. A value
that is unsafe or cannot work is refused when the service starts, with a sentence that says what to do instead.
`.env.example` in each project lists the same settings, ready to be copied.
"""

HEADING = re.compile(r"^# --- (.+?) -+$")
ASSIGNMENT = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$")

THE_APPS = "Your own"

TYPES = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}


@dataclass(frozen=True)
class Entry:
    """A setting as ``.env.example`` explains it.

    :param section: the heading it stands under.
    :param name: the environment variable.
    :param default: its default, as it is written there.
    :param text: what is said of it.
    """

    section: str
    name: str
    default: str
    text: str


def entries() -> list[Entry]:
    """Return the layer's settings in both kinds of projects, in the order of their file."""
    of_a_service = [entry for entry in read("") if entry.section != THE_APPS]
    named = {entry.name for entry in of_a_service}
    return of_a_service + [entry for entry in read("app:app") if entry.name not in named]


def read(existing_app: str) -> Iterator[Entry]:
    """Yield what ``.env.example`` of one kind of project says of each setting."""
    source = (PROJECT / ".env.example").read_text(encoding="utf-8")
    answers = {"existing_app": existing_app, "project_slug": "my-service", "async_mode": "eventlet"}
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    section = "The service"
    said: list[str] = []
    for line in environment.from_string(source).render(cookiecutter=answers).splitlines():
        if heading := HEADING.match(line):
            section, said = heading[1], []
        elif assignment := ASSIGNMENT.match(line):
            yield Entry(section, assignment[1], assignment[2], " ".join(said))
            said = []
        elif line:
            said.append(line.removeprefix("#").strip())
        else:
            said = []


def type_of(field: FieldInfo) -> str:
    """Say in words what a setting may hold."""
    kind: Any = field.annotation
    if isinstance(kind, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is list:
        [item] = get_args(kind)
        return f"list, with commas, of {one_of(item) if issubclass(item, Enum) else 'texts'}"
    if issubclass(kind, Enum):
        return one_of(kind)
    if kind is SecretStr:
        return "secret text"
    return TYPES[kind] + bounds(field)


def one_of(kind: type[Enum]) -> str:
    """Name the values of a choice."""
    return ", ".join(f"`{member.value}`" for member in kind)


def bounds(field: FieldInfo) -> str:
    """Say what a number may be."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    said = [
        f"{word} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, word in words.items()
        if getattr(rule, name, None) is not None
    ]
    return "".join(f", {one}" for one in said)


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    section = None
    for entry in entries():
        if entry.section != section:
            section = entry.section
            parts.append(f"## {section}\n")
        kind = type_of(Settings.model_fields[entry.name.lower()])
        default = f"default: `{entry.default}`" if entry.default else "no default"
        parts.append(f"### `{entry.name}`\n\n{entry.text}\n\n*{kind}; {default}*\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
