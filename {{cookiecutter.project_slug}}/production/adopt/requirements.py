"""Writes down what an existing app requires, for pip: ``python -m production.adopt.requirements``.

The app's pins of libraries that the layer brings in current releases are left out: they are from the
time of its development server, and would keep the two from being installed together. Standard
library only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from production.doctor.sources import decode

# What the layer requires, and what that requires: releases that are known to work together.
BROUGHT_BY_THE_LAYER = frozenset(
    {
        "annotated-types",
        "bidict",
        "blinker",
        "click",
        "dnspython",
        "eventlet",
        "flask",
        "flask-socketio",
        "gevent",
        "greenlet",
        "gunicorn",
        "h11",
        "itsdangerous",
        "jinja2",
        "markupsafe",
        "packaging",
        "pydantic",
        "pydantic-core",
        "pydantic-settings",
        "python-dotenv",
        "python-engineio",
        "python-socketio",
        "redis",
        "simple-websocket",
        "structlog",
        "typing-extensions",
        "typing-inspection",
        "werkzeug",
        "wsproto",
        "zope-event",
        "zope-interface",
    }
)

REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?\s*(?P<bounds>[^;#]*?)\s*"
    r"(?P<marker>;[^#]*?)?\s*(?:\s#.*)?"
)
OTHER_FILE = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]*(?!\w+://)(?P<path>\S+)")
GIT_REFERENCES = ("rev", "ref", "tag", "branch")

# What a Pipfile may give as a key, with an operator and a value.
MARKERS = (
    "implementation_name",
    "os_name",
    "platform_machine",
    "platform_python_implementation",
    "platform_system",
    "python_full_version",
    "python_version",
    "sys_platform",
)

HASH = re.compile(r"\s--hash[=\s]\S+")


def requirements_of(project: Path) -> list[str]:
    """Return what an app requires, without the pins that the layer replaces.

    :param project: the app's directory.
    """
    for name, read in (
        ("requirements.txt", from_requirements_file),
        ("pyproject.toml", from_pyproject),
        ("Pipfile", from_pipfile),
    ):
        if (path := project / name).is_file() and (found := list(read(path))):
            return list(without_replaced_pins(found))
    return []


def from_requirements_file(path: Path) -> Iterator[str]:
    """Yield the lines of a requirements file, those of the files that it names included."""
    yield from _lines_of(path, seen=set())


def _lines_of(path: Path, seen: set[Path]) -> Iterator[str]:
    if path.resolve() in seen:
        return
    if not path.is_file():
        print(f"{path.name} is named by another file, but is not there.", file=sys.stderr)
        return
    seen.add(path.resolve())
    # Windows PowerShell writes UTF-16 where pip freeze is redirected into a file.
    text, _ = decode(path.read_bytes())
    for raw in (text or "").replace("\\\n", " ").splitlines():
        line = HASH.sub("", raw).strip()
        if other := OTHER_FILE.fullmatch(line):
            yield from _lines_of(path.parent / other["path"], seen)
        elif line and not line.startswith("#"):
            yield line


def from_pyproject(path: Path) -> Iterator[str]:
    """Yield the dependencies of a project, as PEP 621, setuptools or Poetry write them."""
    content = _toml(path)
    yield from content.get("project", {}).get("dependencies", [])
    tools = content.get("tool", {})
    listed = tools.get("setuptools", {}).get("dynamic", {}).get("dependencies", {}).get("file", [])
    for name in [listed] if isinstance(listed, str) else listed:
        yield from from_requirements_file(path.parent / name)
    poetry = tools.get("poetry", {}).get("dependencies", {})
    yield from _from_table({name: value for name, value in poetry.items() if name != "python"})


def from_pipfile(path: Path) -> Iterator[str]:
    """Yield the packages of a Pipfile."""
    yield from _from_table(_toml(path).get("packages", {}))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SystemExit(f"{path.name} cannot be read, mend it first: {error}.") from None


def _from_table(table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        # Poetry takes several, each for a Python version or a platform.
        for one in value if isinstance(value, list) else [value]:
            details = one if isinstance(one, dict) else {"version": one}
            if not details.get("optional"):
                yield from _from_details(name, details)


def _from_details(name: str, details: dict[str, Any]) -> Iterator[str]:
    marker = _marker(details)
    if "git" in details:
        reference = next((details[key] for key in GIT_REFERENCES if key in details), "")
        yield f"{name} @ git+{details['git']}{f'@{reference}' if reference else ''}{marker}"
    elif address := details.get("url", details.get("file")):
        yield f"{name} @ {address}{marker}"
    elif "path" in details:
        # The app itself runs from its folder.
        if details["path"] not in {".", "./"}:
            yield f"./{details['path'].removeprefix('./')}"
    else:
        extras = ",".join(details.get("extras", ()))
        bounds = pep440(str(details.get("version", "*")))
        yield f"{name}{f'[{extras}]' if extras else ''}{bounds}{marker}"


def _marker(details: dict[str, Any]) -> str:
    """Write for which Python versions and platforms a table requires something, as pip reads it."""
    conditions = [details["markers"]] if "markers" in details else []
    if "platform" in details:
        conditions.append(f'sys_platform == "{details["platform"]}"')
    for operator, version in re.findall(
        r"([<>=!~]+)\s*([^,\s]+)", pep440(details.get("python", ""))
    ):
        conditions.append(f'python_full_version {operator} "{version}"')
    conditions += [f"{name} {details[name]}" for name in MARKERS if name in details]
    return " ; " + " and ".join(f"({one})" for one in conditions) if conditions else ""


def pep440(bounds: str) -> str:
    """Write Poetry's ``^1.2`` and ``~1.2`` as pip reads them.

    :param bounds: what a table gives as the version; of alternatives, which pip has none of, none is
        kept.
    """
    if "||" in bounds:
        return ""
    return ",".join(filter(None, (_pep440(part.strip()) for part in bounds.split(","))))


def _pep440(bound: str) -> str:
    if bound in {"", "*"}:
        return ""
    if bound[0].isdigit():
        return f"=={bound}"
    if bound[0] not in "^~" or bound.startswith("~="):
        return bound
    numbers = [int(number) for number in re.findall(r"\d+", bound)]
    if bound[0] == "~":
        kept = min(2, len(numbers))
    else:
        kept = next((place for place, number in enumerate(numbers, 1) if number), len(numbers))
    upper = [*numbers[: kept - 1], numbers[kept - 1] + 1]
    return f">={bound[1:]},<{'.'.join(map(str, upper))}"


def without_replaced_pins(lines: Iterable[str]) -> Iterator[str]:
    """Leave out the bounds of what the layer brings, and say so on standard error."""
    for line in lines:
        requirement = REQUIREMENT.fullmatch(line)
        name = re.sub(r"[-_.]+", "-", requirement["name"]).lower() if requirement else ""
        if requirement is None or name not in BROUGHT_BY_THE_LAYER:
            yield line
            continue
        if requirement["bounds"]:
            print(f"{line}: the layer brings a current release.", file=sys.stderr)
        extras, marker = requirement["extras"] or "", requirement["marker"] or ""
        yield f"{requirement['name']}{extras}{marker}"


if __name__ == "__main__":
    print(*requirements_of(Path.cwd()), sep="\n")
