"""What this template needs of Jinja beyond what cookiecutter brings along.

The answers are checked here rather than in a hook, because cookiecutter makes the project's
directory, wherever a slug like ``../x`` points, before the first hook runs, and prints a traceback
of its own when a hook fails. An exception from here leaves nothing behind and prints one sentence.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

ASYNC_MODES = ("eventlet", "gevent", "threading")

SLUG = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
# Short enough for the import statements of the generated code to keep to one line.
PACKAGE = re.compile(r"[a-z][a-z0-9_]{0,39}")

# What makes a list or a rule of a paragraph that begins with it.
LIST_MARKER = re.compile(r"^(\d+(?=[.)](?: |$))|(?=[-+=]))")

# Answers may say "cookiecutter"; only a template refers to it within braces.
TEMPLATE = re.compile(r"\{[{%][^}]*\bcookiecutter\b")

PROJECT_DIRECTORIES = frozenset({"deploy", "production", "tests", "wsgi"})

# Import and distribution names of what a project installs. A package of that name would hide the
# library, and pip would take a distribution of that name for the library itself.
INSTALLED_NAMES = frozenset(
    {
        "blinker",
        "click",
        "dotenv",
        "engineio",
        "eventlet",
        "flask",
        "flask_socketio",
        "gevent",
        "greenlet",
        "gunicorn",
        "itsdangerous",
        "jinja2",
        "markupsafe",
        "mypy",
        "packaging",
        "pip",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
        "pytest",
        "python_dotenv",
        "python_engineio",
        "python_socketio",
        "redis",
        "requests",
        "ruff",
        "setuptools",
        "simple_websocket",
        "socketio",
        "structlog",
        "websocket",
        "websocket_client",
        "werkzeug",
        "wsproto",
    }
)


def check_project_name(value: str) -> str | None:
    """Refuse a name that leaves nothing to show."""
    if not one_line(value):
        return "project_name is empty: give the service a name, for example Live Board."
    return None


def check_project_slug(value: str) -> str | None:
    """Refuse a slug that is not one safe path component, or that pip takes for a library."""
    if not SLUG.fullmatch(value):
        return (
            f"project_slug {quoted(value)} cannot name a directory and a distribution: use up to 63 "
            "lower-case letters, digits, hyphens and underscores, with a letter or digit at both ends."
        )
    if value.replace("-", "_") in INSTALLED_NAMES:
        return (
            f"project_slug {quoted(value)} is the name of a library that the project installs: "
            "choose another."
        )
    return None


def check_package_name(value: str) -> str | None:
    """Refuse a package that cannot be imported, or that hides another one."""
    if not PACKAGE.fullmatch(value):
        return (
            f"package_name {quoted(value)} cannot name a Python package: use up to 40 lower-case "
            "letters, digits and underscores, starting with a letter."
        )
    owner = owner_of_package_name(value)
    if owner:
        return f"package_name {quoted(value)} is taken by {owner}: choose another."
    return None


def owner_of_package_name(value: str) -> str | None:
    """Say who already uses a package name, so that the sentence can tell."""
    if keyword.iskeyword(value):
        return "Python as a keyword"
    if value in sys.stdlib_module_names:
        return "Python's standard library"
    if value in INSTALLED_NAMES:
        return "a library that the project installs"
    if value in PROJECT_DIRECTORIES:
        return "another part of the project"
    return None


def check_async_mode(value: str) -> str | None:
    """Refuse a mode that there is no worker for.

    The answer is text and no choice, since cookiecutter meets an unknown choice with a traceback.
    """
    if value not in ASYNC_MODES:
        return f"async_mode {quoted(value)} is unknown: use {', '.join(ASYNC_MODES)}."
    return None


def check_existing_app(value: str) -> str | None:
    """Refuse to pretend that an existing app was adopted."""
    if value:
        return "existing_app is set, but adopting an existing app is not available yet: leave it empty."
    return None


CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "project_name": check_project_name,
    "project_slug": check_project_slug,
    "package_name": check_package_name,
    "async_mode": check_async_mode,
    "existing_app": check_existing_app,
}


def checked(answers: Mapping[str, str]) -> str:
    """Stop the generation at the first bad answer; the later ones may only be derived from it.

    Cookiecutter asks for what a replay file lacks and for nothing else, so answers can be missing.

    :raises FailedHookException: which cookiecutter prints without a traceback.
    """
    for name, check in CHECKS.items():
        refusal = check(answers[name]) if name in answers else None
        if refusal:
            raise FailedHookException(refusal)
    return ""


def quoted(value: str) -> str:
    """Show an answer so that the terminal takes no orders from it."""
    return json.dumps(value)


def one_line(text: str) -> str:
    """Reduce free text to one line that any text file can hold."""
    kept = (
        char for char in text if char.isspace() or unicodedata.category(char) not in {"Cc", "Cs"}
    )
    return " ".join("".join(kept).split())


def toml_string(text: str) -> str:
    """Write free text as a TOML string.

    Not Jinja's ``tojson``, which writes surrogate pairs; TOML has none.
    """
    return json.dumps(one_line(text), ensure_ascii=False)


def python_string(text: str) -> str:
    """Write free text as a Python string, in the quotes that the formatter would choose."""
    line = one_line(text)
    quote = "'" if line.count('"') > line.count("'") else '"'
    body = line.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return f"{quote}{body}{quote}"


def markdown_text(text: str) -> str:
    """Write free text so that Markdown shows it as it is."""
    escaped = re.sub(r"([\\`*_\[\]<>&~|$#])", r"\\\1", one_line(text))
    return LIST_MARKER.sub(r"\1\\", escaped)


class TemplateExtension(Extension):
    """Adds the filters above, and keeps answers from being taken for templates."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (checked, toml_string, python_string, markdown_text):
            environment.filters[function.__name__] = function

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Leave braces in an answer alone.

        Cookiecutter renders the answers that come from the command line or a configuration file, so
        a description that holds ``{{x}}`` would stop it.
        """
        if name or TEMPLATE.search(source):
            return source
        return source.replace("{", "{{ '{' }}")
