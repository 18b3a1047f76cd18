"""Runs the embedded stack of generated projects for tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil

from baking import clean_environment
from waiting import PATIENCE, eventually


class Stack:
    """``python -m production.process.stack`` in a generated project."""

    def __init__(self, project: Path, output: Path, *arguments: str, **environment: str) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "production.process.stack", *arguments],
                cwd=project,
                env={**clean_environment(), **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def url(self) -> str:
        """Wait until it serves and return where."""
        eventually(
            lambda: "Serving" in self.output or self.process.poll() is not None,
            lambda: self.output,
        )
        found = re.search(r"Serving (\S+);", self.output)
        assert found, self.output
        return found[1]

    def port_of(self, part: str) -> int:
        """Return the port on which one of its parts listens, once it serves."""
        found = re.search(rf"^{part} +127\.0\.0\.1:(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])

    def parts(self) -> list[psutil.Process]:
        """Return all processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def leave(self, number: int) -> int:
        """Ask it to leave; return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)
