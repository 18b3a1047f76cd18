"""The page /diagnostics in a real browser: over good ways to the service, and over broken ones."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from string import Template

import trustme

from baking import Bake
from chromium import SCREENSHOTS, failures_in_chromium, with_client
from ports import free_port
from proxies import nginx
from stacks import Stack

SITE = Template("server { listen 127.0.0.1:$port$tls; location / { $forward } $elsewhere }\n")

TLS = " ssl; ssl_certificate site.pem; ssl_certificate_key site.pem"
HOST = "proxy_set_header Host $http_host;"
FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"
# As the page itself advises.
UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $http_connection;",
)

# What each site says where it hands requests on.
FORWARDING = {
    "noUpgrade": (HOST, FORWARDED),
    "wrongHost": (*UPGRADE, FORWARDED),
    "impatient": (*UPGRADE, HOST, FORWARDED, "proxy_read_timeout 3s;"),
    "deadService": (*UPGRADE, HOST, FORWARDED),
    "elsewhere": (*UPGRADE, HOST, FORWARDED),
    # Over TLS, of which the service is not told.
    "noScheme": (*UPGRADE, HOST, FORWARDED),
}


def test_the_page_names_what_stands_in_the_way(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    port = free_port()
    stack = Stack(
        with_client(bake(), tmp_path / "project").path,
        tmp_path / "stack.log",
        *("--workers", "2", "--port", str(port)),
        PING_INTERVAL="5",
        HOST_ID="web-1",
        ALLOWED_ORIGINS=f"http://localhost:{port}",
    )
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "site.pem"
    )
    ports = {name: free_port() for name in FORWARDING}
    try:
        url = stack.url()
        service = stack.port_of("gunicorn")
        with nginx(tmp_path, sites(service, ports), port):
            failures = failures_in_chromium(
                requires,
                "diagnostics.mjs",
                json.dumps(addresses(url, service, ports)),
                str(SCREENSHOTS),
            )
    finally:
        stack.leave(signal.SIGINT)
    assert failures == []


def addresses(url: str, service: int, ports: dict[str, int]) -> dict[str, str]:
    """Return where the page is in each case of tests/js/diagnostics.mjs.

    :param url: where the stack serves.
    :param service: the port of its gunicorn.
    :param ports: where each site listens.
    """
    page = f"{url}/diagnostics"
    secure = f"https://127.0.0.1:{ports['noScheme']}/diagnostics"
    return {
        **{name: f"http://127.0.0.1:{port}/diagnostics" for name, port in ports.items()},
        **dict.fromkeys(("good", "patched", "skipped", "withoutLibrary"), page),
        "noScheme": secure,
        "mixedContent": f"{secure}?service=http://live.example",
        "twoPorts": f"{page}?service=http://127.0.0.1:{service}",
        "allowed": f"{page.replace('127.0.0.1', 'localhost')}?service={url}",
    }


def sites(service: int, ports: dict[str, int]) -> str:
    """Return a site of nginx for each way of handing requests on.

    :param service: the port of the service.
    :param ports: where each site listens.
    """
    elsewhere = {
        "deadService": f"location ~ ^/(health|socket.io)/ {{ {pass_to(free_port())} }}",
        "elsewhere": "location /socket.io/ { return 404; }",
    }
    return "".join(
        SITE.substitute(
            port=ports[name],
            tls=TLS if name == "noScheme" else "",
            forward=" ".join((pass_to(service), *lines)),
            elsewhere=elsewhere.get(name, ""),
        )
        for name, lines in FORWARDING.items()
    )


def pass_to(port: int) -> str:
    """Return what hands requests on to a port of the loopback address."""
    return f"proxy_pass http://127.0.0.1:{port};"
