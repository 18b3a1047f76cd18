"""Emit from processes that serve nobody: Celery tasks, cron jobs, scripts, other threads.

It needs no Flask app, no patched sockets and no task of its own, so it is safe in threads and in
processes that were forked after it was made::

    emitter = Emitter("redis://localhost:6379/0", "live-board")
    emitter.emit("update", {"channel": "news", "data": 1}, to="channel:news")
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from typing import Any

import socketio
from socketio.packet import EVENT

from production.realtime.outage import describe
from production.realtime.packets import StrictPacket
from production.realtime.queue_url import Form, parse
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, name
from production.realtime.sendable import MAX_ATTACHMENTS, check_name


class EmitError(Exception):
    """The event was not published, for the reason that the one sentence says."""


class Emitter:
    """Publishes events to the clients of a service.

    :param url: the service's ``REDIS_URL``.
    :param service_name: the service's ``SERVICE_NAME``.
    :param max_attachments: the service's ``MAX_ATTACHMENTS``.
    :param channel: what an adopted app calls the channel of its queue.
    :raises ValueError: one sentence about a URL that is none.
    """

    def __init__(
        self,
        url: str,
        service_name: str,
        max_attachments: int = MAX_ATTACHMENTS,
        channel: str | None = None,
    ) -> None:
        self._packets = StrictPacket.limited_to(max_attachments)
        self._manager = _Publisher(url, channel or name(service_name, "events", url=url))

    def emit(self, event: str, data: Any = None, to: Any = None, namespace: str = "/") -> None:
        """Publish an event; it waits a few seconds for the queue at most.

        Where that fails because the queue has moved, it is tried once more, on the server that has
        taken over. Nobody is sent it twice.

        :param event: the event's name.
        :param data: what can be written as JSON, bytes included; a tuple for several arguments.
        :param to: a room, a session id, a list of them, or nothing for everyone.
        :param namespace: the namespace of the clients.
        :raises EmitError: if the queue did not take it.
        :raises Unsendable: if clients could not read it; it is a TypeError and a ValueError.
        """
        check_name(event)
        arguments = data if isinstance(data, tuple) else (data,)
        self._packets(EVENT, [event, *arguments]).encode()
        self._manager.emit(event, data, namespace=namespace, room=to)


class _Publisher(socketio.PubSubManager):  # type: ignore[misc]
    """Writes the messages of :class:`~production.realtime.queue.QueueManager` and reads none."""

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(channel=channel, write_only=True)
        self._queue = QueueClient(url)
        # Nobody tells this process of a planned switch, and the old primary goes on for a while, but
        # nobody listens to it any more.
        self._may_be_left_behind = parse(url).form is Form.SENTINEL
        self._numbering = _Numbering()

    def _publish(self, data: dict[str, Any]) -> None:
        payload = json.dumps({**data, **self._numbering.next()})
        try:
            heard = self._queue.ask(lambda client: client.publish(self.channel, payload))
            if not heard and self._may_be_left_behind:
                self._queue.drop()
                self._queue.ask(lambda client: client.publish(self.channel, payload))
        except QUEUE_ERRORS as error:
            raise EmitError(f"The message queue did not take it: {describe(error)}") from error


class _Numbering(threading.local):
    """Numbers the messages of one thread, by which those who hear one twice know it again.

    Of one thread, since the numbers of a sender have to arrive in their order, and of one process, since
    two that were forked would give the same ones.
    """

    def __init__(self) -> None:
        self._begin()

    def next(self) -> dict[str, Any]:
        """Return what goes into the next message: who sends it, and its number."""
        if self._process != os.getpid():
            self._begin()
        self._number += 1
        return {"sender": self._sender, "number": self._number}

    def _begin(self) -> None:
        self._process = os.getpid()
        self._sender = uuid.uuid4().hex
        self._number = 0
