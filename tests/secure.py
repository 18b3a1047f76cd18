"""Socket.IO over TLS, by the official JavaScript client.

Python's synchronous one reads and writes a TLS connection in two threads at once and loses messages:
https://github.com/miguelgrinberg/python-engineio/issues/461.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from npm import JAVASCRIPT, node_with
from waiting import PATIENCE


def call_over_tls(
    requires: Callable[[str], str],
    url: str,
    authority: Path,
    transports: Sequence[str],
    event: str,
    data: Any,
) -> tuple[str, Any]:
    """Open a session, emit one event, and leave.

    :param requires: the fixture, which finds Node.
    :param url: the service's, with ``https``.
    :param authority: the file of the certificate authority to trust.
    :param transports: the ones to use, as the client has them.
    :param event: its name.
    :param data: its argument.
    :return: the transport that was used at last, and the acknowledgement.
    """
    node = node_with("socket.io-client", requires)
    command = [node, "call.mjs", url, json.dumps(transports), event, json.dumps(data)]
    outcome = subprocess.run(
        command,
        cwd=JAVASCRIPT,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(authority)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    return said["transport"], said["answer"]
