"""Whatever clients send: no traceback, no answer of 5xx, no leak, and the others are served.

A run is drawn by its seed, FUZZ_SEED, and is as long as FUZZ_CASES says; FUZZ_CASE plays one case of it
alone, or several.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from baking import Bake
from fuzzing.answers import NotHttp, server_errors
from fuzzing.cases import STREAMS, Case, Script, Segment, honest_script
from fuzzing.playing import PACE, Played, Player
from fuzzing.watching import Bystanders, Log, growth, held
from observing import MODES
from served import ServedProject, serve
from waiting import PATIENCE, eventually

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CASES = int(os.environ.get("FUZZ_CASES", "2000"))
ONLY = os.environ.get("FUZZ_CASE")

AT_ONCE = 20
"""Conversations that are held at the same time."""

ROUND = 200
"""Cases after which the log is read, and others must have been served."""

COUNTED = Path(__file__).parent / "apps" / "counted.py"

SMALL = {
    "MAX_MESSAGE_BYTES": "20000",
    "MAX_REQUEST_BYTES": "20000",
    "MAX_SESSIONS": "5000",
    # What is abandoned is gone soon, and nobody has to wait long for what is kept for clients.
    "PING_INTERVAL": "1",
    "PING_TIMEOUT": "10",
    "CONNECT_TIMEOUT": "10",
    "KEEPALIVE": "1",
    "REPLAY_SECONDS": "1",
}
"""Settings under which limits are reached with few bytes."""

WARM_UP = 100
"""Cases after which the worker has made what it keeps for good."""


class Fuzzed:
    """A service that is fuzzed.

    :param service: the service.
    :param mode: its async mode.
    :param log_path: where it writes its log.
    """

    def __init__(self, service: ServedProject, mode: str, log_path: Path) -> None:
        self.url = service.url
        self._mode = mode
        self.host = f"{service.host}:{service.port}"
        self._port = service.port
        self.log = Log(log_path)

    def converse(self) -> list[str]:
        """Hold each conversation as it is, and return what was not answered as it should be."""
        return asyncio.run(self._converse_all())

    async def _converse_all(self) -> list[str]:
        scripts = [honest_script(stream, self.host) for stream in STREAMS.values()]
        conversations = await asyncio.gather(
            *(
                Player(self._port, "127.0.0.1", PACE if polls(script) else PATIENCE).play(
                    script, "end", PATIENCE
                )
                for script in scripts
            )
        )
        return [
            f"{name}: {fault}"
            for name, script, played in zip(STREAMS, scripts, conversations, strict=True)
            for fault in (
                *faults_of(played),
                *(f"{text!r} has not come" for text in played.missed if not polls(script)),
            )
        ]

    def play(self, cases: list[Case]) -> list[str]:
        """Play cases, all at the same time, and return what was wrong with them."""
        answers = asyncio.run(self._play_all(cases))
        faults = [
            f"{self._command(case)}\n{fault}"
            for case, played in zip(cases, answers, strict=True)
            for fault in faults_of(played)
        ]
        if logged := self.log.faults():
            faults += self._name(cases, logged)
        return faults

    def _name(self, cases: list[Case], logged: list[str]) -> list[str]:
        """Say which of the cases has left something in the log, if fewer of them do so again."""
        half = len(cases) // 2
        named = half and (self.play(cases[:half]) or self.play(cases[half:]))
        return named or [f"{self._command(*cases)}\n" + "\n".join(logged[:50])]

    async def _play_all(self, cases: list[Case]) -> list[Played]:
        room = asyncio.Semaphore(AT_ONCE)

        async def play(case: Case) -> Played:
            async with room:
                player = Player(self._port, case.address)
                return await player.play(*case.script(self.host), PATIENCE)

        return await asyncio.gather(*map(play, cases))

    def _command(self, *cases: Case) -> str:
        """Return what plays these cases alone."""
        numbers = ",".join(str(case.number) for case in cases)
        return (
            f"FUZZ_SEED={SEED} FUZZ_CASE={numbers} "
            f".venv/bin/python -m pytest tests/test_fuzz.py -k {self._mode}"
        )


def polls(script: Script) -> bool:
    """Tell whether it depends on the moment which poll of a conversation brings what."""
    return any(isinstance(part, Segment) and b"{sid}" in part.data for part in script)


def faults_of(played: Played) -> Iterator[str]:
    """Say what was wrong with the answers to one case."""
    for number, received in played.received.items():
        try:
            for status in server_errors(received):
                yield f"connection {number} was answered with {status}: {received[-300:]!r}"
        except NotHttp as error:
            yield f"connection {number} was answered with what is no HTTP: {error}"
    for number in played.hanging:
        yield f"connection {number} was not ended: it has brought {played.received[number][-300:]!r}"


@pytest.fixture
def fuzzed(mode: str, bake: Bake, tmp_path: Path) -> Iterator[Fuzzed]:
    """Serve the generated project, with an app that counts what its worker holds."""
    project = bake().copy(tmp_path / "project")
    shutil.copy(COUNTED, project.path / "counted.py")
    log_path = tmp_path / "log"
    with serve(project, log_path, "counted:app", ASYNC_MODE=mode, **SMALL) as service:
        yield Fuzzed(service, mode, log_path)


def drawn(mode: str) -> list[Case]:
    """Return the cases for a mode; those that were asked for alone are for each."""
    if ONLY is not None:
        return [Case(SEED, int(number)) for number in ONLY.split(",")]
    return [Case(SEED, number) for number in range(MODES.index(mode), CASES, len(MODES))]


@pytest.mark.parametrize("mode", MODES)
def test_the_service_and_its_other_clients_hold_whatever_is_sent(fuzzed: Fuzzed, mode: str) -> None:
    assert fuzzed.converse() == []
    cases = drawn(mode)
    faults = fuzzed.play(cases[:WARM_UP])
    before = quiet(fuzzed.url)
    others = Bystanders(fuzzed.url)
    with others.beside():
        for start in range(0, len(cases), ROUND):
            answers = list(others.answers)
            faults += fuzzed.play(cases[start : start + ROUND])
            eventually(partial(others.served_since, answers), "normal clients are served")
    assert not faults, "\n\n".join(faults)
    eventually(
        lambda: not growth(before, held(fuzzed.url), len(cases)),
        lambda: f"it goes back: {growth(before, held(fuzzed.url), len(cases))}",
    )
    assert fuzzed.log.faults() == []


def test_a_case_is_the_same_each_time() -> None:
    assert [Case(7, number).script("x") for number in range(50)] == [
        Case(7, number).script("x") for number in range(50)
    ]
    assert Case(7, 1).script("x") != Case(8, 1).script("x")


def quiet(url: str) -> dict[str, int]:
    """Return what the worker holds once all clients are gone, and what was planned for them."""

    def is_quiet() -> bool:
        counts = held(url)
        return not any(counts[name] for name in ("sessions", "timers", "Session", "WebSocket"))

    eventually(is_quiet, lambda: f"the worker is quiet, which still holds {held(url)}")
    return held(url)
