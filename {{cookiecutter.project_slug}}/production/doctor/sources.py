"""Reading a folder: which of its files matter, and what stands in them.

Nothing is imported or run. Whatever cannot be read becomes a note, never an exception.
"""

from __future__ import annotations

import bisect
import codecs
import os
import re
import stat
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from io import BytesIO
from pathlib import Path

from production.doctor.model import Note

MAX_BYTES = 1_000_000
"""The largest file that is read; what people write is smaller, what machines write is not checked."""

MAX_FILES = 20_000
"""The most files of interest that are read."""

SKIPPED_DIRECTORIES = frozenset(
    {
        ".cache",
        ".eggs",
        ".git",
        ".hg",
        ".idea",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        ".vscode",
        "__pycache__",
        "bower_components",
        "dist-packages",
        "node_modules",
        "site-packages",
    }
)

LAYER = Path(__file__).resolve().parent.parent
"""This package itself, which updates replace and nobody edits."""

_IGNORE = re.compile(r"(?:#|//|/\*|<!--|;|\{#).*?\bproduction:\s*ignore\[([^\]]*)\]")


class Kind(StrEnum):
    """How a file is read."""

    PYTHON = "python"
    PAGE = "page"
    SCRIPT = "script"
    REQUIREMENTS = "requirements"
    PYPROJECT = "pyproject"
    PIPFILE = "pipfile"
    PACKAGE_JSON = "package.json"
    CLIENT_MANIFEST = "client manifest"
    DOCKERFILE = "dockerfile"
    COMPOSE = "compose"
    PROCFILE = "procfile"
    SHELL = "shell"
    SYSTEMD = "systemd"
    SUPERVISOR = "supervisor"
    NGINX = "nginx"
    SPEC = "pyinstaller"


_BY_NAME = {
    "pyproject.toml": Kind.PYPROJECT,
    "Pipfile": Kind.PIPFILE,
    "package.json": Kind.PACKAGE_JSON,
    "Podfile": Kind.CLIENT_MANIFEST,
    "Package.swift": Kind.CLIENT_MANIFEST,
    "build.gradle": Kind.CLIENT_MANIFEST,
    "build.gradle.kts": Kind.CLIENT_MANIFEST,
    "Procfile": Kind.PROCFILE,
    "Makefile": Kind.SHELL,
}

_BY_SUFFIX = {
    ".py": Kind.PYTHON,
    ".pyw": Kind.PYTHON,
    ".spec": Kind.SPEC,
    ".html": Kind.PAGE,
    ".htm": Kind.PAGE,
    ".jinja": Kind.PAGE,
    ".jinja2": Kind.PAGE,
    ".j2": Kind.PAGE,
    ".vue": Kind.PAGE,
    ".svelte": Kind.PAGE,
    ".js": Kind.SCRIPT,
    ".mjs": Kind.SCRIPT,
    ".cjs": Kind.SCRIPT,
    ".jsx": Kind.SCRIPT,
    ".ts": Kind.SCRIPT,
    ".tsx": Kind.SCRIPT,
    ".sh": Kind.SHELL,
    ".bash": Kind.SHELL,
    ".service": Kind.SYSTEMD,
}

_REQUIREMENTS = re.compile(r"(requirements|constraints|reqs)[^/]*\.(txt|in|pip)", re.IGNORECASE)
_DOCKERFILE = re.compile(r"(docker|container)file(\..+)?|.+\.(docker|container)file", re.IGNORECASE)
_COMPOSE = re.compile(r"(docker-)?compose[^/]*\.ya?ml", re.IGNORECASE)
_NGINX_CONTENT = re.compile(r"^\s*(proxy_pass\s|upstream\s+\S+\s*\{|server\s*\{)", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A file of the project as text.

    :param path: relative to the folder, with forward slashes.
    :param kind: how it is read.
    :param text: its content, with ``\\n`` between the lines.
    """

    path: str
    kind: Kind
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return self.text.split("\n")

    def logical_lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their continuations joined, each with its first line's number."""
        parts: list[str] = []
        for number, line in enumerate(self.lines, 1):
            text = line.strip() if parts else line.rstrip()
            if text.endswith("\\") and number < len(self.lines):
                parts.append(text[:-1])
            else:
                yield number - len(parts), " ".join([*parts, text])
                parts = []

    def quote(self, line: int) -> str:
        """Return a line without indentation, cut if it is very long."""
        text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
        return text if len(text) <= 200 else text[:197] + "..."

    @cached_property
    def _line_ends(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]

    def line_of(self, offset: int) -> int:
        """Return the line of a character's offset in the text."""
        return bisect.bisect_left(self._line_ends, offset) + 1

    def ignored(self, line: int) -> frozenset[str]:
        """Return the codes that a comment on the line, or alone on the line above, ignores."""
        codes: set[str] = set()
        for number in (line, line - 1):
            text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
            alone = text.lstrip().startswith(("#", "//", "/*", "<!--", ";", "{#"))
            if "production:" in text and (number == line or alone):
                for match in _IGNORE.finditer(text):
                    codes.update(part.strip() for part in match[1].split(","))
        return frozenset(codes)


class Reader:
    """Reads a folder.

    :param root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[Note] = []

    def read(self) -> list[Source]:
        """Return every file of interest, by path; what could not be read is in ``notes``."""
        sources: list[Source] = []
        for path in self._walk():
            kind = kind_of_name(path.relative_to(self.root).as_posix())
            if kind is None:
                continue
            if len(sources) >= MAX_FILES:
                self._note(self.root, f"more than {MAX_FILES} files: the rest was not read")
                break
            text = self._text(path, kind)
            if text is None:
                continue
            kind = _kind_of_content(kind, path.name, text)
            if kind is not None:
                sources.append(Source(path.relative_to(self.root).as_posix(), kind, text))
        return sources

    def _walk(self) -> Iterator[Path]:
        """List the files; directories behind symbolic links are not entered, so no loop is."""
        for directory, names, files in os.walk(self.root, onerror=self._unreadable):
            here = Path(directory)
            names[:] = sorted(name for name in names if not self._skips(here / name))
            for name in sorted(files):
                yield here / name

    def _unreadable(self, error: OSError) -> None:
        self._note(Path(error.filename), error.strerror or "cannot be read")

    def _skips(self, directory: Path) -> bool:
        if directory.name in SKIPPED_DIRECTORIES or directory.name.endswith(".egg-info"):
            return True
        try:
            return (
                (directory / "pyvenv.cfg").exists()
                or (directory / "conda-meta").exists()
                or is_layer(directory)
                # The project that this very layer stands in, within the one that is checked: one
                # that is being generated there.
                or directory.resolve() == LAYER.parent
            )
        except OSError:
            return False

    def _text(self, path: Path, kind: Kind) -> str | None:
        """Return a file's text, or ``None`` if it has none or is no regular file of the folder."""
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve()):
                self._note(path, "a link to a file elsewhere, which was not followed")
                return None
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            if status.st_size > MAX_BYTES:
                self._note(path, f"not read: {status.st_size:,} bytes are more than {MAX_BYTES:,}")
                return None
            data = path.read_bytes()
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError up to 3.12
            self._note(path, f"not read: {getattr(error, 'strerror', None) or error}")
            return None
        text, problem = decode(data, python=kind in {Kind.PYTHON, Kind.SPEC})
        if problem:
            self._note(path, problem, unread=text is None)
        return text

    def _note(self, path: Path, text: str, *, unread: bool = True) -> None:
        try:
            name = path.relative_to(self.root).as_posix()
        except ValueError:
            name = str(path)
        self.notes.append(Note(name, text, unread))


def is_layer(directory: Path) -> bool:
    """Tell whether a directory is this layer, be it this very copy or a generated one.

    :param directory: which may not exist.
    """
    if directory.name != LAYER.name:
        return False
    return (directory / "doctor" / "registry.py").exists() or directory.resolve() == LAYER


def kind_of_name(path: str) -> Kind | None:
    """Return how a file is read as far as its name says, or ``None`` if it is of no interest.

    :param path: relative to the folder, with forward slashes.
    """
    folder, _, name = path.rpartition("/")
    if name in _BY_NAME:
        return _BY_NAME[name]
    for pattern, kind in (
        (_REQUIREMENTS, Kind.REQUIREMENTS),
        (_DOCKERFILE, Kind.DOCKERFILE),
        (_COMPOSE, Kind.COMPOSE),
    ):
        if pattern.fullmatch(name):
            return kind
    if folder.rpartition("/")[2] == "requirements" and name.endswith((".txt", ".in")):
        return Kind.REQUIREMENTS
    if folder.rpartition("/")[2] in {"sites-available", "sites-enabled"}:
        return Kind.NGINX
    suffix = Path(name).suffix.lower()
    if suffix in {".conf", ".nginx"} or "nginx" in name.lower():
        return None if suffix in {".py", ".md", ".txt", ".rst"} else Kind.NGINX
    if suffix == ".ini":
        return Kind.SUPERVISOR
    return _BY_SUFFIX.get(suffix)


def _kind_of_content(kind: Kind, name: str, text: str) -> Kind | None:
    """Refine the kind of files whose name leaves it open."""
    if kind in {Kind.NGINX, Kind.SUPERVISOR}:
        if "[program:" in text:
            return Kind.SUPERVISOR
        return Kind.NGINX if kind is Kind.NGINX and _NGINX_CONTENT.search(text) else None
    if kind is Kind.SPEC and "Analysis" not in text:
        return None
    if name == "build.gradle" or kind is not Kind.PAGE:
        return kind
    # Configuration templates often carry the suffix of a page.
    if _NGINX_CONTENT.search(text) and "<" not in text:
        return Kind.NGINX
    return kind


def decode(data: bytes, *, python: bool = False) -> tuple[str | None, str]:
    """Decode a file.

    :param data: its bytes.
    :param python: whether a Python encoding declaration counts.
    :return: the text, ``None`` if it is binary; and what was odd about it, empty if nothing.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return _unify(data.decode(encoding, errors="replace")), ""
    if b"\0" in data:
        encoding = _utf16_without_mark(data)
        if not encoding:
            return None, "not read: binary"
        return _unify(data.decode(encoding, errors="replace")), f"read as {encoding}"
    encoding = _declared(data) if python else "utf-8"
    try:
        return _unify(data.decode(encoding)), ""
    except (UnicodeDecodeError, LookupError):
        return _unify(data.decode("latin-1")), f"read as latin-1: it is not valid {encoding}"


def _utf16_without_mark(data: bytes) -> str:
    """Tell whether every other byte of a file is zero, as in UTF-16 text of mostly ASCII."""
    sample = data[:2000]
    if len(sample) % 2 == 0 and len(sample) > 1:
        if not any(sample[1::2]) and all(sample[0::2]):
            return "utf-16-le"
        if not any(sample[0::2]) and all(sample[1::2]):
            return "utf-16-be"
    return ""


def _declared(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    except SyntaxError:
        return "utf-8"
    return encoding


def _unify(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
