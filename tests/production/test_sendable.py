"""What may be sent: whatever is drawn is refused, or arrives equal at a strict reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from socketio.packet import EVENT

from payloads import as_javascript, documents, payloads, read_packet
from production.realtime.packets import StrictPacket
from production.realtime.sendable import MAX_DEPTH, Unsendable
from production.realtime.updates import decode, encode

SETTINGS = settings(max_examples=100, deadline=None, derandomize=True, database=None)


class WithModule(StrictPacket):
    """Packets of an app that has chosen a module that writes JSON."""

    json = json


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def arrived(packet: StrictPacket) -> Any:
    encoded = packet.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return read_packet(text, [bytes(each) for each in attachments])


@SETTINGS
@given(payloads)
def test_what_is_emitted_is_refused_or_arrives_equal(payload: Any) -> None:
    try:
        data = arrived(StrictPacket(EVENT, data=["said", payload]))
    except Unsendable:
        return
    assert data == ["said", as_javascript(payload)]


@SETTINGS
@given(payloads)
def test_what_is_published_is_refused_or_comes_back(payload: Any) -> None:
    try:
        encoded = encode(payload)
    except Unsendable:
        return
    assert as_javascript(decode(encoded)) == as_javascript(payload)
    update = {"channel": "a", "data": decode(encoded), "sequence": 1, "epoch": "e"}
    _, sent = arrived(StrictPacket(EVENT, data=["update", update]))
    assert sent["data"] == as_javascript(payload)


@SETTINGS
@given(documents)
def test_a_json_module_of_the_app_is_held_to_the_same(payload: Any) -> None:
    try:
        data = arrived(WithModule(EVENT, data=["said", payload]))
    except Unsendable:
        return
    assert data == ["said", as_javascript(payload)]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (float("nan"), "not_json"),
        ({"a": [float("inf")]}, "not_json"),
        ({1, 2}, "not_json"),
        ({(1, 2): 3}, "not_json"),
        ("half \ud800", "not_unicode"),
        ({"\udfff": 1}, "not_unicode"),
        (10**101, "number"),
        (-(10**101), "number"),
        ([[1] * 200, 10**400], "number"),
        (10**5000, "not_json"),
        (nested(MAX_DEPTH + 3), "too_deep"),
        (nested(5000), "too_deep"),
        ([nested(MAX_DEPTH + 3)] * 2, "too_deep"),
        ([b"x"] * 11, "attachments"),
        ([b"x", {"_placeholder": True, "num": 7}], "attachments"),
    ],
    ids=lambda _: "",  # Some of them cannot be written.
)
def test_what_a_receiver_could_not_read_is_refused_by_name(payload: Any, code: str) -> None:
    with pytest.raises(Unsendable, match="'said'") as refused:
        StrictPacket(EVENT, data=["said", payload]).encode()
    assert refused.value.code == code


@pytest.mark.parametrize(
    "payload",
    [
        {"text": "a \\ud800 that is spelled out", "more": "\\\\"},
        "😀 \u2028",
        ["[" * 500, "1" * 500, 'NaN "quoted" Infinity', "_placeholder"],
        {"_placeholder": True, "num": 7},
        [[{}]] * 500,
        nested(MAX_DEPTH),
        0.1 + 0.2,
        2**80,
        {1: "a", None: "b"},
        [b""] * 10,
        (1, (2, b"x")),
    ],
)
def test_what_looks_like_it_and_is_not_is_sent(payload: Any) -> None:
    StrictPacket(EVENT, data=["said", payload]).encode()


@pytest.mark.parametrize(
    "number", [2**53 + 1, -(2**53) - 1, 10**22 + 1, pytest.param(10**400, id="enormous")]
)
def test_a_number_that_javascript_would_change_is_not_published(number: int) -> None:
    for payload in (number, {"a": [1.5, number]}):
        with pytest.raises(Unsendable) as refused:
            encode(payload)
        assert refused.value.code == "number"


@pytest.mark.parametrize(
    "number", [2**53, 2**60, 1152921504606847000, 9.007199254740993e15, 1e300, "9" * 40]
)
def test_a_number_that_javascript_has_is_published(number: Any) -> None:
    assert decode(encode([number])) == [number]


def test_the_limit_of_attachments_is_that_of_the_service() -> None:
    packet = StrictPacket.limited_to(12)(EVENT, data=["said", [b"x"] * 12])
    assert len(packet.encode()) == 13
