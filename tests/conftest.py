"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rawclient
from baking import Bake, BakedProject, generate
from echoing import _start_echo, echo, impatient_echo  # noqa: F401
from images import builder  # noqa: F401
from queues import message_queue  # noqa: F401
from served import ServedProject, serve

# Cookiecutter copies production/ as it stands, byte code included.
sys.dont_write_bytecode = True


def pytest_configure() -> None:
    """Let what the tests start hear signals that the tests were started to ignore.

    By ``nohup``, or by a shell that runs them in the background. A program inherits what is ignored,
    but no handler: execve(2).
    """
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


_addresses = (f"127.{high}.{low}.1" for high, low in itertools.product(range(1, 255), range(256)))


@pytest.fixture(autouse=True)
def own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test's clients come from an address of their own, for which what others did does not count."""
    monkeypatch.setattr(rawclient, "own_address", next(_addresses))


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Generate projects, each set of answers once; leave them as you found them."""
    bakes: dict[tuple[tuple[str, str], ...], BakedProject] = {}

    def baked(**answers: str) -> BakedProject:
        key = tuple(sorted(answers.items()))
        if key not in bakes:
            bakes[key] = generate(tmp_path_factory.mktemp("bake") / "output", answers)
        return bakes[key]

    return baked


@pytest.fixture(scope="session")
def requires() -> Callable[[str], str]:
    """Find a command, or skip the test; on continuous integration its absence is a failure."""

    def find(tool: str) -> str:
        path = shutil.which(tool)
        if path is None:
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"{tool} is not installed")
        return path

    return find


@pytest.fixture
def old_python(tmp_path: Path) -> Path:
    """A Python that says that it is of a release too old for the layer."""
    path = tmp_path / "old" / "python3"
    path.parent.mkdir()
    path.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = (3, 10); $2"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def _shared_services(
    bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], ServedProject]]:
    """Serve one project for each mode, with its default settings, for as long as the tests run."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def shared(mode: str) -> ServedProject:
            log_path = tmp_path_factory.mktemp("served") / f"{mode}.log"
            return running.enter_context(serve(bake(), log_path, ASYNC_MODE=mode))

        yield shared


@pytest.fixture
def service(
    bake: Bake,
    tmp_path: Path,
    _shared_services: Callable[[str], ServedProject],
) -> Iterator[Callable[..., ServedProject]]:
    """Serve a generated project in a mode.

    Without further settings it is a shared one; with some, one of its own until the test ends.
    """
    with contextlib.ExitStack() as running:

        def start(mode: str, *arguments: str, **environment: str) -> ServedProject:
            if not (arguments or environment):
                return _shared_services(mode)
            log_path = tmp_path / f"{mode}-{len(list(tmp_path.iterdir()))}.log"
            return running.enter_context(
                serve(bake(), log_path, *arguments, ASYNC_MODE=mode, **environment)
            )

        yield start
