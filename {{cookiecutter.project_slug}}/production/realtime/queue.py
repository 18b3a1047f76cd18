"""The message queue: how emits of one process reach the clients of another.

This is the seam to :mod:`socketio.pubsub_manager`, which says what is sent; here is how. Upstream's
own Redis manager publishes while the emitting handler waits (10 s when the queue hangs), logs four
records for each emit that fails, tries again after up to a minute, and does not notice a
subscription that died without a word.

One task publishes what the handlers have put into the outbox; another listens. Every few seconds
the first publishes a canary and the second has to hear it: that proves the whole way round. A canary
that is late while messages arrive is behind them, and not lost: nobody takes a listener that is busy
for one that is deaf. Canaries say what their process has published, so that who hears one knows what
it did not hear.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import socketio
import structlog

from production.observe import metrics
from production.realtime import sentinels
from production.realtime.emitter import Emitter
from production.realtime.manager import ConnectedOnly, CountedDelivery
from production.realtime.misdirected import STOCK_CHANNELS, tell_once
from production.realtime.outage import ProvenOutage
from production.realtime.outbox import Entry, Outbox
from production.realtime.presence import SharedPresence
from production.realtime.queue_messages import CANARY, NOTICE, Malformed, read
from production.realtime.queue_rights import check_queue
from production.realtime.queue_url import Form, parse
from production.realtime.redis_connection import (
    QueueClient,
    connect,
    make_sure_of,
    name,
    publishing_pipeline,
)
from production.realtime.repeats import Repeats
from production.realtime.sendable import Unsendable, check_places
from production.realtime.skipped import skip

log = structlog.get_logger(__name__)

RETRY_AFTER = (0.2, 0.8)
"""Seconds, drawn at random, until the next try: workers do not fall upon a queue that is back."""

HANDSHAKE_TIMEOUT = 1.0
"""Seconds for the queue to answer a new listener. With the longest pause between two tries a listener
is back 1.8 s after the queue is, even if it hung in the middle of one."""

CANARY_INTERVAL = 2.0
"""Seconds between two canaries."""

SILENCE = 5.0
"""Seconds after which a listener that has read all there was, and no canary, is deaf; two in a row may
be late."""

LOOK = 0.5
"""Seconds between two looks of a listener that hears nothing at whether the queue has moved."""

RESUBSCRIBE_TIME = 2.0
"""Seconds that the other processes have to subscribe again, before what waits is published."""

CATCH_UP_PAUSE = 0.05
"""Seconds between two full batches of what waited: 4,000 messages a second. All at once, they would be
more than a client may have waiting (``MAX_QUEUED_MESSAGES``)."""

PUBLISHING = "publishing"
LISTENING = "listening"


class Silence(TimeoutError):
    """The subscription stands and brings nothing, not even what was published by this process."""


class QueueManager(ConnectedOnly, socketio.PubSubManager, CountedDelivery):  # type: ignore[misc]
    """Publishes to Redis or Valkey and delivers to the clients of this process.

    :param url: where the queue is.
    :param service: the service's name, so that two services on one queue never mix.
    :param backlog: how many messages may wait for the queue.
    :param backlog_seconds: how long one may wait.
    :param channel: what other processes call the channel, where that is theirs to say.
    """

    name = "queue"

    # Upstream's, made with each manager: in the worker, since nothing is loaded before the fork.
    host_id: str

    def __init__(
        self,
        url: str,
        *,
        service: str,
        backlog: int,
        backlog_seconds: float,
        channel: str | None = None,
    ) -> None:
        super().__init__(channel=channel or name(service, "events", url=url))
        self._url = url
        self._service = service
        self._outbox = Outbox(backlog, backlog_seconds, self._dumps)
        self._repeats = Repeats()
        self._counters: Counter[str] = Counter(
            published=0, failed=0, received=0, malformed=0, missed=0
        )
        #: What does not work, here or in what else uses the queue: it is one outage.
        self.outage = ProvenOutage(lambda: self._outbox.dropped)
        self._wake = threading.Event()
        self._canary_at = 0.0
        # From when on the outbox may be published; nothing while the queue has not answered since
        # it was lost.
        self._settled_at: float | None = 0.0
        # When the canaries that were not heard were published, and when one was heard last, and how
        # long it had been under way.
        self._unheard: deque[float] = deque()
        self._heard_at: float | None = None
        self._way = 0.0
        # What this process has published last, which its canaries tell the others.
        self._last_published = 0
        self.presence = SharedPresence(self, url, service, self.outage)
        self._listeners: dict[str, Callable[[], None]] = {}

    # What others may know

    def counters(self) -> dict[str, int]:
        """Return what was counted since the start.

        ``failed`` counts failed attempts to publish, after which the same messages are tried again,
        ``dropped`` messages that were given up here, ``missed`` those of other processes that were
        lost on their way or given up there.
        """
        return {**self._counters, "dropped": self._outbox.dropped}

    @property
    def waiting(self) -> int:
        """How many messages wait to be published."""
        return len(self._outbox)

    def silence(self) -> float | None:
        """Return for how many seconds no canary has come round; nothing if none ever has."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    def lag(self) -> float:
        """Return how many seconds late this process hears what is published."""
        with contextlib.suppress(IndexError):
            return max(self._way, time.monotonic() - self._unheard[0])
        return self._way

    def check(self) -> None:
        """Make sure that the queue is what its URL says and lets this process do what it does.

        :raises ConfigurationError: in one sentence, if not; never because it cannot be reached.
        """
        check_queue(self._url, self._service, self.channel)

    def flush(self, seconds: float) -> None:
        """Wait until everything is published, but not for longer than some seconds."""
        deadline = time.monotonic() + seconds
        while self._outbox and time.monotonic() < deadline:
            self.server.sleep(0.02)

    def emitter(self, max_attachments: int) -> Emitter:
        """Return what publishes from a process that was forked from this one, and has none of its tasks.

        :param max_attachments: how many a message may have.
        """
        return Emitter(self._url, self._service, max_attachments, self.channel)

    # What processes tell each other

    def tell(self, topic: str) -> None:
        """Tell the other processes of the service, soon and without waiting.

        :param topic: what it is about; who was given to :meth:`hear` for it is called there.
        """
        self._publish({"method": NOTICE, "topic": topic})

    def hear(self, topic: str, listener: Callable[[], None]) -> None:
        """Have something called whenever another process tells of a topic.

        :param topic: what it is about.
        :param listener: what to call; the queue waits for it.
        """
        self._listeners[topic] = listener

    # What Socket.IO calls

    def initialize(self) -> None:
        """Start to listen and to publish."""
        super().initialize()
        self.server.start_background_task(self._write)
        if self.channel not in STOCK_CHANNELS:
            self.server.start_background_task(tell_once, self.server, self._url, self.channel)
        self.presence.start()
        address = parse(self._url)
        if address.form is Form.SENTINEL:
            sentinels.listen(self.server, address)

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        """Emit to the clients of this process now and to those of others soon, without waiting.

        What is for sessions of this process only is nobody else's concern.
        """
        metrics.emits.inc()
        namespace = namespace or "/"
        room = to or room
        if self._is_for_own_sessions(namespace, room):
            options["ignore_queue"] = True
        super().emit(event, data, namespace, room, skip_sid, callback, **options)

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Add a client to a room; the one place that every way into a room leads through."""
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self.presence.changed(sid, namespace, room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Remove a client from a room; the one place that every way out of a room leads through."""
        super().basic_leave_room(sid, namespace, room)
        self.presence.changed(sid, namespace, room)

    def _is_for_own_sessions(self, namespace: str, room: Any) -> bool:
        rooms = [room] if isinstance(room, str) else room
        return bool(rooms) and all(self.is_sid_room(namespace, each) for each in rooms)

    def _publish(self, data: dict[str, Any]) -> None:
        self._outbox.put({**data, "sender": self.host_id})
        self._wake.set()

    def _handle_emit(self, message: dict[str, Any]) -> None:
        if message.get("host_id") == self.host_id:
            if message["binary"]:
                self._check_places(message["event"], *message["data"])
            super()._handle_emit(message)
            return
        try:
            super()._handle_emit(message)
        except (ValueError, TypeError, LookupError, RecursionError) as fault:
            # Whoever published it did not look at what clients can read.
            self._skip(fault)

    def _check_places(self, event: str, data: Any, *attachments: str) -> None:
        """Refuse what upstream would fill in, and the app has not meant."""
        try:
            check_places(data, len(attachments))
        except Unsendable as fault:
            raise fault.of(f"The event {event!r}") from fault

    def _handle_disconnect(self, message: dict[str, Any]) -> None:
        # Runs the app's disconnect handler, for which the listener must not wait.
        self.server.start_background_task(super()._handle_disconnect, message)

    def _handle_callback(self, message: dict[str, Any]) -> None:
        # Runs a function of the app, for which the listener must not wait.
        self.server.start_background_task(super()._handle_callback, message)

    def _handle_enter_room(self, message: dict[str, Any]) -> None:
        if message.get("room") is not None:
            super()._handle_enter_room(message)

    def _handle_leave_room(self, message: dict[str, Any]) -> None:
        # None would make the client deaf, see rooms.py; other programs publish on the channel, too.
        if message.get("room") is not None:
            super()._handle_leave_room(message)

    def _handle_close_room(self, message: dict[str, Any]) -> None:
        if message.get("room") is not None:
            super()._handle_close_room(message)

    # Publishing

    def _write(self) -> None:
        queue = QueueClient(self._url)
        while True:
            self._wake.wait(self._next_due())
            self._wake.clear()
            try:
                # Once: if the queue has moved, the others have to find it before it is tried again.
                queue.ask_once(self._publish_due)
            except Exception as error:
                self._counters["failed"] += 1
                metrics.queue_failures.inc()
                self._lose(PUBLISHING, error)
                self._outbox.expire()
                self.server.sleep(random.uniform(*RETRY_AFTER))  # noqa: S311

    def _next_due(self) -> float:
        """Return in how many seconds there is something to publish."""
        if self._settled_at is None:
            return 0.0
        now = time.monotonic()
        if self._outbox or (self._settled_at > now and PUBLISHING in self.outage.faults):
            return max(0.0, min(self._canary_at, self._settled_at) - now)
        return max(0.0, self._canary_at - now)

    def _publish_due(self, client: Any) -> None:
        """Publish what may be published now."""
        now = time.monotonic()
        settled_at = self._settled_at
        settled = settled_at is not None and settled_at <= now
        batch = self._outbox.batch() if settled else []
        self._send(client, batch, with_canary=settled_at is None or self._canary_at <= now)
        if settled and self._outbox:
            if PUBLISHING in self.outage.faults:
                self.server.sleep(CATCH_UP_PAUSE)
        elif settled:
            self.outage.end(PUBLISHING)
        elif settled_at is None:
            # The queue answers, but who has not subscribed again yet would miss what is published.
            self._settled_at = time.monotonic() + RESUBSCRIBE_TIME

    def _send(self, client: Any, batch: list[Entry], *, with_canary: bool) -> None:
        if not (batch or with_canary):
            return
        pipeline = publishing_pipeline(client, self.channel)
        for entry in batch:
            pipeline.publish(self.channel, entry.payload)
        if with_canary:
            pipeline.publish(self.channel, self._dumps(self._canary(batch)))
        pipeline.execute()
        self._outbox.remove(batch)
        if batch:
            self._last_published = batch[-1].number
        self._counters["published"] += len(batch)
        metrics.queue_published.inc(len(batch))
        if with_canary:
            self._canary_at = time.monotonic() + CANARY_INTERVAL

    def _canary(self, batch: list[Entry]) -> dict[str, Any]:
        """Return a canary that follows a batch, and wait for it from now on."""
        now = time.monotonic()
        self._unheard.append(now)
        last = batch[-1].number if batch else self._last_published
        return {"method": CANARY, "sender": self.host_id, "sent_at": now, "last": last}

    # Listening

    def _listen(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                yield from self._subscription()
            except Exception as error:
                if self._lose(LISTENING, error):
                    self._wake.set()
            self.server.sleep(random.uniform(*RETRY_AFTER))  # noqa: S311

    def _subscription(self) -> Iterator[dict[str, Any]]:
        """Subscribe and yield what other processes publish, until that fails.

        :raises Silence: if the canaries do not come round, though nothing is in front of them.
        """
        # A PONG would look like silence here, and the canaries ask more than a PING does.
        client = connect(self._url, socket_timeout=HANDSHAKE_TIMEOUT, health_check_interval=0)
        try:
            with client.pubsub() as subscription:
                subscription.subscribe(self.channel)
                while True:
                    received = subscription.get_message()
                    if received is None:
                        received = self._wait_for_message(client, subscription)
                    if received["type"] == "message":
                        yield from self._read(received["data"])
                        # In the green modes a burst would otherwise pile up in front of clients
                        # whose writers had no chance to run.
                        self.server.sleep(0)
                    elif received["type"] == "subscribe":
                        self._start_listening()
        finally:
            client.close()

    def _start_listening(self) -> None:
        """Have a canary sent at once: the subscription is confirmed."""
        self._unheard.clear()
        self._canary_at = 0.0
        self._wake.set()

    def _wait_for_message(self, client: Any, subscription: Any) -> dict[str, Any]:
        """Wait for what is published next: nothing is there that could be in front of a canary.

        :raises Silence: if nothing comes, or a canary should have.
        :raises ConnectionError: redis-py's, if another server has become the one to listen to.
        """
        if self._unheard and time.monotonic() - self._unheard[0] > SILENCE:
            raise Silence(f"no message of this process came round for {SILENCE:g} s")
        until = time.monotonic() + SILENCE
        while time.monotonic() < until:
            make_sure_of(client)
            received: dict[str, Any] | None = subscription.get_message(timeout=LOOK)
            if received is not None:
                return received
        raise Silence(f"nothing arrived for {SILENCE:g} s")

    def _read(self, payload: bytes) -> Iterator[dict[str, Any]]:
        """Yield a message if it is for this process and was not here before."""
        try:
            message = read(payload, self.json.loads)
        except Malformed as fault:
            self._skip(fault)
            return
        sender: Any = message.get("sender")
        number: Any = message.get("number")
        if sender == self.host_id:
            if message.get("method") == CANARY:
                self._hear_canary(message["sent_at"])
            return
        if message.get("method") == CANARY:
            self._count_missed(sender, message.get("last"))
            return
        # What other programs publish carries neither, and is not sent twice by them.
        if isinstance(sender, str) and isinstance(number, int):
            self._count_missed(sender, number - 1)
            if self._repeats.is_repeat(sender, number):
                return
        if message.get("method") == NOTICE:
            self._notify(message.get("topic"))
            return
        self._counters["received"] += 1
        metrics.queue_received.inc()
        yield message

    def _hear_canary(self, sent_at: float) -> None:
        self._heard_at = time.monotonic()
        self._way = self._heard_at - sent_at
        metrics.queue_lag.observe(self._way)
        while self._unheard and self._unheard[0] <= sent_at:
            self._unheard.popleft()
        self.outage.end(LISTENING)
        self.outage.prove(sent_at)

    def _count_missed(self, sender: Any, last: Any) -> None:
        """Count what another process has published up to a number and this one never heard."""
        if not (isinstance(sender, str) and isinstance(last, int)):
            return
        missed = self._repeats.missed(sender, last)
        if missed:
            self._counters["missed"] += missed
            metrics.queue_missed.inc(missed)
            log.warning("messages of another process were lost", count=missed, sender=sender)

    def _skip(self, fault: Exception) -> None:
        self._counters["malformed"] += 1
        skip("a message of the queue cannot be read", fault)

    def _notify(self, topic: Any) -> None:
        # Anyone may publish on the channel, and anything.
        listener = self._listeners.get(topic) if isinstance(topic, str) else None
        if listener is not None:
            listener()

    def _lose(self, part: str, error: Exception) -> bool:
        """Note that a part failed, and hold the outbox back until the queue has settled again.

        :return: whether the part worked until now.
        """
        self._unheard.clear()
        worked = self.outage.begin(part, error)
        if worked or part == PUBLISHING:
            self._settled_at = None
        return worked

    def _dumps(self, message: dict[str, Any]) -> str:
        return str(self.json.dumps(message))
