"""The page /diagnostics in a real browser: over a good way to the service, and over broken ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import trustme

from baking import Bake, BakedProject
from proxies import nginx
from served import free_port
from stacks import Stack

CLIENTS = Path(__file__).parent / "js"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"

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

# The steps that fail in each case, and how the likeliest cause of each begins.
FAILURES: dict[str, dict[str, str]] = {
    "good": {},
    "noUpgrade": dict.fromkeys(("upgrade", "websocket"), "Missing upgrade headers"),
    "wrongHost": dict.fromkeys(("request", "polling", "websocket"), "Wrong origin"),
    "noScheme": dict.fromkeys(("request", "polling", "websocket"), "Wrong origin"),
    "mixedContent": {"origin": "Mixed content"},
    "impatient": {"silence": "The proxy’s time-out for silent connections is shorter"},
    "deadService": dict.fromkeys(
        ("health", "polling", "websocket"), "The proxy does not reach the service"
    ),
    "elsewhere": dict.fromkeys(
        ("polling", "websocket"), "The proxy does not hand requests for sessions"
    ),
    "twoPorts": dict.fromkeys(("polling", "websocket"), "Two ports"),
    "allowed": {},
    "patched": dict.fromkeys(
        ("constants", "upgrade", "websocket"), "A script or a browser extension"
    ),
    # The pings are held back by another class in the place of the browser's.
    "skipped": {"constants": "A script or a browser extension"},
    "withoutLibrary": {},
}


def test_the_page_names_what_stands_in_the_way(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    node, chromium = requires("node"), requires("chromium")
    port = free_port()
    stack = Stack(
        with_client_library(bake(), tmp_path / "project"),
        tmp_path / "stack.log",
        *("--workers", "2", "--port", str(port)),
        PING_INTERVAL="5",
        HOST_ID="web-1",
        ALLOWED_ORIGINS=f"http://localhost:{port}",
    )
    try:
        url = stack.url()
        service = stack.port_of("gunicorn")
        ports = {name: free_port() for name in FORWARDING}
        addresses = {
            **{name: f"http://127.0.0.1:{each}/diagnostics" for name, each in ports.items()},
            "noScheme": f"https://127.0.0.1:{ports['noScheme']}/diagnostics",
            "mixedContent": f"https://127.0.0.1:{ports['noScheme']}/diagnostics?service=http://live.example",
            **dict.fromkeys(("good", "patched", "skipped", "withoutLibrary"), f"{url}/diagnostics"),
            "twoPorts": f"{url}/diagnostics?service=http://127.0.0.1:{service}",
            "allowed": f"http://localhost:{port}/diagnostics?service={url}",
        }
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            tmp_path / "site.pem"
        )
        with nginx(tmp_path, sites(service, ports), ports["noUpgrade"]):
            outcome = subprocess.run(
                [node, str(CLIENTS / "diagnostics.mjs"), json.dumps(addresses), str(SCREENSHOTS)],
                env={**os.environ, "CHROMIUM": chromium},
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
    finally:
        stack.leave(signal.SIGINT)
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    seen = {line["case"]: line["steps"] for line in lines if "case" in line}
    assert set(seen) == set(FAILURES), outcome.stderr
    for case, steps in seen.items():
        failed = {name: step for name, step in steps.items() if step["verdict"] == "failed"}
        assert set(failed) == set(FAILURES[case]), (case, steps)
        for name, beginning in FAILURES[case].items():
            assert failed[name]["causes"][0].startswith(beginning), (case, failed[name])

    assert len(with_verdict(seen["good"], "passed")) == 12
    assert seen["good"]["processes"]["seen"].count("web-1:") == 2
    assert "over polling" in seen["noUpgrade"]["roundTrip"]["seen"]
    assert "CONNECTING is undefined instead of 0" in seen["patched"]["constants"]["seen"]
    assert with_verdict(seen["allowed"], "unknown") == {"health", "request"}
    assert with_verdict(seen["skipped"], "skipped") == {"silence"}
    assert len(with_verdict(seen["withoutLibrary"], "passed")) == 5
    assert len(with_verdict(seen["withoutLibrary"], "skipped")) == 7

    checks = [line for line in lines if "check" in line]
    assert [check for check in checks if check["found"]] == []
    assert len(checks) == 11


def with_client_library(project: BakedProject, path: Path) -> Path:
    """Copy a project, and let it serve the Socket.IO client itself."""
    shutil.copytree(project.path, path)
    vendor = path / "production" / "browser" / "static" / "vendor"
    vendor.mkdir(exist_ok=True)
    shutil.copy(CLIENTS / "node_modules/socket.io-client/dist/socket.io.min.js", vendor)
    return path


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
            forward=" ".join((pass_to(service), *lines)),
            elsewhere=elsewhere.get(name, ""),
            tls=TLS if name == "noScheme" else "",
        )
        for name, lines in FORWARDING.items()
    )


def pass_to(port: int) -> str:
    """Return what hands requests on to a port of the loopback address."""
    return f"proxy_pass http://127.0.0.1:{port};"


def with_verdict(steps: dict[str, dict[str, Any]], verdict: str) -> set[str]:
    """Return the steps that came out in one way."""
    return {name for name, step in steps.items() if step["verdict"] == verdict}
