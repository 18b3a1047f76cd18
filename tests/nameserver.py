"""A name server for tests of proxies that find what they route to by name."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator


class NameServer(socketserver.UDPServer):
    """A name server that knows a few names: what nginx needs of it (RFC 1035).

    :param addresses: the IPv4 address of each name, or several with a space between them.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Question)
        self.addresses = addresses


class Question(socketserver.BaseRequestHandler):
    """Asks for the addresses of one name."""

    server: NameServer

    def handle(self) -> None:
        """Answer with the addresses, or that there is no such name."""
        question, replies = self.request
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        addresses = self.server.addresses.get(".".join(labels), "").split()
        flags = 0x8180 if addresses else 0x8183
        counts = struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        answer = question[:2] + counts + question[12 : at + 5]
        for address in addresses:
            answer += struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
        replies.sendto(answer, self.client_address)


@contextlib.contextmanager
def answering(addresses: dict[str, str]) -> Iterator[NameServer]:
    """Run a name server until the block ends."""
    with NameServer(addresses) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
