"""Behind TLS, a page keeps working that puts a plain address together by hand, in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
import trustme

from baking import adopt
from ports import free_port
from proxies import nginx
from rawclient import http
from served import ServedProject, serve
from waiting import PATIENCE

APPS = Path(__file__).parent / "adopted"
CLIENTS = Path(__file__).parent / "js"

SITE = """\
map $http_upgrade $connection_header {{ default upgrade; '' ''; }}
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{
        proxy_pass {url};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_header;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
    }}
}}
"""

POLICY = "content-security-policy"
BY_HTTPS = {"X-Forwarded-Proto": "https"}


Serve = Callable[..., AbstractContextManager[ServedProject]]


@pytest.fixture
def served(tmp_path: Path) -> Serve:
    """Serve the app, adopted and unedited, behind one proxy."""
    folder = tmp_path / "app"
    shutil.copytree(APPS / "assembled_address", folder)
    project = adopt(folder, "python chat.py", async_mode="threading")
    return partial(serve, project, tmp_path / "service.log", TRUSTED_PROXIES="1")


def outcome_in_chromium(service: ServedProject, tmp_path: Path, node: str, chromium: str) -> str:
    """Open the page by HTTPS on the standard port; return its title, or what the browser says."""
    (tmp_path / "nginx").mkdir()
    certificate = tmp_path / "nginx" / "chat.pem"
    trustme.CA().issue_cert("chat.test").private_key_and_cert_chain_pem.write_to_path(certificate)
    port = free_port()
    site = SITE.format(port=port, certificate=certificate, url=service.url)
    with nginx(tmp_path / "nginx", site, port):
        opened = subprocess.run(
            [node, str(CLIENTS / "assembled.mjs"), str(port)],
            env={**os.environ, "CHROMIUM": chromium},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert opened.returncode == 0, opened.stderr
    return opened.stdout.strip()


@pytest.mark.parametrize(
    ("setting", "outcome"),
    [("true", "connected by "), ("false", "Mixed Content: ")],
)
def test_the_header_is_what_makes_the_page_work(
    served: Serve, setting: str, outcome: str, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    node, chromium = requires("node"), requires("chromium")
    static = tmp_path / "app" / "static"
    static.mkdir()
    shutil.copy(CLIENTS / "node_modules/socket.io-client/dist/socket.io.js", static)
    with served(UPGRADE_INSECURE_REQUESTS=setting) as service:
        assert outcome in outcome_in_chromium(service, tmp_path, node, chromium)


def test_only_pages_that_came_by_https_have_it_and_the_app_s_own_policy_stays(
    served: Serve,
) -> None:
    with served() as service:

        def policy(path: str, **headers: str) -> str | None:
            return http("GET", service.url + path, headers=headers).headers.get(POLICY)

        assert policy("/", **BY_HTTPS) == "upgrade-insecure-requests"
        assert policy("/") is None
        assert policy("/guarded", **BY_HTTPS) == "object-src 'none'"
        assert policy("/data", **BY_HTTPS) is None
        assert policy("/health/ready", **BY_HTTPS) is None
