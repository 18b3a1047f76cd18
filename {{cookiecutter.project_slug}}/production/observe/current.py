"""What is being handled: which event of which session, for its log records, reports and traces.

Requests are bound in structlog's context variables, as an app may bind what it likes. Events are so
many, and write so rarely, that theirs is one variable, and what nobody asks for is not made.
"""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


class CurrentEvent:
    """An event that is being handled.

    :param session: the Socket.IO session id.
    :param name: the event's name.
    :param namespace: its namespace.
    """

    def __init__(self, session: str, name: str, namespace: str) -> None:
        self.session = session
        self.name = name
        self.namespace = namespace

    @property
    def request_id(self) -> str:
        """The id that all records of this event have, drawn when the first one asks for it."""
        # In one step, since tasks that the handler has started may ask at the same time.
        request_id: str = self.__dict__.setdefault("_request_id", uuid.uuid4().hex)
        return request_id

    def fields(self) -> dict[str, Any]:
        """Return what the log is told."""
        return {
            "session": self.session,
            "event_name": self.name,
            "namespace": self.namespace,
            "request_id": self.request_id,
        }


UNKNOWN_CLIENT = "unknown"
"""Who is behind a proxy that does not say for whom it asks, or behind a Unix socket."""

#: The address of the client whom this process is busy with here, as it is counted (see
#: ``production/http/proxy.py``); ``None`` where that is no client.
current_client: ContextVar[str | None] = ContextVar("current_client", default=None)

#: The event that is being handled here, nothing outside of any.
current_event: ContextVar[CurrentEvent | None] = ContextVar("current_event", default=None)


def current_fields() -> dict[str, Any]:
    """Return what the records of the current event or request carry, and whatever the app has bound."""
    bound = structlog.contextvars.get_contextvars()
    event = current_event.get()
    return bound if event is None else {**bound, **event.fields()}


def merge_current(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Add :func:`current_fields` to a record, in which what the record says itself stays."""
    return {**current_fields(), **event_dict}
