"""Generates projects for tests, without prompts and without a trace in the developer's home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cookiecutter.main import cookiecutter

from waiting import PATIENCE, WHOLE_PROGRAM

TEMPLATE = Path(__file__).resolve().parent.parent
PROJECT_TEMPLATE = TEMPLATE / "{{cookiecutter.project_slug}}"

ASYNC_MODES = ("eventlet", "gevent", "threading")

# An odd text: a quote of each kind, a backslash, braces, and a letter beyond ASCII.
ODD_TEXT = """Ö"'\\{{x}}"""

# What of the surrounding test run would change what runs inside a generated project.
FOREIGN_PREFIXES = ("MAKE", "MFLAGS", "PYTEST_", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class BakedProject:
    """A generated project on disk.

    :param path: its directory.
    """

    path: Path

    def run(
        self, *command: str, timeout: float = WHOLE_PROGRAM
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the project and return what it printed, whatever its exit status."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def copy(self, place: Path) -> BakedProject:
        """Return one like it that may be changed, in a directory that there is not yet."""
        return BakedProject(shutil.copytree(self.path, place))

    def files(self) -> list[Path]:
        """List the generated files, relative to the project; byte code is not generated."""
        return sorted(
            path.relative_to(self.path)
            for path in self.path.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )

    def text(self, name: str | Path) -> str:
        """Read a file of the project as it is, line endings included."""
        return (self.path / name).read_bytes().decode()


class Bake(Protocol):
    """The type of the ``bake`` fixture."""

    def __call__(self, **answers: str) -> BakedProject:
        """Generate a project, or return the one that was generated from the same answers."""


def generate(
    output: Path, answers: Mapping[str, str], *, accept_hooks: bool = True
) -> BakedProject:
    """Generate a project as ``cookiecutter --no-input`` does.

    :param output: where to put the project's directory.
    :param answers: those that differ from the defaults.
    :param accept_hooks: whether the template's hooks run.
    """
    path = cookiecutter(
        str(TEMPLATE),
        no_input=True,
        extra_context=dict(answers),
        output_dir=str(output),
        config_file=str(cookiecutter_config(output.parent)),
        accept_hooks=accept_hooks,
    )
    return BakedProject(Path(path))


def adopt(folder: Path, existing_app: str, **answers: str) -> BakedProject:
    """Put the layer around an existing app, as its owner does from the folder above it.

    :param folder: the app's folder.
    :param existing_app: how the app is started.
    :param answers: those that differ from the defaults.
    """
    cookiecutter(
        str(TEMPLATE),
        no_input=True,
        extra_context={"project_slug": folder.name, "existing_app": existing_app, **answers},
        output_dir=str(folder.parent),
        config_file=str(cookiecutter_config(folder.parent)),
        overwrite_if_exists=True,
        skip_if_file_exists=True,
    )
    return BakedProject(folder)


def cookiecutter_config(directory: Path) -> Path:
    """Write a configuration that keeps the answers of a run out of the developer's home."""
    path = directory / "cookiecutter.yaml"
    path.write_text(f'replay_dir: "{directory / "replay"}"\ncookiecutters_dir: "{directory}"\n')
    return path


def run_beside_layer(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code where it can import the layer, in a process that is not patched yet.

    :param script: the code.
    :param arguments: for its command line.
    """
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=PROJECT_TEMPLATE,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what belongs to the test run itself."""
    # A machine that is busy with other tests shall not keep a service from being ready.
    return dict(_own_variables()) | {"PYTHONDONTWRITEBYTECODE": "1", "MAX_LOOP_LAG": "60"}


def _own_variables() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if not name.startswith(FOREIGN_PREFIXES):
            yield name, value
