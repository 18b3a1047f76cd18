"""What the rooms of the layer know together about this process."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_socketio import SocketIO

    from production.observe.lag import LoopLag
    from production.observe.quality import Qualities
    from production.realtime.channels import Channels
    from production.realtime.outage import Outage
    from production.settings import Settings


class ServiceState:
    """This process as a service; kept in ``app.extensions["production"]``.

    :param settings: the settings it runs with.
    :param socketio: the app's Flask-SocketIO object.
    :param loop_lag: how late the process is.
    :param channels: what this process publishes and replays.
    :param outage: what does not work of the message queue.
    """

    def __init__(
        self,
        settings: Settings,
        socketio: SocketIO,
        loop_lag: LoopLag,
        channels: Channels,
        outage: Outage,
    ) -> None:
        self.settings = settings
        self.socketio = socketio
        self.loop_lag = loop_lag
        self.channels = channels
        self.outage = outage
        #: Whether this process serves the app, rather than to use it for a command.
        self.serves = True
        self.started_at = time.monotonic()

    @property
    def process(self) -> str:
        """What this process is called, on all pages: its place, with which its session ids begin.

        One that is served without a place is told apart by its process id.
        """
        prefix: str = self.socketio.server.eio.id_prefix
        return prefix.removesuffix(".") or f"{self.settings.host_id}.{os.getpid()}"

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self.socketio.server.eio.sockets)

    @property
    def qualities(self) -> Qualities:
        """How good the connections of the sessions are."""
        qualities: Qualities = self.socketio.server.qualities
        return qualities

    @property
    def draining(self) -> bool:
        """Whether this process is about to leave and takes no new session."""
        return bool(self.socketio.server.eio.draining)
