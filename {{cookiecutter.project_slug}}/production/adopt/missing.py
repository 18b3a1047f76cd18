"""Names what is required and not installed: ``python -m production.adopt.missing <requirements file>...``.

A lock that is older than what an app requires is installed without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from production.adopt.requirements import from_requirements_file


def missing(lines: Iterable[str]) -> Iterator[str]:
    """Yield each requirement that this environment does not meet.

    :param lines: of requirements files. Folders, which have no name, and pip's options are passed over.
    """
    for line in lines:
        try:
            requirement = Requirement(line.partition(" #")[0])
        except InvalidRequirement:
            continue
        if not _is_met(requirement):
            yield str(requirement)


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)


def main(files: list[str]) -> int:
    """Print what is missing; return 1 if anything is."""
    lines = [line for file in files for line in from_requirements_file(Path(file))]
    found = list(missing(lines))
    for requirement in found:
        print(f"{requirement} is required, and not installed.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
