"""Put updates into the stream that no door would let in: ``python older_release.py URL SERVICE CHANNEL``.

An older release, or another program, has written them as the layer does: numbered, and for good. What they
hold is read from standard input, a pickled list of lists of parts.
"""

from __future__ import annotations

import os
import pickle
import sys

import socketio

from production.realtime.channels import Channels
from production.realtime.creations import LocalCreations
from production.realtime.entries import NewestEntry
from production.realtime.history import Limits
from production.realtime.outage import Outage
from production.realtime.stream_journal import StreamJournal

url, service, channel = sys.argv[1:]
limits = Limits(messages=10_000, bytes=10**9, seconds=600, channels=10_000)
server = socketio.Server(async_mode="threading")
journal = StreamJournal(
    server,
    url,
    service=service,
    limits=limits,
    timeout=60,
    outage=Outage(),
    had=NewestEntry(),
)
Channels(server, journal, limits, LocalCreations({}, 600), max_bytes=10**9)
for parts in pickle.load(sys.stdin.buffer):
    journal.append(channel, tuple(parts), None)
# The tasks that follow the stream never end by themselves.
os._exit(0)
