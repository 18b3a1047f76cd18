"""The project's gunicorn configuration, with a look at the master whenever a worker has gone."""

import json
import socket
import sys
import threading
from pathlib import Path

exec(Path("gunicorn.conf.py").read_text())

TELLTALES = ("eventlet", "gevent.monkey", "pydantic", "engineio", "socketio", "flask", "urllib3")


def child_exit(server, worker):
    """Write down whose sockets and threads the master has, and what it has imported."""
    server.log.info(
        "the master: %s",
        json.dumps(
            {
                "socket": socket.socket.__module__,
                "lock": type(threading.Lock()).__module__,
                "imported": [name for name in TELLTALES if name in sys.modules],
            }
        ),
    )
