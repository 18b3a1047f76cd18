"""Print what generated projects need, in all async modes together, as a requirements file.

So the bounds stand in one place: the project's own pyproject.toml.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from baking import ASYNC_MODES, generate


def requirements(async_mode: str) -> set[str]:
    """Return what a project in one mode may depend on, its development tools included."""
    answers = {"async_mode": async_mode}
    with tempfile.TemporaryDirectory() as directory:
        bake = generate(Path(directory) / "output", answers, accept_hooks=False)
        document = tomllib.loads(bake.text("pyproject.toml"))
    project = document["project"]
    others = [*project["optional-dependencies"].values(), *document["dependency-groups"].values()]
    return {*project["dependencies"], *(line for lines in others for line in lines)}


def main() -> None:
    """Print the union over the modes."""
    needed = {line for mode in ASYNC_MODES for line in requirements(mode)}
    print(*sorted(needed), sep="\n")


if __name__ == "__main__":
    main()
