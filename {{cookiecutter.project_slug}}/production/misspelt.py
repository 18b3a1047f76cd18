"""Variables whose names are nearly a setting's: they change nothing, and nobody notices.

They are told and not refused, since the environment and ``.env`` belong to other programs as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

LIKENESS = 0.87
"""How alike two names are, of 1: ``LOG_LEVLE`` is 0.89 like ``LOG_LEVEL``, and ``HOST_IP``, which Kubernetes
knows, 0.86 like ``HOST_ID``. No two settings are so near."""


def misspelt(variables: Iterable[str], settings: Iterable[str]) -> Iterator[str]:
    """Say of each variable that is nearly a setting which one may be meant.

    :param variables: the names that are set.
    :param settings: the names of all settings, as variables.
    """
    known = set(settings)
    for name in sorted(set(variables) - known):
        for meant in get_close_matches(name, known, n=1, cutoff=LIKENESS):
            yield f"{name} is set, which is no setting: is {meant} meant?"
