"""Who is let in by the operators' token, and how often one may try."""

from __future__ import annotations

import time
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError
from structlog.testing import capture_logs

from production.observe.door import MOST_ADDRESSES, PERIOD, TRIES, Door

TOKEN = "a-token-of-operators-0123456789-abcdef"


def refusal(door: Door, token: Any, address: str = "192.0.2.1") -> str:
    with pytest.raises(ConnectionRefusedError) as refused:
        door.enter(token, address)
    code: str = refused.value.error_args["data"]["code"]
    return code


def test_the_token_lets_in() -> None:
    Door(TOKEN).enter(TOKEN, "192.0.2.1")


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN + "x", None, 7, [TOKEN], "\ud800", "é"])
def test_nothing_else_does(token: Any) -> None:
    assert refusal(Door(TOKEN), token) == "token"


def test_an_address_that_guesses_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Door(TOKEN)
    with capture_logs() as records:
        for _ in range(TRIES):
            assert refusal(door, "guess") == "token"
    assert [record["log_level"] for record in records] == ["warning"]
    assert refusal(door, TOKEN) == "too_many"
    door.enter(TOKEN, "192.0.2.2")
    now += PERIOD
    door.enter(TOKEN, "192.0.2.1")


def test_guesses_from_many_addresses_take_no_memory() -> None:
    door = Door(TOKEN)
    for number in range(MOST_ADDRESSES + 10):
        refusal(door, "guess", address=str(number))
    assert len(door._wrong) == MOST_ADDRESSES
