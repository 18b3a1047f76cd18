"""Hosts for tests of proxies: each answers as a host of the service does, or fails as hosts fail."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import itertools
import json
import socket
import struct
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rawclient import TEXT, frame

ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Appended to the key of a WebSocket handshake, RFC 6455 section 1.3."""

PENDING = 8
"""More connections than a listener keeps that is asked to keep none: see listen(2)."""


class Host:
    """One host of a service; it serves from the start.

    :param name: what its session ids begin with.
    :param address: the loopback address on which it listens.
    :param port: the port.
    """

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        self.address = address
        self._port = port
        self.seen: list[str] = []
        self.answer = "serve"
        self._ids = itertools.count()
        self._running = contextlib.ExitStack()
        self.serve()

    def session_id(self) -> str:
        """Return the id of another session of this host."""
        return f"{self.name}.0.1.{next(self._ids):020}"

    def serve(self) -> None:
        """Answer handshakes with a session, and what belongs to no session with 200."""
        self._listen("serve")

    def fill(self) -> None:
        """Answer as a host that takes no more sessions, or is leaving."""
        self._listen("refuse")

    def die(self) -> None:
        """Take each request and reset its connection."""
        self._listen("reset")

    def die_once(self) -> None:
        """Take one request, reset its connection, and serve from then on, as the next worker does."""
        self._listen("reset_once")

    def be_mute(self) -> None:
        """Take each request and say nothing."""
        self._listen("say_nothing")

    def go(self) -> None:
        """Be gone, with every connection: the next ones are refused."""
        self._running.close()

    def fall_silent(self) -> None:
        """Be gone, and leave nobody there to refuse connections: they are never made."""
        self.go()
        listener = self._running.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self._port))
        listener.listen(0)
        for _ in range(PENDING):
            waiting = self._running.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((self.address, self._port))

    def _listen(self, answer: str) -> None:
        self.go()
        self.answer = answer
        server = _Server((self.address, self._port), _Requests)
        server.host = self
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self._running.callback(server.end_connections)
        self._running.callback(server.server_close)
        self._running.callback(thread.join)
        self._running.callback(server.shutdown)


class _Server(http.server.ThreadingHTTPServer):
    host: Host
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that end: the tests end them."""

    def end_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        host = self.server.host
        host.seen.append(self.requestline)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        getattr(self, host.answer)(host)

    do_POST = do_GET

    def serve(self, host: Host) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "sid" in asked:
            self.respond(400, f"Invalid session {asked['sid'][0]}")
        elif self.headers.get("Upgrade"):
            self.open_websocket(host)
        elif "EIO" in asked:
            self.respond(200, {"sid": host.session_id()}, "0")
        else:
            self.respond(200, {"host": host.name})

    def refuse(self, _: Host) -> None:
        self.respond(503, {"message": "full"}, retry_after="1")

    def reset(self, _: Host) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def reset_once(self, host: Host) -> None:
        host.answer = "serve"
        self.reset(host)

    def say_nothing(self, _: Host) -> None:
        self.rfile.read()

    def open_websocket(self, host: Host) -> None:
        digest = hashlib.sha1(
            (self.headers["Sec-WebSocket-Key"] + ACCEPT_SUFFIX).encode(), usedforsecurity=False
        )
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest.digest()).decode())
        self.end_headers()
        opened = "0" + json.dumps({"sid": host.session_id()})
        self.wfile.write(frame(TEXT, opened.encode(), masked=False))
        self.rfile.read()
        self.close_connection = True

    def respond(self, status: int, body: Any, prefix: str = "", retry_after: str = "") -> None:
        data = (prefix + json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep no log."""
