"""Threads that serve the app, told from those that work beside it, before they run."""

from __future__ import annotations

import functools
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from production.adopt.serving import serves, stands_for_a_server


class Extension:
    """Stands for a Flask-SocketIO object whose server is intercepted."""

    @stands_for_a_server
    def run(self, app: Any) -> None:
        """Be what hands the app over."""

    def emit(self, event: str) -> None:
        """Do what every pusher does."""


class Program:
    """An app that is an object."""

    def __init__(self) -> None:
        self.extension = Extension()

    def start(self) -> None:
        """Serve."""
        self.prepare()
        self.extension.run(plain)

    def prepare(self) -> None:
        """Do something else."""

    def push(self) -> None:
        """Push."""
        while True:
            time.sleep(1)
            self.extension.emit("tick")


extension = Extension()
plain = Flask("plain")
program = Program()


def serve() -> None:
    extension.run(plain)


def serve_by_another() -> None:
    time.sleep(0)
    serve()


def serve_in_a_function_of_its_own() -> None:
    def inner() -> None:
        extension.run(plain)

    inner()


def serve_what_is_made_here() -> None:
    socketio = Extension()
    socketio.run(plain)


def serve_with_the_library(server: Any) -> None:
    server.serve_forever()


def push() -> None:
    subprocess.run(["true"], check=True)
    extension.emit("tick")


def push_in_circles() -> None:
    push()
    push_in_circles()


@pytest.mark.parametrize(
    "target",
    [
        extension.run,
        serve,
        serve_by_another,
        serve_in_a_function_of_its_own,
        serve_what_is_made_here,
        serve_with_the_library,
        program.start,
        functools.partial(extension.run, plain),
        functools.partial(serve_with_the_library, None),
        lambda: extension.run(plain),
    ],
)
def test_what_serves(target: Callable[..., Any]) -> None:
    assert serves(target)


@pytest.mark.parametrize(
    "target",
    [push, push_in_circles, program.push, extension.emit, time.sleep, print, None, lambda: push()],
)
def test_what_works_beside_the_server(target: Any) -> None:
    assert not serves(target)


def test_an_app_beside_the_one_with_socket_io(monkeypatch: pytest.MonkeyPatch) -> None:
    @stands_for_a_server
    def run(self: Flask) -> None:
        """Be what hands the app over."""

    monkeypatch.setattr(Flask, "run", run)
    assert not serves(plain.run)
    assert not serves(lambda: plain.run())
    monkeypatch.setitem(plain.extensions, "socketio", extension)
    assert serves(plain.run)
    assert serves(lambda: plain.run())
