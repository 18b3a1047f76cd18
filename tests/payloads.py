"""Payloads drawn at random, and a reader of them that is as strict as the JavaScript client."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from hypothesis import strategies as st

MOST_ATTACHMENTS = 10
"""What the official client takes with one packet."""

ODD_NUMBERS = (
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    2**53 - 1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**60,
    1152921504606847000,  # 2**60, as JavaScript writes it
    2**63 - 1,
    10**21,
    10**99,
    10**100,
    10**309,
    10**4299,
)

characters = st.one_of(
    st.characters(),
    st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
    st.sampled_from('\x00\x1e\u2028\u2029\ufeff\uffff\U0001f600"\\/[]{}0:,NI'),
)
texts = st.one_of(
    st.text(characters, max_size=12),
    st.sampled_from(
        ["_placeholder", "\\ud800", "\\", "\\\\ud800", "\ud83d\ude00", "NaN", "1" * 200, "[" * 200]
    ),
    st.integers(1, 40_000).map(lambda length: "é" * length),
)
numbers = st.one_of(
    st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(ODD_NUMBERS)
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
binary = st.one_of(st.binary(max_size=20), st.just(b""), st.just(b"\x00" * 70_000))
keys = st.one_of(texts, st.sampled_from(["_placeholder", "num", "__proto__", "length", ""]))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=14),
        st.dictionaries(keys, inner, max_size=6),
        st.fixed_dictionaries({"_placeholder": st.just(True), "num": st.integers(-2, 12)}),
    )


@st.composite
def _nested(draw: st.DrawFn, innermost: st.SearchStrategy[Any]) -> Any:
    """Draw something within many arrays and objects."""
    value = draw(innermost)
    depth = draw(st.sampled_from([90, 98, 99, 100, 101, 102, 110, 300, 480]))
    as_object = draw(st.booleans())
    for _ in range(depth):
        value = {"a": value} if as_object else [value]
    return value


documents = st.one_of(
    scalars, st.recursive(scalars, _containers, max_leaves=25), _nested(st.integers(0, 9))
)
"""What JSON can hold, and some things that only Python's JSON can."""

payloads = st.one_of(
    documents,
    st.recursive(st.one_of(scalars, binary), _containers, max_leaves=25),
    st.lists(binary, min_size=8, max_size=13),
    _nested(binary),
)
"""The same, with bytes at any place."""

bodies = st.one_of(
    documents.map(lambda document: json.dumps(document) if _can_be_written(document) else "1e400"),
    st.sampled_from(
        [
            "1e400",
            "[-1E999]",
            "1e-400",
            "-0",
            "01",
            "[1,]",
            '{"a":1,"a":2}',
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '"\\ud83d\\ude00"',
            "[" * 100_000,
            '{"a":' * 20_000,
            "1" * 5000,
            "\ufeff1",
            "",
        ]
    ),
)
"""Bodies of requests, most of them JSON."""


def _can_be_written(document: Any) -> bool:
    return all(abs(part) < 10**4000 for part in _scalars(document) if type(part) is int)


class NotStrict(AssertionError):
    """What the JavaScript client would end its session for."""


def read_json(text: str) -> Any:
    """Read JSON as RFC 8259 and JavaScript have it.

    :raises NotStrict: if it is none.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise NotStrict(f"{error}: {text[:200]!a}") from error
    for part in _scalars(value):
        if isinstance(part, str):
            _check_unicode(part)
        if isinstance(part, float) and math.isinf(part):
            raise NotStrict("a number that no double is")
    return value


def read_packet(text: str, attachments: list[bytes]) -> list[Any]:
    """Read the data of an event or acknowledgement as socket.io-parser does.

    :param text: what begins with the packet's type.
    :param attachments: what came after it.
    :raises NotStrict: if it would end the session.
    """
    data = read_json(text[text.index("[") :])
    announced = announced_attachments(text)
    if announced > MOST_ATTACHMENTS:
        raise NotStrict("too many attachments")
    assert announced == len(attachments)
    if text[0] in "56":
        data = _with_attachments(data, attachments)
    if not isinstance(data, list):
        raise NotStrict("invalid payload")
    return data


def announced_attachments(text: str) -> int:
    """Return how many attachments follow a packet's text."""
    if text[0] not in "56":
        return 0
    digits, dash, _ = text[1:].partition("-")
    if not dash or not digits.isdecimal() or digits == "0":
        raise NotStrict("illegal attachments")
    return int(digits)


def as_javascript(value: Any) -> Any:
    """Return what JavaScript has of a value: numbers are doubles, and half characters that meet are one.

    An integer that is beyond all doubles stays what it is, and equals nothing that arrives.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value) if abs(value) < 10**308 or isinstance(value, float) else value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, dict):
        return {as_javascript(key): as_javascript(each) for key, each in value.items()}
    return [as_javascript(each) for each in value]


def _with_attachments(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            number = value.get("num")
            if not isinstance(number, float) or not 0 <= number < len(attachments):
                raise NotStrict("illegal attachments")
            return attachments[int(number)]
        return {key: _with_attachments(each, attachments) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_attachments(each, attachments) for each in value]
    return value


def _scalars(value: Any) -> list[Any]:
    """Return all that is no array or object, and all keys."""
    found: list[Any] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found += part
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
        else:
            found.append(part)
    return found


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotStrict(str(error)) from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
