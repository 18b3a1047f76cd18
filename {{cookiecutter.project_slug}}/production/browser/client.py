"""The official Socket.IO client: which release, and where a page loads it from.

``make assets`` puts a copy beside the layer's own files; until then pages load it from a CDN. Either
must match the hash.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

RELEASE = "4.8.4"
"""The one place that names it."""

INTEGRITY = "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1"
"""Of ``dist/socket.io.min.js`` in the npm package of that release, in the form of Subresource
Integrity (https://www.w3.org/TR/SRI/)."""

CDN = "https://cdn.jsdelivr.net"
ON_CDN = f"{CDN}/npm/socket.io-client@{RELEASE}/dist/socket.io.min.js"

STATIC = Path(__file__).parent / "static"
VENDORED = "vendor/socket.io.min.js"


@dataclass(frozen=True)
class ClientScript:
    """What a page writes into its script tag.

    :param src: the script's address.
    :param integrity: the hash that the browser is to check; empty for the service's own copy.
    """

    src: str
    integrity: str = ""


def is_vendored() -> bool:
    """Tell whether there is a copy that the service itself can serve."""
    return (STATIC / VENDORED).is_file()


def integrity_of(script: bytes) -> str:
    """Return the hash of a script as :data:`INTEGRITY` writes it.

    :param script: the script's bytes.
    """
    return f"sha384-{base64.b64encode(hashlib.sha384(script).digest()).decode()}"
