"""Presence: who is in a room, whichever worker holds the session.

Each worker writes who is in its rooms into a hash of its own, which expires unless the worker renews
it: what a killed worker held is gone after the lease, and nothing was counted that nobody could count
back. Without a queue there is one worker, and it knows.
"""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

from flask import current_app

from production.realtime.outage import Outage
from production.realtime.redis_connection import QUEUE_ERRORS, QueueClient, name
from production.realtime.skipped import skip

LEASE = 10
"""Seconds after which the sessions of a worker that was killed are no longer present."""

RENEWAL = 3.0
"""Seconds between two renewals: two may fail before the lease ends."""

GATHERING = 0.1
"""Seconds in which changes are gathered before they are written; others see them that late."""

RETRY_AFTER = (0.5, 1.5)
"""Seconds, drawn at random, until the next try to write."""

FORGOTTEN_AFTER = 3600
"""Seconds after which a worker that is gone leaves the list of workers. Only its hash says who is
present; the list says whom to ask, so that the clocks of several hosts need not agree."""

PRESENCE = "presence"


class PresenceUnavailable(Exception):
    """Who is present in other workers cannot be known now, since the queue does not answer."""


def members(room: str, namespace: str = "/") -> set[str]:
    """Return the ids of the sessions in a room, in all workers.

    It asks the queue: for a handler, not for a loop. Call it where Flask has a current app.

    :param room: the room.
    :param namespace: the namespace of the room.
    :raises PresenceUnavailable: if the queue does not answer.
    """
    presence: LocalPresence = current_app.extensions["production"].socketio.server.manager.presence
    return presence.members(room, namespace)


def count(room: str, namespace: str = "/") -> int:
    """Return how many sessions are in a room, in all workers.

    :param room: the room.
    :param namespace: the namespace of the room.
    :raises PresenceUnavailable: if the queue does not answer.
    """
    return len(members(room, namespace))


class LocalPresence:
    """Who is in the rooms of this process.

    :param manager: the client manager, which knows.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def members(self, room: str, namespace: str = "/") -> set[str]:
        """Return the ids of the sessions in a room."""
        return {sid for sid, _ in self._manager.get_participants(namespace, room)}


class SharedPresence(LocalPresence):
    """Who is in the rooms of all processes of a service.

    :param manager: the client manager of this process.
    :param url: where the queue is.
    :param service: the service's name.
    :param outage: where to note that who is here cannot be written.
    """

    def __init__(self, manager: Any, url: str, service: str, outage: Outage) -> None:
        super().__init__(manager)
        # One for each task: what a handler asks does not wait for what is written.
        self._reader = QueueClient(url)
        self._writer = QueueClient(url)
        self._service = service
        self._workers = name(service, "presence", "workers")
        self._outage = outage
        self._changed: set[tuple[str, Any]] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def start(self) -> None:
        """Start to tell the others who is here."""
        self._manager.server.start_background_task(self._write)

    def changed(self, sid: str, namespace: str, room: Any) -> None:
        """Note that a session entered or left a room; its own room is no secret to anyone."""
        if room is not None and room != sid:
            self._note(namespace, room)

    def members(self, room: str, namespace: str = "/") -> set[str]:
        """Return the ids of the sessions in a room, in all processes.

        :raises PresenceUnavailable: if the queue does not answer.
        """
        return super().members(room, namespace) | self._members_elsewhere(room, namespace)

    def _members_elsewhere(self, room: str, namespace: str) -> set[str]:
        if self._outage.faults:
            raise PresenceUnavailable("the message queue does not answer")
        try:
            found = self._reader.ask(lambda client: self._read(client, _field(namespace, room)))
        except QUEUE_ERRORS as error:
            raise PresenceUnavailable("the message queue does not answer") from error
        return {sid for sids in found if sids for sid in _session_ids(sids)}

    def _read(self, client: Any, field: str) -> list[bytes | None]:
        """Return a field of the hashes of all other workers."""
        pipeline = client.pipeline(transaction=False)
        for worker in client.zrange(self._workers, 0, -1):
            worker = worker.decode(errors="replace")
            if worker != self._manager.host_id:
                pipeline.hget(self._key(worker), field)
        found: list[bytes | None] = pipeline.execute()
        return found

    def _note(self, namespace: str, room: Any) -> None:
        with self._lock:
            self._changed.add((namespace, room))
        self._wake.set()

    def _key(self, worker: str) -> str:
        return name(self._service, "presence", worker)

    def _write(self) -> None:
        renew_at = 0.0
        while True:
            if self._wake.wait(max(0.0, renew_at - time.monotonic())):
                self._manager.server.sleep(GATHERING)
            self._wake.clear()
            with self._lock:
                changed, self._changed = self._changed, set()
            try:
                self._write_rooms(changed)
                renew_at = time.monotonic() + RENEWAL
                self._outage.end(PRESENCE)
            except Exception as error:
                self._outage.begin(PRESENCE, error)
                with self._lock:
                    self._changed |= changed
                renew_at = 0.0
                self._manager.server.sleep(random.uniform(*RETRY_AFTER))  # noqa: S311

    def _write_rooms(self, changed: set[tuple[str, Any]]) -> None:
        """Renew the lease and write the rooms that changed, or all if what was written is gone."""
        self._writer.ask(lambda client: self._renew(client, changed))

    def _renew(self, client: Any, changed: set[tuple[str, Any]]) -> None:
        key = self._key(self._manager.host_id)
        if not client.expire(key, LEASE):
            changed = changed | self._rooms()
        now = time.time()
        pipeline = client.pipeline(transaction=False)
        # The hash has a field from the start: one without any would not exist, nor expire.
        pipeline.hset(key, "since", str(now))
        for namespace, room in changed:
            if self._manager.has_connecting(namespace, room):
                # Once accepted, that client is present.
                self._note(namespace, room)
            sids = sorted(super().members(room, namespace))
            if sids:
                pipeline.hset(key, _field(namespace, room), json.dumps(sids))
            else:
                pipeline.hdel(key, _field(namespace, room))
        pipeline.expire(key, LEASE)
        pipeline.zadd(self._workers, {self._manager.host_id: now})
        pipeline.zremrangebyscore(self._workers, 0, now - FORGOTTEN_AFTER)
        pipeline.expire(self._workers, FORGOTTEN_AFTER)
        pipeline.execute()

    def _rooms(self) -> set[tuple[str, Any]]:
        """Return every room of this process but those of single sessions."""
        return {
            (namespace, room)
            for namespace, rooms in list(self._manager.rooms.items())
            for room in list(rooms)
            if room is not None and not self._manager.is_sid_room(namespace, room)
        }


def _session_ids(written: bytes) -> list[str]:
    """Read what another process has written of a room."""
    try:
        sids = json.loads(written)
    except (ValueError, RecursionError) as error:
        skip("the members of a room cannot be read", error)
        return []
    return [sid for sid in sids if isinstance(sid, str)] if isinstance(sids, list) else []


def _field(namespace: str, room: Any) -> str:
    return json.dumps([namespace, room])
