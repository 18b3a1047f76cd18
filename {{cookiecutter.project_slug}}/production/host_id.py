"""The id of a host, with which the ids of its sessions begin; see ``process/identity.py``."""

from __future__ import annotations

import hashlib
import re
import socket

LONGEST_HOST_ID = 24


def default_host_id() -> str:
    """Make an id of the host name: its first label, shortened if need be without losing its end."""
    label = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")
    if len(label) > LONGEST_HOST_ID:
        digest = hashlib.sha256(label.encode()).hexdigest()[:8]
        label = f"{label[: LONGEST_HOST_ID - 9].rstrip('-')}-{digest}"
    return label or "host"


def check_host_id(value: str) -> None:
    """Refuse what would be more than itself in a URL or in a proxy's regular expression.

    :raises ValueError: saying what an id looks like.
    """
    if not re.fullmatch(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST_HOST_ID - 1}}}", value):
        raise ValueError(
            f"must be 1 to {LONGEST_HOST_ID} of the characters a-z, 0-9 and -, "
            "beginning with a letter or digit: write web-1, not Web_1.example.org"
        )
