"""A service that is one of several on a host, each under a prefix of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from baking import Bake
from chromium import SCREENSHOTS, failures_in_chromium, with_client
from ports import free_port
from proxies import nginx
from served import ServedProject, serve

TOKEN = "a-token-for-tests-0123456789-abcdef"

SITE = """
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
server {
    listen 127.0.0.1:%(port)d;
    location /boards/ {
        proxy_pass %(service)s;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        %(prefix)s
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
"""


class Prefixed(ServedProject):
    """A service that is told of its prefix, and answers below it only."""

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"{super().url}/boards"


def settings(message_queue: str, tmp_path: Path) -> dict[str, str]:
    """Return what both kinds are served with."""
    return {
        "OPERATOR_TOKEN": TOKEN,
        "REDIS_URL": message_queue,
        "SERVICE_NAME": tmp_path.name,
        "TRUSTED_PROXIES": "1",
        "WEB_CONCURRENCY": "2",
    }


def failures_of_pages(
    requires: Callable[[str], str], tmp_path: Path, service: str, prefix: str = ""
) -> list[dict[str, Any]]:
    """Look at all pages through nginx."""
    port = free_port()
    site = SITE % {"port": port, "service": service, "prefix": prefix}
    with nginx(tmp_path, site, port) as url:
        return failures_in_chromium(
            requires, "prefix.mjs", f"{url}/boards", TOKEN, str(SCREENSHOTS)
        )


def test_every_page_works_where_the_proxy_takes_the_prefix_away(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str], message_queue: str
) -> None:
    project = with_client(bake(), tmp_path / "board")
    environment = settings(message_queue, tmp_path)
    with serve(project, tmp_path / "board.log", **environment) as served:
        said = "proxy_set_header X-Forwarded-Prefix /boards;"
        assert failures_of_pages(requires, tmp_path, f"{served.url}/", said) == []


def test_every_page_works_where_the_service_is_told_of_it(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str], message_queue: str
) -> None:
    project = with_client(bake(), tmp_path / "board")
    environment = {**settings(message_queue, tmp_path), "SCRIPT_NAME": "/boards"}
    served = Prefixed(project, tmp_path / "board.log", environment)
    try:
        served.wait_until_ready()
        assert failures_of_pages(requires, tmp_path, served.url.removesuffix("/boards")) == []
    finally:
        served.stop()
