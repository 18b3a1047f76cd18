"""How an existing app is started: what its owner types today, read as data.

Standard library only: the generator reads this module too, where nothing else is installed.
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Any

FORMS = (
    "write how you start it, for example python run.py, python -m server, flask --app server run, "
    "server:app or server:create_app()"
)

IMPORT_PATH = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<expression>[^\W\d].*)", re.DOTALL
)
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
ASSIGNMENT = re.compile(r"[^\W\d]\w*=")
PYTHON = re.compile(r"(python|pypy|py)[0-9.]*(\.exe)?")
CHANGE_OF_DIRECTORY = re.compile(r"\s*cd\s+(?P<directory>[^&;|]+?)\s*&&(?P<rest>.*)", re.DOTALL)

# What runs a command in an environment; here the environment is the one that gunicorn runs in.
WRAPPERS = (("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("pdm", "run"), ("exec",))

# Options of Python itself that take a word more.
PYTHON_OPTIONS_WITH_VALUE = frozenset({"-W", "-X"})


class Way(StrEnum):
    """What is done to get at the app."""

    SCRIPT = "script"
    MODULE = "module"
    IMPORT = "import"


class UnknownStart(ValueError):
    """A way of starting that is not understood; the message is one sentence."""


@dataclass(frozen=True)
class Start:
    """A way of starting an app.

    :param way: what ``target`` is: a script's path, a module to run, or a module to import.
    :param target: the path or the dotted name.
    :param arguments: what the script finds after its name in ``sys.argv``.
    :param attribute: the app's name in an imported module, or its factory's.
    :param call: the factory's arguments, positional and by name; nothing if it is not written as a
        call.
    :param directory: where the script expects to run, relative to the project.
    :param environment: variables that the command line sets.
    """

    way: Way
    target: str
    arguments: tuple[str, ...] = ()
    attribute: str = ""
    call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    directory: str = "."
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def by_flask(self) -> bool:
        """Whether Flask's own command starts the app."""
        return self.way is Way.MODULE and self.target == "flask"

    @property
    def flask_app(self) -> str:
        """What Flask's command was told to serve; empty if it looks for it itself."""
        words = self.arguments
        for number, word in enumerate(words):
            if word in {"--app", "-A"}:
                return words[number + 1] if number + 1 < len(words) else ""
            if word.startswith("--app="):
                return word.partition("=")[2]
        return self.environment.get("FLASK_APP", "")


def parse(text: str) -> Start:
    """Read how an app is started.

    :param text: a command line or an import path.
    :raises UnknownStart: saying what was not understood and what to write.
    """
    if imported := IMPORT_PATH.fullmatch(text.strip()):
        return _import(imported["module"], imported["expression"])
    directory = "."
    if moved := CHANGE_OF_DIRECTORY.fullmatch(text):
        directory, text = _one_word(moved["directory"]), moved["rest"]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UnknownStart(f"is no command line ({error}): {FORMS}") from None
    environment = {}
    while words and ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    for wrapper in WRAPPERS:
        if tuple(words[: len(wrapper)]) == wrapper:
            words = words[len(wrapper) :]
    if not words:
        raise UnknownStart(f"names no app: {FORMS}")
    if forbidden := {"&&", "||", ";", "|", "&", ">"}.intersection(words):
        raise UnknownStart(
            f"contains {min(forbidden)}, but one program is what can be served: {FORMS}"
        )
    way, target, arguments = _program(words)
    return Start(way, target, arguments, directory=directory, environment=environment)


def _program(words: list[str]) -> tuple[Way, str, tuple[str, ...]]:
    program, *arguments = words
    name = PurePath(program).name
    if PYTHON.fullmatch(name):
        return _python(arguments)
    if name == "flask":
        return _flask(arguments)
    if name.endswith(".py"):
        return Way.SCRIPT, program, tuple(arguments)
    raise UnknownStart(f"does not begin with a program that is understood: {FORMS}")


def _python(words: list[str]) -> tuple[Way, str, tuple[str, ...]]:
    while words and words[0].startswith("-") and words[0] not in {"-m", "-c", "-"}:
        del words[: 2 if words[0] in PYTHON_OPTIONS_WITH_VALUE else 1]
    if not words or words[0] in {"-c", "-"}:
        raise UnknownStart(f"runs no script: {FORMS}")
    if words[0] != "-m":
        return Way.SCRIPT, words[0], tuple(words[1:])
    if len(words) < 2 or not MODULE.fullmatch(words[1]):
        raise UnknownStart(f"names no module after -m: {FORMS}")
    if words[1] == "flask":
        return _flask(words[2:])
    return Way.MODULE, words[1], tuple(words[2:])


def _flask(words: list[str]) -> tuple[Way, str, tuple[str, ...]]:
    if "run" not in words:
        raise UnknownStart(f"is a flask command without run: {FORMS}")
    return Way.MODULE, "flask", tuple(words)


def _import(module: str, expression: str) -> Start:
    """Read what follows the colon as Flask and gunicorn do: a name, or a call with literals."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return Start(Way.IMPORT, module, attribute=tree.id)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            positional = tuple(ast.literal_eval(argument) for argument in tree.args)
            named = {
                str(keyword.arg): ast.literal_eval(keyword.value)
                for keyword in tree.keywords
                if keyword.arg is not None
            }
            if len(named) == len(tree.keywords):
                return Start(Way.IMPORT, module, attribute=tree.func.id, call=(positional, named))
    except (SyntaxError, ValueError):
        pass
    raise UnknownStart(
        f"must name an app or a factory with literal arguments after {module}: {FORMS}"
    )


def _one_word(text: str) -> str:
    words = shlex.split(text)
    if len(words) != 1:
        raise UnknownStart(f"changes to more than one directory: {FORMS}")
    return words[0]
