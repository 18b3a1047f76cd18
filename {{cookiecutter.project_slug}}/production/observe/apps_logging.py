"""The app's own configuration of logging beside the layer's: both hold.

An app that calls ``dictConfig``, as Flask's documentation has it, takes all handlers away and silences
each logger that there is. Its files, levels and services stay as it wants them; what goes to standard
error or standard output is written once, there and in the form that the layer gives all records.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

SILENCED = ("production", "gunicorn")
"""Whose loggers an app silences without knowing that there are any."""

_kept: list[logging.Handler] = []


def begin(handlers: list[logging.Handler]) -> None:
    """Forget what was kept before, and keep these handlers of the root logger.

    :param handlers: what the root logger has.
    """
    _kept[:] = handlers


def keep(handler: logging.Handler) -> None:
    """Give the root logger a handler which it has again after the app has configured logging.

    :param handler: the handler.
    """
    logging.getLogger().addHandler(handler)
    _kept.append(handler)


def restore() -> None:
    """Write what the layer writes again, once the app has configured logging for itself."""
    root = logging.getLogger()
    for logger in (root, *_loggers()):
        if logger.name.partition(".")[0] in SILENCED:
            logger.disabled = False
        if logger is root or logger.propagate:
            for handler in [one for one in logger.handlers if _writes_on_console(one)]:
                logger.removeHandler(handler)
    for handler in _kept:
        root.addHandler(handler)


def _loggers() -> Iterator[logging.Logger]:
    # A name in between, of which nobody has asked for the logger, is a placeholder.
    named = list(logging.root.manager.loggerDict.values())
    return (logger for logger in named if isinstance(logger, logging.Logger))


def _writes_on_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler):
        return False
    # Flask's stream stands for the one of the current request, and is equal to it.
    return handler.stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
