"""What may be sent or kept: what every receiver can read.

A receiver that cannot read a packet ends its session, comes back, and is sent the same again. The rules
are those of the strictest receivers that there are: JSON as RFC 8259 has it, numbers that are one in
JavaScript, Unicode, a nesting that no decoder counts as an attack, and as many attachments as the
official client of browsers takes (socket.io-parser, option ``maxAttachments``).

They are looked up in the encoded text, by methods that Python has in C. Upstream walks all of the data for
bytes before it encodes it, which takes longer than all of this.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial
from json import JSONEncoder
from typing import Any

from engineio import json as engineio_json
from socketio.packet import Packet

MAX_ATTACHMENTS = 10
"""Attachments that the official client takes with one packet, unless it is told otherwise."""

MAX_DEPTH = 100
"""Arrays and objects within each other, of data; .NET's decoder takes 64 by default, Swift's 512."""

ENVELOPE = 2
"""Levels of nesting around what is published, in the packet that brings it."""

MAX_DIGITS = 100
"""Digits of an integer that Engine.IO's decoder takes."""

EXACT_DIGITS = 15
"""Digits of an integer that is one in JavaScript, whatever they are: it knows doubles only."""

RESERVED_NAMES = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Events that the official client takes from nobody (socket.io-parser, ``RESERVED_EVENTS``)."""

_Encoder = partial(JSONEncoder, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{%d,}(?![\d.eE])" % (EXACT_DIGITS + 1))


class Unsendable(TypeError, ValueError):
    """Data that a receiver could not read. An app may expect either, since ``json`` raises both.

    :param code: a short name that programs can compare.
    :param message: one sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def of(self, what: str) -> Unsendable:
        """Return the same, said of something.

        :param what: what cannot be sent.
        """
        return type(self)(self.code, f"{what} cannot be sent: {self.message}.")


def check_name(event: Any) -> None:
    """Make sure that clients can read the name of an event.

    :param event: its name.
    :raises Unsendable: if the official client would end its session for it.
    """
    if not isinstance(event, str | int) or isinstance(event, bool):
        fault = Unsendable("event_name", "its name has to be text")
    elif event in RESERVED_NAMES:
        fault = Unsendable("event_name", "clients keep this name for themselves")
    else:
        return
    raise fault.of(f"The event {event!r}")


def write(data: Any, json: Any = engineio_json) -> tuple[str, list[bytes]]:
    """Write data as a Socket.IO packet has it.

    :param data: JSON, bytes, or both.
    :param json: the module that writes JSON, where the app has chosen one.
    :return: the JSON with placeholders for the bytes, and those.
    :raises Unsendable: if it is anything else.
    """
    attachments: list[bytes] = []

    def attach(value: Any) -> dict[str, Any]:
        if not isinstance(value, bytes | bytearray):
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}

    try:
        if json is engineio_json:
            return _Encoder(default=attach).encode(data), attachments
        # What the app's own module makes of other types is its business, so the bytes go before.
        if Packet.data_is_binary(data):
            data, parts = Packet.deconstruct_binary(data)
            attachments += map(bytes, parts)
        text = json.dumps(data, separators=(",", ":"))
    except RecursionError:
        raise too_deep() from None
    except (TypeError, ValueError) as error:
        raise Unsendable("not_json", str(error)) from error
    _check_foreign(text)
    return text, attachments


def check(
    text: str, attachments: int, max_attachments: int, max_depth: int = MAX_DEPTH + ENVELOPE
) -> None:
    """Make sure that every receiver can read what is sent.

    :param text: JSON as :func:`write` returned it.
    :param attachments: how many attachments belong to it.
    :param max_attachments: how many may.
    :param max_depth: how many arrays and objects may be within each other.
    :raises Unsendable: saying what is wrong.
    """
    if attachments > max_attachments:
        raise Unsendable(
            "attachments", f"it has {attachments} attachments, and at most {max_attachments} may be"
        )
    if attachments:
        _check_places(text, attachments)
    encoded = _in_unicode(text)
    if _may_have_run(encoded, MAX_DIGITS + 1):
        _check_digits(encoded)
    if encoded.count(b"[") + encoded.count(b"{") > max_depth and _is_deeper(encoded, max_depth):
        raise too_deep()


def check_places(data: Any, attachments: int) -> None:
    """Make sure that there are no other placeholders in data than those of its attachments.

    :param data: what has placeholders already.
    :param attachments: how many attachments belong to it.
    :raises Unsendable: if there are.
    """
    _check_places(write(data)[0], attachments)


def check_numbers(text: str) -> None:
    """Make sure that JavaScript reads each integer as the one that it is.

    :param text: JSON as :func:`write` returned it.
    :raises Unsendable: if it would not.
    """
    encoded = text.encode()
    if _may_have_run(encoded, EXACT_DIGITS + 1):
        for digits in _INTEGER.findall(_without_strings(encoded)):
            if not _is_double(int(digits)):
                raise Unsendable(
                    "number", "JavaScript would read another number: send large ones as text"
                )


def _check_places(text: str, attachments: int) -> None:
    if text.count('"_placeholder":') != attachments:
        raise Unsendable("attachments", "beside bytes, no key may be called _placeholder")


def _check_foreign(text: str) -> None:
    """Check of JSON that another module wrote what is sure of Python's own."""
    encoded = _in_unicode(text)
    structure = _without_strings(encoded)
    if b"N" in structure or b"I" in structure:
        raise Unsendable("not_json", "NaN and infinities are no JSON")
    if b"\\u" in encoded:
        escaped = encoded.decode("raw_unicode_escape").encode("utf-16-le", "surrogatepass")
        _in_unicode(escaped.decode("utf-16-le", "surrogatepass"))


def _in_unicode(text: str) -> bytes:
    """Return text in UTF-8, which half of a surrogate pair cannot be written in."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unsendable("not_unicode", "half of a surrogate pair is no character") from None


def _without_strings(encoded: bytes) -> bytes:
    """Return what JSON consists of beside strings."""
    if b"\\" in encoded:
        encoded = encoded.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(encoded.split(b'"')[::2])


def _may_have_run(encoded: bytes, digits: int) -> bool:
    """Tell whether so many digits may follow on each other, by looking at each fourth part of them."""
    stride = digits // 4
    return b"0000" in encoded[::stride].translate(_DIGITS)


def _check_digits(encoded: bytes) -> None:
    if b"0" * (MAX_DIGITS + 1) in _without_strings(encoded).translate(_DIGITS):
        raise Unsendable("number", f"an integer has more than {MAX_DIGITS} digits")


def _is_deeper(encoded: bytes, depth: int) -> bool:
    brackets = _without_strings(encoded).translate(_BRACKETS, _ALL_BUT_BRACKETS)
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _is_double(number: int) -> bool:
    """Tell whether a double is this integer, or is written as it by JavaScript."""
    try:
        double = float(number)
    except OverflowError:
        return False
    return double == number or Decimal(repr(double)) == number


def too_deep() -> Unsendable:
    """Return the fault of data that is nested too deeply for its receivers."""
    return Unsendable("too_deep", f"at most {MAX_DEPTH} arrays and objects may be nested")
