"""The page /diagnostics in a real browser: over a good way to the service, and over broken ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baking import Bake, BakedProject
from proxies import nginx
from served import free_port
from stacks import Stack

CLIENTS = Path(__file__).parent / "js"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"

UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $connection_upgrade;",
)
HOST = "proxy_set_header Host $http_host;"
FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"

Steps = dict[str, dict[str, Any]]


def site(port: int, upstream: int, *lines: str) -> str:
    """Return a site of nginx that hands everything on, in a way that its lines say."""
    forward = f"proxy_pass http://127.0.0.1:{upstream};"
    return (
        f"server {{ listen 127.0.0.1:{port}; location / {{ {forward} {' '.join(lines)} }} "
        "{elsewhere} }\n"
    )


def sites(service: int, ports: dict[str, int]) -> str:
    """Return one site for each way in which a proxy breaks the way to a service."""
    dead = free_port()
    good = (*UPGRADE, HOST, FORWARDED)
    broken = {
        "noUpgrade": (HOST, FORWARDED),
        "wrongHost": (*UPGRADE, FORWARDED),
        "impatient": (*good, "proxy_read_timeout 1s;"),
        "deadService": good,
        "elsewhere": good,
    }
    elsewhere = {
        "deadService": f"location ~ ^/(health|socket.io)/ {{ proxy_pass http://127.0.0.1:{dead}; }}",
        "elsewhere": "location /socket.io/ { return 404; }",
    }
    return "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n" + "".join(
        site(ports[name], service, *lines).replace("{elsewhere}", elsewhere.get(name, ""))
        for name, lines in broken.items()
    )


@pytest.fixture(scope="module")
def seen(
    bake: Bake, tmp_path_factory: pytest.TempPathFactory, requires: Callable[[str], str]
) -> Iterator[tuple[dict[str, Steps], dict[str, list[Any]]]]:
    """What a reader sees of each step in each case, and what was found by each check."""
    node, chromium = requires("node"), requires("chromium")
    directory = tmp_path_factory.mktemp("diagnostics")
    project = BakedProject(directory / "project")
    shutil.copytree(bake().path, project.path)
    vendor = project.path / "production" / "browser" / "static" / "vendor"
    vendor.mkdir(exist_ok=True)
    shutil.copy(CLIENTS / "node_modules/socket.io-client/dist/socket.io.min.js", vendor)
    port = free_port()
    stack = Stack(
        project.path,
        directory / "stack.log",
        *("--workers", "2", "--port", str(port)),
        PING_INTERVAL="2",
        HOST_ID="web-1",
        ALLOWED_ORIGINS=f"http://localhost:{port}",
    )
    try:
        url = stack.url()
        service = stack.port_of("gunicorn")
        ports = {
            name: free_port()
            for name in ("noUpgrade", "wrongHost", "impatient", "deadService", "elsewhere")
        }
        addresses = {
            **{name: f"http://127.0.0.1:{each}/diagnostics" for name, each in ports.items()},
            **dict.fromkeys(("good", "patched", "skipped"), f"{url}/diagnostics"),
            "twoPorts": f"{url}/diagnostics?service=http://127.0.0.1:{service}",
            "allowed": f"http://localhost:{port}/diagnostics?service={url}",
        }
        with nginx(directory, sites(service, ports), ports["noUpgrade"]):
            outcome = subprocess.run(
                [node, str(CLIENTS / "diagnostics.mjs"), json.dumps(addresses), str(SCREENSHOTS)],
                env={**os.environ, "CHROMIUM": chromium},
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
        assert outcome.returncode == 0, outcome.stderr
        lines = [json.loads(line) for line in outcome.stdout.splitlines()]
        yield (
            {line["case"]: line["steps"] for line in lines if "case" in line},
            {line["check"]: line["found"] for line in lines if "check" in line},
        )
    finally:
        stack.leave(signal.SIGINT)


def verdicts(steps: Steps, verdict: str) -> set[str]:
    """Return the steps that came out in one way."""
    return {name for name, step in steps.items() if step["verdict"] == verdict}


def first_cause(steps: Steps, name: str) -> str:
    """Return the likeliest cause that a step names."""
    cause: str = steps[name]["causes"][0]
    return cause


def test_every_step_passes_on_a_good_service(seen: Any) -> None:
    steps = seen[0]["good"]
    assert len(verdicts(steps, "passed")) == len(steps) == 12, steps
    assert steps["processes"]["seen"].count("web-1:") == 2


def test_the_page_is_for_everyone(seen: Any) -> None:
    _, checks = seen
    assert {check: found for check, found in checks.items() if found} == {}
    assert len(checks) == 9


def test_missing_upgrade_headers_are_named(seen: Any) -> None:
    steps = seen[0]["noUpgrade"]
    assert verdicts(steps, "failed") == {"upgrade", "websocket"}, steps
    for name in ("upgrade", "websocket"):
        assert first_cause(steps, name).startswith("Missing upgrade headers")
    assert "over polling" in steps["roundTrip"]["seen"]


def test_a_wrong_origin_is_named(seen: Any) -> None:
    steps = seen[0]["wrongHost"]
    assert verdicts(steps, "failed") == {"request", "polling", "websocket"}, steps
    for name in ("request", "polling", "websocket"):
        assert first_cause(steps, name).startswith("Wrong origin")
    assert "not an accepted origin" in steps["polling"]["seen"].lower()


def test_two_ports_are_named(seen: Any) -> None:
    steps = seen[0]["twoPorts"]
    assert verdicts(steps, "failed") == {"polling", "websocket"}, steps
    for name in ("polling", "websocket"):
        assert first_cause(steps, name).startswith("Two ports")


def test_a_service_that_allows_the_page_of_another_origin_is_tried_like_its_own(seen: Any) -> None:
    steps = seen[0]["allowed"]
    assert verdicts(steps, "failed") == set(), steps
    assert verdicts(steps, "unknown") == {"health", "request"}


def test_a_patched_websocket_is_named(seen: Any) -> None:
    steps = seen[0]["patched"]
    assert verdicts(steps, "failed") == {"constants", "upgrade", "websocket"}, steps
    assert "CONNECTING is undefined instead of 0" in steps["constants"]["seen"]
    for name in ("constants", "upgrade", "websocket"):
        assert "window.WebSocket" in first_cause(steps, name)


def test_an_impatient_proxy_is_named(seen: Any) -> None:
    steps = seen[0]["impatient"]
    assert verdicts(steps, "failed") == {"silence"}, steps
    assert "time-out" in first_cause(steps, "silence")


def test_a_service_that_the_proxy_does_not_reach_is_named(seen: Any) -> None:
    steps = seen[0]["deadService"]
    assert verdicts(steps, "failed") == {"health", "polling", "websocket"}, steps
    for name in ("health", "polling"):
        assert first_cause(steps, name) == "The proxy does not reach the service."


def test_sessions_that_go_to_another_server_are_named(seen: Any) -> None:
    steps = seen[0]["elsewhere"]
    assert verdicts(steps, "failed") == {"polling", "websocket"}, steps
    assert "does not hand requests for sessions" in first_cause(steps, "polling")


def test_the_wait_for_the_proxy_can_be_skipped(seen: Any) -> None:
    steps = seen[0]["skipped"]
    assert verdicts(steps, "skipped") == {"silence"}, steps["silence"]
