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


def no_shared_secret(asked_for: int) -> str:
    """Say why several workers need a secret that all of them are given.

    :param asked_for: how many workers were asked for.
    """
    return (
        f"{asked_for} workers were asked for, and SECRET_KEY is not set: an app that draws its own at "
        "the start has another in each, and none reads the others' sessions. Set SECRET_KEY in the "
        "environment or in production.env"
    )
