"""Fetch the Socket.IO client with npm, to serve it from here instead of the CDN: ``make assets``.

``python -m production.browser.vendor FILE`` takes a script that was fetched elsewhere.

Standard library only, so that any Python can run it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from production.browser.client import INTEGRITY, RELEASE, STATIC, VENDORED, integrity_of

PACKAGE = f"socket.io-client@{RELEASE}"
SCRIPT = "node_modules/socket.io-client/dist/socket.io.min.js"

INSTALL = ("install", "--silent", "--no-save", "--no-package-lock", "--no-audit", "--no-fund")


class Refused(Exception):
    """The client was not fetched; the message is one sentence for each fault, and what to do."""


def fetch() -> Path:
    """Put the client where the service serves it; return its path.

    :raises Refused: if npm is missing or fails, or another file comes than expected.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Refused(
            "npm is not installed: install Node.js, or leave it at that, and pages load the "
            "Socket.IO client from the CDN."
        )
    with tempfile.TemporaryDirectory() as directory:
        installed = subprocess.run(  # noqa: S603
            [npm, *INSTALL, "--prefix", directory, PACKAGE], check=False
        )
        if installed.returncode:
            raise Refused(f"npm could not install {PACKAGE}: it says why above.")
        return keep((Path(directory) / SCRIPT).read_bytes())


def keep(script: bytes) -> Path:
    """Write the script, out of git's sight, if it is the one that is expected; return its path.

    :param script: the script's bytes.
    :raises Refused: if it is another one.
    """
    if (found := integrity_of(script)) != INTEGRITY:
        raise Refused(
            f"{PACKAGE} came with another script than expected, {found} instead of {INTEGRITY}: "
            "find out who changed it, and do not use it."
        )
    path = STATIC / VENDORED
    path.parent.mkdir(exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n")
    path.write_bytes(script)
    return path


if __name__ == "__main__":
    try:
        print(keep(Path(sys.argv[1]).read_bytes()) if sys.argv[1:] else fetch())
    except Refused as error:
        sys.exit(str(error))
