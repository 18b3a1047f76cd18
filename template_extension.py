"""What this template needs of Jinja beyond what cookiecutter brings along.

The answers are checked here rather than in a hook, because cookiecutter makes the project's
directory, wherever a slug like ``../x`` points, before the first hook runs, and prints a traceback
of its own when a hook fails. An exception from here leaves nothing behind and prints one sentence.
"""

from __future__ import annotations

import json
import keyword
import re
import secrets
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

import existing_project

ASYNC_MODES = ("eventlet", "gevent", "threading")

SLUG = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
# Short enough for the import statements of the generated code to keep to one line.
PACKAGE = re.compile(r"[a-z][a-z0-9_]{0,39}")

# What makes a list or a rule of a paragraph that begins with it.
LIST_MARKER = re.compile(r"^(\d+(?=[.)](?: |$))|(?=[-+=]))")

# Answers may say "cookiecutter"; only a template refers to it within braces.
TEMPLATE = re.compile(r"\{[{%][^}]*\bcookiecutter\b")

# What the template calls the directory that it writes.
PROJECT_DIRECTORY = "{{cookiecutter.project_slug}}"

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
        return f"async_mode {quoted(value)} is unknown: use {', '.join(ASYNC_MODES[:-1])} or {ASYNC_MODES[-1]}."
    return None


def check_existing_app(value: str) -> str | None:
    """Refuse a way of starting an app that is not understood."""
    if one_line(value) != value and value.strip():
        return f"existing_app {quoted(value)} is more than one line of text."
    fault = existing_project.fault_of_start(value) if value else None
    return f"existing_app {quoted(value)} {fault}." if fault else None


def check_existing_folder(value: str) -> str | None:
    """Refuse what is not the name of one folder; whether it exists is seen when its place is known."""
    if not value or value in {".", ".."} or set(value) & set("/\\\0") or one_line(value) != value:
        return (
            f"project_slug {quoted(value)} is not the name of a folder: run cookiecutter in the "
            "folder that holds your project, or name that one with --output-dir."
        )
    if any(opening in value for opening in ("{{", "{%", "{#")):
        return (
            f"project_slug {quoted(value)} is what cookiecutter takes for a template: rename the "
            "folder first."
        )
    return None


CHECKS: Mapping[str, Callable[[str], str | None]] = {
    "project_name": check_project_name,
    "project_slug": check_project_slug,
    "package_name": check_package_name,
    "async_mode": check_async_mode,
    "existing_app": check_existing_app,
}

# An existing project has its names, and nothing of the new service's is written into it.
CHECKS_BEFORE_ADOPTION: Mapping[str, Callable[[str], str | None]] = {
    "project_slug": check_existing_folder,
    "async_mode": check_async_mode,
    "existing_app": check_existing_app,
}


def checked(answers: Mapping[str, str]) -> str:
    """Stop the generation at the first bad answer; the later ones may only be derived from it.

    Cookiecutter asks for what a replay file lacks and for nothing else, so answers can be missing.

    :raises FailedHookException: which cookiecutter prints without a traceback.
    """
    checks = CHECKS_BEFORE_ADOPTION if answers.get("existing_app") else CHECKS
    for name, check in checks.items():
        refusal = check(answers[name]) if name in answers else None
        if refusal:
            raise FailedHookException(refusal)
    return ""


def project_directory(answers: Mapping[str, str]) -> str:
    """Return the directory to write into, below the output directory.

    For an existing app it is one of its own inside the app's folder: cookiecutter would overwrite
    files there and delete a whole ``production``. The last hook takes from it what is not there yet.

    :raises FailedHookException: if the folder holds nothing that can be adopted.
    """
    slug, existing_app = answers["project_slug"], answers.get("existing_app", "")
    if not existing_app:
        return slug
    folder = Path(answers["_output_dir"], slug)
    if fault := existing_project.fault_of_folder(folder, slug, existing_app):
        raise FailedHookException(fault)
    return f"{slug}/{existing_project.STAGING_PREFIX}{secrets.token_hex(4)}"


def origin(answers: Mapping[str, str]) -> str:
    """Record where a project comes from, in the form of cruft, which brings updates.

    The example is a start and not an end, so updates leave it alone, like what is made anew for
    each machine.

    :param answers: all that cookiecutter knows.
    :return: the text of ``.cruft.json``; without a commit if the template came without its history.
    """
    repository = Path(__file__).resolve().parent
    commit = None
    if git(repository, "rev-parse", "--show-toplevel") == str(repository):
        commit = git(repository, "rev-parse", "HEAD")
    record = {
        "template": git(repository, "config", "--get", "remote.origin.url") or str(repository),
        "commit": commit,
        "checkout": None,
        "context": {
            "cookiecutter": {
                name: answer for name, answer in answers.items() if not name.startswith("_")
            }
        },
        "directory": None,
        "skip": [".cruft.json", ".env", answers["package_name"], "tests"],
    }
    return json.dumps(record, indent=2, ensure_ascii=False)


def git(repository: Path, *arguments: str) -> str | None:
    """Ask git about a repository; return nothing if it does not know, or there is no git."""
    try:
        outcome = subprocess.run(  # noqa: S603  git, wherever it is
            ["git", "-C", str(repository), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return outcome.stdout.strip()


def dependencies(project_file: str) -> str:
    """Return the requirements in a rendered ``pyproject.toml``, one a line.

    Not by a TOML parser, which the Python that runs cookiecutter may lack.
    """
    [block] = re.findall(r"^dependencies = \[\n(.*?)^\]", project_file, re.DOTALL | re.MULTILINE)
    return "\n".join(json.loads(f"[{block.strip().rstrip(',')}]"))


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
        for function in (
            checked,
            dependencies,
            markdown_text,
            origin,
            project_directory,
            python_string,
            toml_string,
        ):
            environment.filters[function.__name__] = function

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Leave braces in an answer alone.

        Cookiecutter renders the answers that come from the command line or a configuration file, so
        a description that holds ``{{x}}`` would stop it.

        The name of the project's directory is the one thing that cookiecutter renders after it
        knows where to write and before it has written anything, whether hooks run or not.
        """
        if source == PROJECT_DIRECTORY and not name:
            return "{{ cookiecutter | project_directory }}"
        if name or TEMPLATE.search(source):
            return source
        return source.replace("{", "{{ '{' }}")
