"""Check what an event brings before its handler sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from production.realtime.errors import Rejected

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[Model], Any]


def accepts(model: type[Model]) -> Callable[[Handler[Model]], Callable[..., Any]]:
    """Give an event handler the validated payload, or tell the client what is wrong with it.

    :param model: the pydantic model of the event's one argument.
    :return: a decorator; it goes below ``@socketio.on(...)``.
    """

    def decorate(handler: Handler[Model]) -> Callable[..., Any]:
        @wraps(handler)
        def handle(*arguments: Any) -> Any:
            return handler(parse(model, *arguments))

        return handle

    return decorate


def parse(model: type[Model], *arguments: Any) -> Model:
    """Read the arguments of an event.

    :param model: the pydantic model of the one argument that is expected.
    :param arguments: what the client sent.
    :return: the validated payload.
    :raises Rejected: saying what is wrong, field by field.
    """
    if len(arguments) != 1:
        raise Rejected("invalid", f"One object is expected, {len(arguments)} arguments were sent.")
    try:
        return model.model_validate(arguments[0])
    except ValidationError as error:
        raise Rejected("invalid", explain(error)) from None


def explain(error: ValidationError) -> str:
    """Say what is wrong, field by field, without repeating what was sent.

    :param error: what pydantic found.
    """
    return "; ".join(
        f"{'.'.join(map(str, detail['loc'])) or 'payload'}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False)
    )
