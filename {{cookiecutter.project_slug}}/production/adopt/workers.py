"""How many workers an adopted app may have.

The master asks before it starts them. It must stay free of what the workers have yet to patch, so
the app's files are checked in a process of their own, see inspection.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from production.refusal import ConfigurationError

MOST_SHOWN = 3
"""Places that a sentence names."""

FEWER = "WEB_CONCURRENCY=1 and leave out -w"


def why_several(workers: int, settings: Any) -> str:
    """Say why an adopted app may have more than one worker.

    :param workers: how many are asked for.
    :param settings: with ``several_workers`` and ``secret_key``.
    :raises ConfigurationError: if it may not, naming what keeps it from them, and what to do.
    """
    if settings.several_workers and settings.secret_key:
        return "SEVERAL_WORKERS says that the app may have them"
    found = _inspected()
    if not settings.secret_key and found["secrets"]:
        raise ConfigurationError(
            f"{workers} workers were asked for, but the app draws a SECRET_KEY of its own in each, at "
            f"{_listed(found['secrets'])}, and none could read the others' sessions: set SECRET_KEY "
            "in the environment or in production.env."
        )
    if settings.several_workers:
        return "SEVERAL_WORKERS says that the app may have them"
    if found["state"]:
        raise ConfigurationError(
            f"{workers} workers were asked for, but the app keeps in its process what each would have "
            f"for itself: {_listed(found['state'])}; keep it in Redis or a database, set "
            f"SEVERAL_WORKERS=true if that does no harm, or set {FEWER}."
        )
    if found["unread"]:
        raise ConfigurationError(
            f"{workers} workers were asked for, but whether the app keeps users, rooms or loops in its "
            f"process is not known, since it could not be read as a whole: {_listed(found['unread'])}; "
            f"set SEVERAL_WORKERS=true if it keeps none, or set {FEWER}."
        )
    return "the checker finds nothing that the app keeps in its process"


def _inspected() -> dict[str, list[str]]:
    inspector = subprocess.run(
        [sys.executable, "-m", "production.adopt.inspection"], stdout=subprocess.PIPE, check=False
    )
    if inspector.returncode:
        raise ConfigurationError(
            "Whether the app may have several workers could not be found out, for the reason above: "
            f"set SEVERAL_WORKERS=true and a SECRET_KEY, or set {FEWER}."
        )
    found: dict[str, list[str]] = json.loads(inspector.stdout)
    return found


def _listed(places: list[str]) -> str:
    more = len(places) - MOST_SHOWN
    shown = ", ".join(places[:MOST_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
