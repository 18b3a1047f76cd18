"""All checks, by code. A check registers itself where it is written, in :mod:`production.doctor.checks`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from production.doctor import checks
from production.doctor.model import Check, Place, Severity

if TYPE_CHECKING:
    from production.doctor.project import Project

Finder = Callable[["Project"], Iterator[Place]]

AREAS = {
    "0": "the project",
    "1": "options of SocketIO",
    "2": "starting and serving",
    "3": "state and work of one process",
    "4": "handlers and errors",
    "5": "threads, patches and the queue",
    "6": "removed APIs",
    "7": "dependencies",
    "8": "deployment",
    "9": "browsers and other clients",
}
"""What the first digit of a code stands for."""

FLASK_SOCKETIO = "https://github.com/miguelgrinberg/Flask-SocketIO/issues/"
PYTHON_SOCKETIO = "https://github.com/miguelgrinberg/python-socketio/issues/"
PYTHON_ENGINEIO = "https://github.com/miguelgrinberg/python-engineio/issues/"
GUNICORN = "https://github.com/benoitc/gunicorn/issues/"
EVENTLET = "https://github.com/eventlet/eventlet/issues/"

_CODE = re.compile(r"FSP[0-9]{3}")
_registered: dict[str, Check] = {}


def check(
    code: str, severity: Severity, title: str, *, why: str, fix: str, evidence: tuple[str, ...] = ()
) -> Callable[[Finder], Finder]:
    """Register a function as a check.

    :param code: see :class:`Check`, as for the others; without evidence elsewhere, the check's
        section in ``docs/checks.md`` is the evidence.
    :return: a decorator for a function that yields the places of the fault in a project.
    :raises ValueError: if the code is malformed or taken.
    """
    if not _CODE.fullmatch(code) or code in _registered:
        raise ValueError(f"{code} is no free code")

    def register(find: Finder) -> Finder:
        section = f"docs/checks.md#{code.lower()}"
        _registered[code] = Check(code, severity, title, why, fix, (*evidence, section), find)
        return find

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, ordered by code."""
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    return tuple(_registered[code] for code in sorted(_registered))


def check_of(code: str) -> Check:
    """Return the check of a code.

    :raises KeyError: if there is none.
    """
    return {check.code: check for check in all_checks()}[code]
