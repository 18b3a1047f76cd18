"""How many workers an adopted app may have."""

from __future__ import annotations


def one_worker_only(asked_for: int) -> str:
    """Say why an adopted app has one worker, and what to do about it.

    :param asked_for: how many workers were asked for.
    """
    return (
        f"{asked_for} workers were asked for, but an adopted app has one until its owner says "
        "otherwise: most keep users, rooms or loops in the process, of which each would have its "
        "own. Set SEVERAL_WORKERS=true if yours does not, or WEB_CONCURRENCY=1 and leave out -w"
    )
