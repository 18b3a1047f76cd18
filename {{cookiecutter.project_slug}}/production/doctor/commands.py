"""The commands that start a project: Procfile, Dockerfile, compose, systemd, supervisor, scripts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from production.doctor.modules import MISSING, Module, assignments
from production.doctor.project import Project
from production.doctor.sources import Kind, Source

WRAPPERS = frozenset(
    {"exec", "sudo", "nohup", "time", "env", "poetry", "pipenv", "uv", "run", "tini"}
)

# gunicorn's options that take no value; of the others only those that are checked matter.
FLAGS = frozenset({"--preload", "--reload", "--daemon", "-D", "--check-config", "--no-sendfile"})

OPTION_NAMES = {
    "-w": "workers",
    "--workers": "workers",
    "-k": "worker_class",
    "--worker-class": "worker_class",
    "--threads": "threads",
    "--max-requests": "max_requests",
    "--preload": "preload_app",
    "-c": "config",
    "--config": "config",
    "--graceful-timeout": "graceful_timeout",
}


@dataclass(frozen=True)
class Command:
    """A command that some file starts the project with.

    :param source: the file.
    :param line: from 1.
    :param words: the command, split as a shell would.
    :param is_shell: whether a shell stands between the supervisor and the program.
    :param serves: whether the file is one that starts the service, and not just any script.
    """

    source: Source
    line: int
    words: tuple[str, ...]
    is_shell: bool = False
    serves: bool = True

    @property
    def bare(self) -> tuple[str, ...]:
        """The words from the program on, without wrappers and assignments before it."""
        words = list(self.words)
        while words and (words[0] in WRAPPERS or re.match(r"\w+=", words[0]) or words[0] == "--"):
            words.pop(0)
        return tuple(words)

    @property
    def program(self) -> str:
        """The program's name, without its folder; of ``python -m thing`` it is ``thing``."""
        words = self.bare
        if not words:
            return ""
        name = words[0].rpartition("/")[2]
        if is_python(name) and len(words) > 2 and words[1] == "-m":
            return words[2]
        return name


@dataclass(frozen=True)
class Gunicorn:
    """What gunicorn is told: by a command, or by a configuration file alone.

    :param source: the file.
    :param line: of the command, or 1.
    :param options: by the name in a configuration file: the value as text, and where it is given.
    """

    source: Source
    line: int
    options: dict[str, tuple[str, Source, int]]

    def text(self, name: str) -> str:
        """Return an option's value, empty if it is not given."""
        return self.options[name][0] if name in self.options else ""

    def number(self, name: str) -> int | None:
        """Return an option's value as a number, ``None`` if it is not given or not known."""
        text = self.text(name)
        return int(text) if text.isdecimal() else None


def is_python(name: str) -> bool:
    """Tell whether a program is a Python interpreter."""
    return re.fullmatch(r"(python|pypy)[0-9.]*w?(\.exe)?", name) is not None


@lru_cache(maxsize=2)
def commands(project: Project) -> list[Command]:
    """Return every command, file by file."""
    readers = {
        Kind.PROCFILE: _of_procfile,
        Kind.DOCKERFILE: _of_dockerfile,
        Kind.COMPOSE: _of_compose,
        Kind.SYSTEMD: _of_systemd,
        Kind.SUPERVISOR: _of_supervisor,
        Kind.SHELL: _of_script,
    }
    return [
        command
        for source in project.sources
        if source.kind in readers
        for command in readers[source.kind](source)
        if command.words
    ]


def split(text: str) -> tuple[str, ...]:
    """Split a command line as a shell would, as far as it is well-formed."""
    try:
        return tuple(shlex.split(text, comments=False))
    except ValueError:
        return tuple(text.split())


def _of_procfile(source: Source) -> Iterator[Command]:
    for number, line in source.logical_lines():
        match = re.match(r"\s*([A-Za-z0-9_-]+):\s*(.+)", line)
        if match:
            yield Command(source, number, split(match[2]))


def _of_dockerfile(source: Source) -> Iterator[Command]:
    for number, line in source.logical_lines():
        match = re.match(r"\s*(CMD|ENTRYPOINT)\s+(.+)", line, re.IGNORECASE)
        if not match:
            continue
        words = _json_words(match[2])
        if words is None:
            yield Command(source, number, split(match[2]), is_shell=True)
        elif words[:1] and words[0].rpartition("/")[2] in {"sh", "bash"} and "-c" in words:
            inner = words[-1]
            yield Command(source, number, split(inner), is_shell=True)
        else:
            yield Command(source, number, words)


def _json_words(text: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(map(str, words)) if isinstance(words, list) else None


def _of_compose(source: Source) -> Iterator[Command]:
    for number, line in enumerate(source.lines, 1):
        match = re.match(r"\s*command:\s*(.+)", line)
        if match:
            text = match[1].split(" #")[0].strip()
            words = _json_words(text)
            yield Command(source, number, words if words is not None else split(text.strip("\"'")))


def _of_systemd(source: Source) -> Iterator[Command]:
    for number, line in source.logical_lines():
        match = re.match(r"\s*ExecStart\s*=\s*[-@:+!]*(.+)", line)
        if match:
            words = split(match[1])
            shell = bool(words) and words[0].rpartition("/")[2] in {"sh", "bash"}
            yield Command(source, number, split(words[-1]) if shell else words)


def _of_supervisor(source: Source) -> Iterator[Command]:
    for number, line in enumerate(source.lines, 1):
        match = re.match(r"\s*command\s*=\s*(.+)", line)
        if match:
            yield Command(source, number, split(match[1].split(" ;")[0]))


def _of_script(source: Source) -> Iterator[Command]:
    for number, line in source.logical_lines():
        text = re.sub(r"(^|\s)#.*", "", line).strip().lstrip("@-")
        if not re.search(r"\b(gunicorn|granian|waitress-serve)\b", text):
            continue
        words = split(text)
        start = next(
            (n for n, word in enumerate(words) if word.rpartition("/")[2] in {"gunicorn"}), None
        )
        if start is not None and (start == 0 or not re.search(r"\b(pip|install|echo)\b", text)):
            yield Command(source, number, words[start:], serves=False)


@lru_cache(maxsize=2)
def gunicorns(project: Project) -> list[Gunicorn]:
    """Return what each gunicorn of a project is told, its configuration file included."""
    files = _configuration_files(project)
    found: list[Gunicorn] = []
    for command in commands(project):
        words = command.bare
        place = next(
            (n for n, word in enumerate(words[:3]) if word.rpartition("/")[2] == "gunicorn"), None
        )
        if place is None:
            continue
        options = _arguments(command, words[place + 1 :])
        named = options["config"][0].removeprefix("file:") if "config" in options else ""
        name = named.rpartition("/")[2] or "gunicorn.conf.py"
        found.append(Gunicorn(command.source, command.line, {**files.get(name, {}), **options}))
    if not found:
        found = [
            Gunicorn(next(iter(options.values()))[1], 1, options)
            for options in files.values()
            if options
        ]
    return found


def _arguments(command: Command, words: tuple[str, ...]) -> dict[str, tuple[str, Source, int]]:
    options: dict[str, tuple[str, Source, int]] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if not equals and re.fullmatch(r"-[wkc].+", word) and not word.startswith("--"):
            name, value = word[:2], word[2:]
        elif not equals and name in OPTION_NAMES and name not in FLAGS:
            value = waiting.pop(0) if waiting else ""
        if name in OPTION_NAMES:
            given = "true" if name in FLAGS else value
            options[OPTION_NAMES[name]] = (given, command.source, command.line)
    return options


def _configuration_files(project: Project) -> dict[str, dict[str, tuple[str, Source, int]]]:
    """Return the options of gunicorn's configuration files, by the files' names."""
    files: dict[str, dict[str, tuple[str, Source, int]]] = {}
    for module in project.modules:
        name = module.source.path.rpartition("/")[2]
        if "gunicorn" in name:
            files[name] = dict(_settings(module))
    return files


def _settings(module: Module) -> Iterator[tuple[str, tuple[str, Source, int]]]:
    for statement in module.tree.body:
        for target, value in assignments(statement):
            known = module.value(value)
            name = getattr(target, "id", "")
            text = "?" if known is MISSING else str(known).lower() if known is True else str(known)
            if name in {*OPTION_NAMES.values(), "control_socket_disable"}:
                yield name, (text, module.source, target.lineno)


def worker_classes(project: Project) -> set[str]:
    """Return the worker classes that gunicorn is told to use, anywhere in the project."""
    return {one.text("worker_class") for one in gunicorns(project)} - {""}
