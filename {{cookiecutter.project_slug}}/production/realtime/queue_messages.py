"""What processes tell each other through the message queue, and how to know it from anything else.

Upstream takes whatever is JSON and has a method, and fails in one of many ways at what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CANARY = "canary"
NOTICE = "notice"


class Malformed(ValueError):
    """What was received is none of those messages."""


def read(payload: bytes, loads: Callable[[bytes], Any]) -> dict[str, Any]:
    """Read a message.

    :param payload: what was received.
    :param loads: reads JSON.
    :return: the message; it has a method that there is, and what that needs.
    :raises Malformed: if it is none.
    """
    try:
        message = loads(payload)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"it cannot be decoded: {error}") from error
    if not isinstance(message, dict):
        raise Malformed("it is no object")
    method = message.get("method")
    has_what_it_needs = _METHODS.get(method) if isinstance(method, str) else None
    if has_what_it_needs is None or not has_what_it_needs(message):
        raise Malformed("it is no message between processes")
    return message


def _is_emit(message: dict[str, Any]) -> bool:
    data, room, skipped = message.get("data"), message.get("room"), message.get("skip_sid")
    return (
        isinstance(message.get("event"), str | int)
        and "data" in message
        and (not message.get("binary") or (isinstance(data, list) and _are_texts(data[1:])))
        and _is_namespace(message)
        and (_is_name(room) or _are_names(room))
        and (_is_name(skipped) or _are_names(skipped))
        and _is_callback(message.get("callback"))
    )


def _is_answer(message: dict[str, Any]) -> bool:
    return (
        # The room that was asked, which may be a session.
        _is_name(message.get("sid"))
        and isinstance(message.get("id"), int)
        and isinstance(message.get("args"), list)
    )


def _names_session(message: dict[str, Any]) -> bool:
    return isinstance(message.get("sid"), str) and _is_namespace(message)


def _names_session_and_room(message: dict[str, Any]) -> bool:
    return _names_session(message) and _names_room(message)


def _names_room(message: dict[str, Any]) -> bool:
    return message.get("room") is not None and _is_name(message["room"]) and _is_namespace(message)


def _is_canary(message: dict[str, Any]) -> bool:
    sent_at = message.get("sent_at")
    return isinstance(sent_at, int | float) and not isinstance(sent_at, bool)


def _is_notice(message: dict[str, Any]) -> bool:
    return isinstance(message.get("topic"), str)


def _is_namespace(message: dict[str, Any]) -> bool:
    return isinstance(message.get("namespace"), str | None)


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int | float | None)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _are_texts(value: list[Any]) -> bool:
    return all(isinstance(each, str) for each in value)


def _is_callback(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 3)


_METHODS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "emit": _is_emit,
    "callback": _is_answer,
    "disconnect": _names_session,
    "enter_room": _names_session_and_room,
    "leave_room": _names_session_and_room,
    "close_room": _names_room,
    CANARY: _is_canary,
    NOTICE: _is_notice,
}
