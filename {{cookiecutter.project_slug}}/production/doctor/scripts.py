"""JavaScript, in files and pages: enough of its grammar to tell code from comments and strings."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from production.doctor.project import Project
from production.doctor.sources import Kind, Source

LONGEST_LINE = 2_000
"""Characters; a longer line was written by a machine."""

LONGEST_CALL = 20_000
"""Characters of a call's arguments that are read."""

MOST_CALLS = 2_000
"""Calls of one kind in one file that are looked at."""

PAIRS = {"(": ")", "[": "]", "{": "}"}

# What may stand before a regular expression; after anything else a slash divides.
_BEFORE_REGEX = re.compile(r"(?:^|[(,=:\[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of))\s*$")


@dataclass(frozen=True)
class Script:
    """JavaScript of one file.

    :param source: the file.
    :param code: as long as the file's text, so that offsets agree; what is no code is blank.
    """

    source: Source
    code: str

    @cached_property
    def bare(self) -> str:
        """The code with the insides of its strings blank, for matching brackets."""
        return _blank(self.code, strings=True)

    @cached_property
    def is_client(self) -> bool:
        """Whether it speaks Socket.IO or WebSocket from a browser."""
        if re.search(
            r"require\(\s*['\"]socket\.io['\"]\s*\)|from\s+['\"]socket\.io['\"]", self.code
        ):
            return False
        return bool(
            re.search(
                r"\bio\s*(?:\.\s*connect\s*)?\(|socket\.io-client|\bWebSocket\b|\bsocket\.on\(",
                self.code,
            )
        )

    def line_of(self, offset: int) -> int:
        """Return the line of an offset."""
        return self.source.line_of(offset)

    def line_at(self, offset: int) -> str:
        """Return the code of the line that an offset is in."""
        start = self.code.rfind("\n", 0, offset) + 1
        end = self.code.find("\n", offset)
        return self.code[start : end if end >= 0 else None]

    def finditer(self, pattern: str) -> Iterator[re.Match[str]]:
        """Yield where a pattern is in the code."""
        return re.finditer(pattern, self.code)

    @cached_property
    def _closing(self) -> dict[int, int]:
        """Where each bracket that is closed is closed."""
        found: dict[int, int] = {}
        waiting: list[tuple[str, int]] = []
        open_now = dict.fromkeys(")]}", 0)
        for match in re.finditer(r"[()\[\]{}]", self.bare):
            character = match[0]
            if character in PAIRS:
                waiting.append((PAIRS[character], match.start()))
                open_now[PAIRS[character]] += 1
            elif open_now[character]:
                # Brackets of another kind in between were never closed.
                while waiting:
                    expected, start = waiting.pop()
                    open_now[expected] -= 1
                    if expected == character:
                        found[start] = match.start()
                        break
        return found

    def inside(self, offset: int) -> str | None:
        """Return what stands between the bracket at an offset and its end, if it has one."""
        end = self._closing.get(offset)
        return None if end is None else self.code[offset + 1 : min(end, offset + LONGEST_CALL)]

    def calls(self, pattern: str) -> Iterator[tuple[int, str]]:
        """Yield the calls whose name, up to the bracket, matches: the offset and the arguments."""
        for match in itertools.islice(re.finditer(pattern + r"\s*\(", self.bare), MOST_CALLS):
            arguments = self.inside(match.end() - 1)
            if arguments is not None:
                yield match.start(), arguments


@lru_cache(maxsize=2)
def scripts(project: Project) -> list[Script]:
    """Return the JavaScript that people wrote: scripts, and what stands in pages."""
    found: list[Script] = []
    for source in project.of(Kind.SCRIPT, Kind.PAGE):
        if is_minified(source):
            continue
        if source.kind is Kind.SCRIPT:
            found.append(Script(source, _blank(source.text)))
            continue
        page = uncommented(source)
        kept = [" "] * len(page)
        for start, end in _inside_scripts(page):
            kept[start:end] = page[start:end]
        blank = "".join(
            "\n" if original == "\n" else character
            for original, character in zip(page, kept, strict=True)
        )
        found.append(Script(source, _blank(blank)))
    return found


def is_minified(source: Source) -> bool:
    """Tell whether a machine wrote a file."""
    return ".min." in source.path or any(len(line) > LONGEST_LINE for line in source.lines)


def uncommented(source: Source) -> str:
    """Return a page's text with its comments, those of Jinja too, blank."""
    text = source.text
    for opening, closing in (("<!--", "-->"), ("{#", "#}")):
        parts: list[str] = []
        position = 0
        while (start := text.find(opening, position)) >= 0:
            end = text.find(closing, start + len(opening))
            if end < 0:
                break
            end += len(closing)
            parts += [text[position:start], re.sub(r"[^\n]", " ", text[start:end])]
            position = end
        text = "".join([*parts, text[position:]])
    return text


def _inside_scripts(page: str) -> Iterator[tuple[int, int]]:
    """Yield where the contents of a page's script elements begin and end."""
    lowered = page.lower()
    # Lowering a few letters of other alphabets changes the length.
    text = lowered if len(lowered) == len(page) else page
    position = 0
    while (opening := text.find("<script", position)) >= 0:
        start = text.find(">", opening) + 1
        if not start:
            return
        end = text.find("</script", start)
        end = len(text) if end < 0 else end
        yield start, end
        position = end


def _blank(text: str, *, strings: bool = False) -> str:
    """Make comments blank, and on demand the insides of strings and regular expressions."""
    output = list(text)
    position = 0
    while position < len(text):
        character = text[position]
        two = text[position : position + 2]
        if two == "//":
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            output[position:end] = " " * (end - position)
        elif two == "/*":
            end = text.find("*/", position + 2)
            end = len(text) if end < 0 else end + 2
            for index in range(position, end):
                if text[index] != "\n":
                    output[index] = " "
        elif character in "'\"`":
            end = _end_of_string(text, position)
            if strings:
                _blank_inside(text, output, position, end)
        elif character == "/" and _BEFORE_REGEX.search(
            "".join(output[max(0, position - 40) : position])
        ):
            end = _end_of_regex(text, position)
            if strings:
                _blank_inside(text, output, position, end)
        else:
            end = position + 1
        position = end
    return "".join(output)


def _blank_inside(text: str, output: list[str], start: int, end: int) -> None:
    for index in range(start + 1, end - 1):
        if text[index] != "\n":
            output[index] = " "


def _end_of_string(text: str, start: int) -> int:
    quote = text[start]
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == quote:
            return position + 1
        if text[position] == "\n" and quote != "`":
            return position
        position += 1
    return len(text)


def _end_of_regex(text: str, start: int) -> int:
    position, in_class = start + 1, False
    while position < len(text) and text[position] != "\n":
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == "[":
            in_class = True
        elif text[position] == "]":
            in_class = False
        elif text[position] == "/" and not in_class:
            return position + 1
        position += 1
    return start + 1
