"""Tells a thread that serves the app from one that works beside it, before it runs."""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from flask import Flask

from production.adopt.call_sites import is_library

MARK = "hands_over"
"""The attribute of the functions that stand for those that serve."""

DISTINCT = frozenset({"serve_forever", "run_simple"})
"""Names that say enough where it is not known yet what they will be called on."""

SERVER = "socketio"
"""What nearly every app calls its Flask-SocketIO object."""


def stands_for_a_server(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that takes the place of one that serves an app."""
    setattr(function, MARK, True)
    return function


def serves(target: Any) -> bool:
    """Tell whether a function calls what serves an app with Flask-SocketIO, itself or through others.

    Only its code is read, as far as names tell: those of its own variables mostly do not.

    :param target: what a thread or a background task is to run.
    """
    return _serves(target, set())


def _serves(target: Any, seen: set[CodeType]) -> bool:
    while isinstance(target, functools.partial):
        target = target.func
    if _is_server(target):
        return True
    function = target.__func__ if isinstance(target, MethodType) else target
    if not isinstance(function, FunctionType) or function.__code__ in seen:
        return False
    seen.add(function.__code__)
    if is_library(function.__code__.co_filename):
        return False
    known = _known_names(function, getattr(target, "__self__", None))
    return any(
        _is_named_like_a_server(names) or _serves(_look_up(names, known), seen)
        for names in _names_used(function.__code__)
    )


def _is_server(target: Any) -> bool:
    """Tell whether a callable is one that serves, and not an app beside the one with Socket.IO."""
    owner = getattr(target, "__self__", None)
    if isinstance(owner, Flask) and "socketio" not in owner.extensions:
        return False
    return hasattr(target, MARK)


def _is_named_like_a_server(names: tuple[str, ...]) -> bool:
    return names[-1] in DISTINCT or names[-2:] == (SERVER, "run")


def _known_names(function: FunctionType, owner: Any) -> dict[str, Any]:
    """Return what the names in a function stand for, but for its own variables."""
    code = function.__code__
    known = dict(function.__globals__)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            known[name] = cell.cell_contents
        except ValueError:  # it has none yet
            known.pop(name, None)
    for name in code.co_varnames:
        known.pop(name, None)
    if owner is not None and code.co_argcount:
        known[code.co_varnames[0]] = owner
    return known


def _look_up(names: tuple[str, ...], known: dict[str, Any]) -> Any:
    found = known.get(names[0])
    for name in names[1:]:
        found = getattr(found, name, None)
    return found


def _names_used(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Yield the names that a function reads, each with the attributes that are read of it at once."""
    names: tuple[str, ...] = ()
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_ATTR", "LOAD_METHOD"} and names:
            names += (instruction.argval,)
            continue
        if names:
            yield names
        read = instruction.opname.startswith("LOAD_") and isinstance(instruction.argval, str)
        names = (instruction.argval,) if read else ()
    if names:
        yield names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_used(constant)
