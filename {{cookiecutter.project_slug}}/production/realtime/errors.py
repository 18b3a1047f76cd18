"""What a client is told when its event fails, and what the log is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flask
import structlog
from flask_socketio import ConnectionRefusedError

from production.observe.current import current_fields

log = structlog.get_logger(__name__)


class Rejected(Exception):
    """An event that a handler declines, for a reason that its client may read.

    :param code: a short name that programs can compare.
    :param message: one sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


ErrorHandler = Callable[[Any], Any]


class WatchedErrorHandlers(dict[str, ErrorHandler]):
    """Flask-SocketIO's table of error handlers, which it asks for one when an event's handler has raised.

    :param handlers: those that are registered already, by namespace.
    :param note: called with each error, before it is handled.
    """

    def __init__(
        self, handlers: Mapping[str, ErrorHandler], note: Callable[[Exception], None]
    ) -> None:
        super().__init__(handlers)
        self._note = note

    def get(self, namespace: str, default: Any = None) -> Any:
        """Return what notes an error and then does what the namespace's handler does."""
        handler = super().get(namespace, default)
        if handler is None:
            return None

        def handle(error: Exception) -> Any:
            self._note(error)
            return handler(error)

        return handle


def error_answer(code: str, message: str) -> dict[str, Any]:
    """Return the acknowledgement of an event that failed.

    :param code: a short name that programs can compare.
    :param message: one sentence for people.
    """
    return {
        "ok": False,
        "error": {"code": code, "message": message, "request_id": current_request_id()},
    }


def current_request_id() -> str | None:
    """Return the id that the log records of the current event or request carry."""
    request_id = current_fields().get("request_id")
    return None if request_id is None else str(request_id)


def answer_error(error: Exception) -> dict[str, Any]:
    """Turn what a handler raised into its client's acknowledgement.

    A :class:`Rejected` is the client's business and leaves no trace; anything else is logged once,
    with its traceback, and told to the client by its request id only.

    :param error: what the handler raised.
    :return: the acknowledgement.
    :raises ConnectionRefusedError: if it was a connect handler: an acknowledgement would accept
        the client.
    """
    is_connect = flask.request.event["message"] == "connect"  # type: ignore[attr-defined]
    if isinstance(error, Rejected):
        answer = error_answer(error.code, error.message)
    else:
        log.error("event handler failed", exc_info=error)
        answer = error_answer("internal", "The service failed to handle this event.")
    if is_connect:
        raise ConnectionRefusedError(answer["error"]["message"], answer["error"]) from error
    return answer
