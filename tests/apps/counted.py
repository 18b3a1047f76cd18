"""The generated app, and a route that counts what its worker holds."""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import greenlet
from flask import Flask
from wsgi import app

# What lives as long as a client does.
KINDS = (
    "Session",
    "WebSocket",
    "Speaker",
    "Inbox",
    "ThreadedInbox",
    "RoutedParser",
    "Request",
    "Response",
)

REMEMBERED = "Period"
"""What is known of a line that clients have caused in the log: a table that is full at some point."""


@app.get("/held")
def held() -> dict[str, Any]:
    """Count sessions, tasks, descriptors and memory."""
    gc.collect()
    objects = gc.get_objects()
    kinds = Counter(type(one).__name__ for one in objects)
    threads = [thread.name for thread in threading.enumerate()]
    server = app.extensions["socketio"].server
    return {
        "sessions": len(server.eio.sockets),
        "environs": len(server.environ),
        "half packets": len(server._binary_packet),
        "members": sum(
            len(room) for rooms in server.manager.rooms.values() for room in rooms.values()
        ),
        "timers": len(server.eio.timers._due),
        "tasks": sum(isinstance(one, greenlet.greenlet) and not one.dead for one in objects),
        # Those of gunicorn's pool are kept for later requests.
        "pooled": sum("Pool" in name for name in threads),
        # A dummy stands for a task.
        "threads": sum("Pool" not in name and not name.startswith("Dummy") for name in threads),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "objects": len(objects) - kinds[REMEMBERED],
        "resident": int(Path("/proc/self/statm").read_text().split()[1])
        * os.sysconf("SC_PAGESIZE"),
        **{kind: kinds[kind] for kind in KINDS},
    }


__all__ = ["Flask", "app"]
