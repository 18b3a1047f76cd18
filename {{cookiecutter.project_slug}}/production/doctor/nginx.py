"""nginx's configuration as a tree of blocks and directives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from production.doctor.sources import Source

_PART = re.compile(
    r"#[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{};]|[^\s{};](?:(?<=\$)\{|[^\s{;])*|\n"
)


@dataclass
class Directive:
    """A directive, and the directives of its block if it has one.

    :param line: from 1.
    :param words: its name and arguments, without quotes.
    :param block: what stands in its braces.
    :param parent: the block that it stands in.
    """

    line: int
    words: list[str]
    block: list[Directive] = field(default_factory=list)
    parent: Directive | None = None

    @property
    def name(self) -> str:
        """The first word."""
        return self.words[0] if self.words else ""

    def inside(self) -> Iterator[Directive]:
        """Yield every directive below this one."""
        waiting = list(reversed(self.block))
        while waiting:
            one = waiting.pop()
            yield one
            waiting.extend(reversed(one.block))

    def effective(self, name: str) -> list[Directive]:
        """Return the directives of a name that apply here: those of the innermost block that has any."""
        place: Directive | None = self
        while place is not None:
            found = [one for one in place.block if one.name == name]
            if found:
                return found
            place = place.parent
        return []


def parse(source: Source) -> Directive:
    """Read a configuration; what is malformed is read as far as it goes.

    :return: a directive without a name, whose block is the file.
    """
    root = Directive(1, [])
    current, line, started = root, 1, 1
    words: list[str] = []
    for match in _PART.finditer(source.text):
        part = match[0]
        if part == "\n":
            line += 1
        elif part.startswith("#"):
            continue
        elif part == ";" or part == "{":
            if words or part == "{":
                directive = Directive(started, words, parent=current)
                current.block.append(directive)
                if part == "{":
                    current = directive
            words = []
        elif part == "}":
            words = []
            current = current.parent or root
        else:
            if not words:
                started = line
            line += part.count("\n")
            quoted = part[:1] in {"'", '"'} and len(part) > 1
            words.append(part[1:-1] if quoted else part)
    return root


def seconds(text: str) -> float | None:
    """Read a time of nginx, ``None`` if it is none."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
    parts = re.findall(r"(\d+)(ms|[smhd]|)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(int(number) * units[unit] for number, unit in parts)


def size(text: str) -> int | None:
    """Read a size of nginx in bytes, ``None`` if it is none."""
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    return int(match[1]) * 1024 ** " kmg".index(match[2] or " ") if match else None
