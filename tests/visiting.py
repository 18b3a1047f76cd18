"""Visitors of a Socket.IO app who come and go in every way that real ones do, over plain sockets."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from rawclient import PollingSession, RawWebSocket, SocketIOClient, open_websocket

# Each way to leave, as a client does it: a browser on a refresh, a client that just closes, and one
# that is killed.
LEAVINGS: dict[str, Callable[[RawWebSocket], object]] = {
    "clean-close": RawWebSocket.close_cleanly,
    "fin": RawWebSocket.fin,
    "rst": RawWebSocket.reset,
}

Visit = Callable[[str], str]
"""Takes the URL of a service and returns the id of the session that was there."""


@dataclass(frozen=True)
class Visitor:
    """What a client of one app does.

    :param enter: joins the namespace and does what the app's clients do at first.
    :param use: does something that the app answers, and waits for the answer.
    :param path: where the app has its Socket.IO.
    """

    enter: Callable[[SocketIOClient], object]
    use: Callable[[SocketIOClient], object]
    path: str = "/socket.io/"

    def refresh(self, url: str) -> str:
        """Do what a browser does on F5: long polling, the upgrade, and away.

        As in a browser, a poll is pending while the WebSocket is probed, and the switch is only
        made when the server has ended it.
        """
        polling = PollingSession(url, self.path, keep_alive=True)
        with contextlib.closing(polling):
            self.enter(polling)
            pending = polling.start_poll()
            with (
                contextlib.closing(pending),
                open_websocket(url, self.path, sid=polling.sid) as ws,
            ):
                ws.send_text("2probe")
                assert ws.receive_packet() == "3probe"
                assert pending.response().status == 200
                ws.send_text("5")
                self.use(ws)
                ws.close_cleanly()
        return polling.session

    def kill_polling(self, url: str) -> str:
        """Reset the connection of a poll that is pending."""
        polling = PollingSession(url, self.path)
        self.enter(polling)
        polling.start_poll().reset()
        return polling.session

    def kill_websocket(self, url: str) -> str:
        """Reset a WebSocket that the server is writing to, with a message of our own half sent."""
        ws = open_websocket(url, self.path)
        self.enter(ws)
        ws.send(b"\x81\xfe\x10\x00half of a message")
        ws.reset()
        return ws.session

    def open_directly(self, url: str, leave: Callable[[RawWebSocket], object]) -> str:
        """Open a WebSocket without long polling first: this is what the old stack asserted on."""
        ws = open_websocket(url, self.path)
        self.enter(ws)
        leave(ws)
        return ws.session

    def abuse(self, rounds: int) -> list[Visit]:
        """List visits of every kind, mixed, so that each happens while all the others do.

        :param rounds: how many refreshes; there are as many direct WebSockets, and half as many
            clients of either transport that are killed.
        """
        visits = [
            *itertools.repeat(self.refresh, rounds),
            *itertools.repeat(self.kill_polling, rounds // 2),
            *itertools.repeat(self.kill_websocket, rounds // 2),
            *(
                lambda url, leave=leave: self.open_directly(url, leave)
                for leave in itertools.islice(itertools.cycle(LEAVINGS.values()), rounds)
            ),
        ]
        return [visit for start in range(rounds) for visit in visits[start::rounds]]
