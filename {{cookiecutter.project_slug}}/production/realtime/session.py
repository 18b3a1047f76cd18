"""One Engine.IO session: what it may send, what it may hold, and how it ends.

This is the seam to :mod:`engineio.socket`, whose session hangs on an oversize request, leaks on a
malformed frame, grows without bound for a client that does not read, and holds the descriptor of a
peer that is gone. Its private names are used in this file and in ``engine.py`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

from engineio import exceptions
from engineio.packet import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, UPGRADE, Packet
from engineio.socket import Socket
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import LimitedStream

from production.modes import BriefLock
from production.observe import metrics
from production.observe.lag import progress
from production.realtime.attachments import Attachment, attachments_of, parts_of
from production.realtime.backlog import Backlog
from production.realtime.floods import MOST_ODD_PACKETS, Allowance, Flooding
from production.realtime.frames import encode_frame
from production.realtime.inbox import open_inbox
from production.realtime.reasons import Reason
from production.realtime.websocket import (
    CLOSE_NORMAL,
    CLOSE_POLICY_VIOLATION,
    CLOSE_PROTOCOL_ERROR,
    LINGER,
    ProtocolViolation,
    WebSocket,
    asks_for_websocket,
)
from production.turns import Turn

UPGRADE_TIMEOUT = 10.0
"""Seconds that a client has to complete an upgrade; the same as Node's ``upgradeTimeout``."""

MALFORMED = (ValueError, TypeError, IndexError, KeyError, RecursionError)
"""What the decoders of Engine.IO and Socket.IO raise for input that they did not expect."""

UNREACHABLE = (Reason.SLOW_CLIENT, Reason.PING_TIMEOUT)
"""Reasons for which no goodbye could arrive."""

MOST_PACKETS = 10_000
"""Packets in one polling request. A client that emits in a loop sends all of it in one, where upstream
allows 16 and drops the rest without a word (Flask-SocketIO issue 1228); the size is the real limit."""

MOMENT = 0.05
"""Seconds in which what a client has sent on another connection before should have come."""

LOOK = 0.005
"""Seconds between two looks whether it has."""

SEPARATOR = "\x1e"
"""What stands between the packets of one polling request."""


FLUSH = object()
"""In a session's queue: what its WebSocket has left unsent is to be sent."""


class Session(Socket):  # type: ignore[misc]
    """A session of the hardened Engine.IO server.

    :param server: the :class:`~production.realtime.engine.EngineServer`.
    :param sid: the Engine.IO session id.
    """

    # Upstream's
    connected: bool
    upgrading: bool
    upgraded: bool
    closing: bool
    closed: bool
    last_ping: float | None

    def __new__(cls, server: Any, sid: str) -> Any:
        """Make a session; one of upstream's if the server is not the layer's, which takes its place for all."""
        wanted = getattr(server, "session_class", Socket)
        return super().__new__(cls) if wanted is cls else wanted(server, sid)

    def __init__(self, server: Any, sid: str) -> None:
        super().__init__(server, sid)
        self.opened_at = time.monotonic()
        #: The Socket.IO session id in the first namespace that the client joined. Unlike the
        #: Engine.IO session id, it is no secret that would be as good as the session itself.
        self.public_id: str | None = None
        #: Whether the client's last request for an upgrade came with the headers that make it one;
        #: nothing before there was any.
        self.upgrade_arrived: bool | None = None
        self.websocket: WebSocket | None = None
        # What sends the queue to the WebSocket; it ends with the queue, which most never need.
        self._writer: Any = None
        self._writer_lock = BriefLock()
        self.inbox = open_inbox(server)
        self.backlog = Backlog(server.max_queued_messages, server.max_queued_bytes)
        #: By which address its client is counted, see production/http/proxy.py.
        self.address: str | None = None
        #: Why the session ended, and more about it for the log.
        self.end_reason: str | None = None
        self.end_detail = ""
        self._odd_packets = Allowance(MOST_ODD_PACKETS)
        # Why this session must end, once that is decided, and what a WebSocket client is told.
        self._verdict: tuple[str, str] | None = None
        self._goodbye = (CLOSE_NORMAL, "")
        self._polling = False
        # Whether a WebSocket wants to be its transport.
        self._is_probed = False
        # When the ping that is unanswered was sent; upstream's last_ping is also set without one.
        self._pinged_at: float | None = None

    @property
    def transport(self) -> str:
        """The transport in use."""
        return "websocket" if self.upgraded else "polling"

    @property
    def has_websocket(self) -> bool:
        """Whether a WebSocket is its transport, or is about to be."""
        return bool(self.upgraded or self.upgrading)

    # Sending

    def send(self, pkt: Packet) -> None:
        """Queue a packet; a client that leaves too much of its queue unread is ended.

        :param pkt: an Engine.IO packet.
        """
        if self.closed or (self._verdict and pkt.packet_type == MESSAGE):
            return
        if isinstance(pkt.data, Attachment):
            return
        if pkt.packet_type == OPEN:
            # Upstream cuts the one to whole seconds, and the other off.
            pkt.data["pingInterval"] = round(self.server.ping_interval * 1000)
            pkt.data["pingTimeout"] = round(self.server.ping_timeout * 1000)
        if self._send_now(pkt):
            return
        if self.backlog.admit(pkt):
            self._enqueue(pkt)
        else:
            self.end(Reason.SLOW_CLIENT)

    def _send_now(self, pkt: Packet) -> bool:
        """Send a packet past the queue if nothing waits in it and the client takes it at once."""
        websocket = self.websocket
        if websocket is None or pkt.packet_type == CLOSE or self.backlog.messages:
            return False
        if not websocket.send_now(_frames(pkt)):
            return False
        if websocket.unsent:
            self._enqueue(FLUSH)
        return True

    def _enqueue(self, packet: Any) -> None:
        self.queue.put(packet)
        self._wake_writer()

    def poll(self) -> list[Packet]:
        """Wait for packets, for the answer of a long poll.

        :return: what is to be sent: one packet at least, also if the session has ended.
        :raises EngineIOError: if another poll of this session is waiting already.
        """
        if self._polling:
            self.close(reason=Reason.MALFORMED, detail="overlapping polls")
            raise exceptions.EngineIOError("overlapping polls")
        self._polling = True
        try:
            if self.upgrading:
                return [Packet(NOOP)]
            packets: list[Packet] = super().poll() or [Packet(NOOP)]
        finally:
            self._polling = False
        for packet in packets:
            self.backlog.release(packet)
        return [part for packet in packets for part in parts_of(packet)]

    def schedule_ping(self) -> None:
        """Plan the next ping, once the previous one was answered."""
        if self.last_ping:
            self.last_ping = None
            self.server.later(self.server.ping_interval, self.sid, Session._send_ping)

    def _send_ping(self) -> None:
        if self.closing or self.closed:
            return
        sent_at = time.monotonic()
        self.last_ping = self._pinged_at = sent_at
        self.send(Packet(PING))
        self.server.later(self.server.ping_timeout, self.sid, Session._expect_pong, sent_at)

    def _expect_pong(self, sent_at: float) -> None:
        if self.last_ping == sent_at:
            self.end(Reason.PING_TIMEOUT)

    def check_ping_timeout(self) -> bool:
        """Answer upstream's question; :meth:`_expect_pong` is what ends a dead session."""
        return not self.closed

    # Receiving

    def receive(self, pkt: Packet) -> None:
        """Handle a packet of the client.

        :raises EngineIOError: if a client has no business sending it, or the session is ending.
        """
        progress.mark()
        if self._verdict or self.closing:
            raise exceptions.SocketIsClosedError
        if pkt.packet_type not in (PONG, MESSAGE, UPGRADE, CLOSE):
            raise exceptions.UnknownPacketError(f"packet type {pkt.packet_type}")
        if pkt.packet_type == PONG and self._pinged_at is not None:
            seconds = time.monotonic() - self._pinged_at
            metrics.labelled(metrics.round_trip, self.transport).observe(seconds)
            self._pinged_at = None
        elif pkt.packet_type in (PONG, UPGRADE):
            self.count_odd_packet("packets that answer nothing")
        elif pkt.packet_type == CLOSE and not self.upgraded:
            # Its poll is to be answered in order.
            self._await(lambda: self._polling)
        super().receive(pkt)
        self.inbox.let_begin()
        if self._verdict:
            raise exceptions.SocketIsClosedError

    def count_odd_packet(self, what: str) -> None:
        """Count a packet that asks for nothing; no other is received of a client with no end of them.

        :param what: what it is, in the plural.
        """
        try:
            self._odd_packets.use(what)
        except Flooding as flooding:
            self._condemn(Reason.FLOODING, str(flooding), code=CLOSE_POLICY_VIOLATION)

    def handle_get_request(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Handle a poll, or the request for a WebSocket.

        :return: the packets that answer it, or an answer without any.
        :raises EngineIOError: for a request that ends the session, and is to be answered with 400.
        """
        if self.upgrading and not asks_for_websocket(environ):
            self._await(lambda: not self.upgrading)
            if self.upgraded:
                return self.server._bad_request("The session has moved to a WebSocket")
        return super().handle_get_request(environ, start_response)

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait a moment for what a client has sent on another of its connections."""
        deadline = time.monotonic() + MOMENT
        while not condition() and time.monotonic() < deadline:
            self.server.sleep(LOOK)

    def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Handle the packets of one polling request, and end the session if they make no sense.

        :raises EngineIOError: for a request that is to be answered with 400.
        """
        length = int(environ.get("CONTENT_LENGTH") or 0)
        turn = Turn(self.server.async_mode)
        try:
            # All of it, or none: what has come of a packet may look like a packet.
            for packet in _packets(LimitedStream(environ["wsgi.input"], length).readall()):
                self.receive(packet)
                turn.check()
        except ClientDisconnected as error:
            self.close(reason=Reason.TRANSPORT_ERROR, detail="a request ended early")
            raise exceptions.EngineIOError("incomplete payload") from error
        except (exceptions.UnknownPacketError, *MALFORMED) as error:
            self.close(reason=Reason.MALFORMED, detail=_describe(error))
            raise exceptions.EngineIOError("malformed payload") from error

    def _websocket_handler(self, ws: WebSocket) -> None:
        """Serve a WebSocket, as an upgrade or as the session's first transport."""
        if not self.connected:
            self.connected = self.upgraded = True
            # Engine.IO's handshake, for which a new connection has room.
            self._write_to(ws)
        elif not self._upgrade(ws):
            return
        self.websocket = ws
        if not self.queue.empty():
            self._wake_writer()
        self._read_from(ws)
        if not self._verdict:
            # The peer has stopped talking: nobody may wait for it to read.
            ws.abandon()
            self.websocket = None
            self.inbox.settle()
        self.close(reason=Reason.TRANSPORT_CLOSE, abort=True)
        if writer := self._writer:
            # Upstream's task for eventlet is not waited for before it has begun.
            self.server.sleep(0)
            writer.join()

    def _upgrade(self, ws: WebSocket) -> bool:
        """Move from polling to a WebSocket that passes the probe.

        See the Engine.IO protocol, revision 4, section "Upgrade".
        """
        if self._is_probed:
            return False
        self._is_probed = True
        ws.set_timeout(UPGRADE_TIMEOUT)
        try:
            if ws.receive() != f"{PING}probe":
                return False
            self.upgrading = True
            ws.send(Packet(PONG, data="probe").encode())
            if self._polling:
                self.queue.put(Packet(NOOP))
            self.upgraded = ws.receive() == str(UPGRADE)
            ws.set_timeout(None)
        except (ProtocolViolation, Flooding, OSError):
            self.upgraded = False
        finally:
            self.upgrading = self._is_probed = False
        return self.upgraded

    def _read_from(self, ws: WebSocket) -> None:
        """Receive until the client is done or has sent what it must not."""
        try:
            while (message := ws.receive()) is not None:
                self.receive(Packet(encoded_packet=message))
        except ProtocolViolation as violation:
            self._condemn(Reason.MALFORMED, violation.reason, code=violation.code)
            self._goodbye = (violation.code, violation.reason)
        except Flooding as flooding:
            self._condemn(Reason.FLOODING, str(flooding), code=CLOSE_POLICY_VIOLATION)
        except exceptions.SocketIsClosedError:
            return
        except (exceptions.UnknownPacketError, *MALFORMED) as error:
            self._condemn(Reason.MALFORMED, _describe(error), code=CLOSE_PROTOCOL_ERROR)

    def _wake_writer(self) -> None:
        # As below in close(): another thread may take it away.
        websocket = self.websocket
        with self._writer_lock:
            if self._writer is None and websocket is not None:
                self._writer = self.server.start_background_task(self._write_to, websocket)

    def _write_to(self, ws: WebSocket) -> None:
        """Send what is queued; if the session ends with it, say why."""
        try:
            for packet in self._queued():
                if packet is None:
                    ws.close(*self._goodbye)
                elif packet is FLUSH:
                    ws.flush()
                else:
                    ws.send_frames(_frames(packet))
                    self.backlog.release(packet)
        except OSError:
            return

    def _queued(self) -> Iterator[Any]:
        """Yield what is queued until there is nothing, and let another writer begin then."""
        empty = self.server.get_queue_empty_exception()
        while True:
            with self._writer_lock:
                try:
                    packet = self.queue.get(block=False)
                except empty:
                    self._writer = None
                    return
            yield packet

    # Ending

    def end(self, reason: str, *, detail: str = "", code: int = CLOSE_NORMAL) -> None:
        """End this session soon, whoever asks: its handlers run in a task of their own.

        :param reason: what the disconnect handlers and the log are told.
        :param detail: more about the reason, for the log.
        :param code: what a WebSocket client is told (RFC 6455, section 7.4.1).
        """
        if not (self._verdict or self.closed):
            self._condemn(reason, detail, code=code)
            self.server.start_background_task(self._end)

    def close(
        self, wait: bool = False, abort: bool = False, reason: str | None = None, detail: str = ""
    ) -> None:
        """Close the session and run its disconnect handlers.

        :param wait: ignored: upstream waits for the queue to be taken, which nobody may do.
        :param abort: whether the client is gone and needs no close packet.
        :param reason: what the disconnect handlers and the log are told.
        :param detail: more about the reason, for the log.
        """
        if self.closing or self.closed:
            return
        progress.mark()
        self.end_reason, self.end_detail = self._verdict or (reason, detail)
        super().close(wait=False, abort=abort or self.upgraded, reason=self.end_reason)
        self.server.sockets.pop(self.sid, None)
        self.server.admission.leave(self.address)
        # Another thread may take it away meanwhile.
        if websocket := self.websocket:
            # Upstream has put the end into the queue.
            self._wake_writer()
            self.server.timers.after(LINGER, websocket.abandon)

    def _condemn(self, reason: str, detail: str, *, code: int) -> None:
        self._verdict = (reason, detail)
        self._goodbye = (code, detail if reason == Reason.FLOODING else reason)

    def _end(self) -> None:
        if self._verdict and self._verdict[0] in UNREACHABLE:
            self._discard_queue()
            if websocket := self.websocket:
                websocket.abandon()
        self.close()

    def _discard_queue(self) -> None:
        empty = self.server.get_queue_empty_exception()
        try:
            while True:
                self.queue.get(block=False)
        except empty:
            return


def _packets(body: bytes) -> Iterator[Packet]:
    """Yield the packets of a polling request, each decoded when its turn comes.

    Engine.IO protocol, revision 4, section "Packet encoding".

    :raises ValueError: if it is no text, holds too many packets or one that cannot be decoded.
    """
    text = body.decode()
    if not text:
        return
    if text.startswith("d="):  # JSONP's form has this field only
        text = parse_qs(text, max_num_fields=1)["d"][0]
    if text.count(SEPARATOR) >= MOST_PACKETS:
        raise ValueError("too many packets in one request")
    for packet in text.split(SEPARATOR):
        yield Packet(encoded_packet=packet)


def _frames(packet: Packet) -> bytes:
    """Return a packet's frames, kept with it: it is the same one for all recipients of a broadcast."""
    if not hasattr(packet, "frames"):
        text = encode_frame(packet.encode())
        packet.frames = text + b"".join(map(encode_frame, attachments_of(packet)))
    frames: bytes = packet.frames
    return frames


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
