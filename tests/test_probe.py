"""The probe names what is wrong with a running service, and finds nothing where nothing is."""

from __future__ import annotations

import contextlib
import datetime
import io
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from baking import ASYNC_MODES, TEMPLATE, Bake, clean_environment
from ports import free_port
from probing import (
    HOST,
    UPGRADING,
    Canned,
    Steps,
    answering,
    hanging_up,
    named,
    plain_app,
    probed,
    report,
    site,
    troubles,
)
from production.doctor.cli import main
from production.doctor.probe.display import Display
from production.doctor.probe.plan import NAMES, STEPS
from production.doctor.probe.target import Target
from production.doctor.probe.troubles import explain
from production.doctor.probe.verdicts import Result, passed
from production.doctor.probe.wire.faults import Cut
from production.doctor.probe.wire.websocket import WebSocket
from proxies import nginx
from queues import running
from rawclient import http
from routed import wait_for_workers
from served import ServedProject
from waiting import PATIENCE, eventually

FEW = ("--clients", "2", "--refreshes", "2")
NOT_IDLE = (*FEW, "--skip", "idle")

# Of a service on this machine that is reached directly.
ALWAYS_OPEN = {"tls"}

Start = Callable[..., ServedProject]


def ready(url: str) -> bool:
    """Tell whether a service says that it is ready, however often it is asked."""
    return all(http("GET", f"{url}/health/ready").status == 200 for _ in range(20))


def only(*steps: str) -> tuple[str, str]:
    """Return the arguments that leave out all other steps."""
    return "--skip", ",".join(name for name in NAMES if name not in steps)


# A service of this template


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_generated_service_has_no_fault(service: Start, mode: str) -> None:
    status, steps, _ = report(service(mode).url, *NOT_IDLE)
    assert named(steps, "failed") == set(), troubles(steps)
    assert named(steps, "could not tell") == ALWAYS_OPEN | {"processes"}, troubles(steps)
    assert status == 0


def test_several_workers_pass_every_step(service: Start, message_queue: str) -> None:
    environment = {"WEB_CONCURRENCY": "2", "REDIS_URL": message_queue, "PING_INTERVAL": "1"}
    served = service("gevent", **environment)
    wait_for_workers(served, 2)
    eventually(lambda: ready(served.url), "all workers are ready")
    steps = probed(served.url, "--idle", "3")
    assert named(steps, "passed") == set(NAMES) - ALWAYS_OPEN, troubles(steps)
    assert steps["idle"]["figures"]["pings"] >= 1
    assert steps["processes"]["figures"]["workers"] == 2
    assert {"median", "p95", "max", "jitter"} <= steps["round-trip"]["figures"].keys()
    assert "heartbeats" in steps["round-trip"]["seen"]


def test_a_queue_that_hangs_is_named(service: Start, tmp_path: Path) -> None:
    with running(tmp_path) as valkey:
        served = service("gevent", WEB_CONCURRENCY="2", REDIS_URL=valkey.url)
        wait_for_workers(served, 2)
        valkey.freeze()
        chosen = only("handshake", "websocket", "joining", "processes")
        steps = probed(served.url, "--timeout", "2", *chosen)
        valkey.thaw()
    assert named(steps, "failed") == {"processes"}, troubles(steps)
    assert "do not hear each other" in steps["processes"]["cause"]


def test_a_service_without_long_polling_is_no_failure(service: Start) -> None:
    steps = probed(service("threading", TRANSPORTS="websocket").url, *NOT_IDLE)
    assert named(steps, "failed") == set(), troubles(steps)
    assert "WebSockets only" in steps["handshake"]["cause"]
    assert steps["websocket"]["verdict"] == "passed"


def test_a_service_without_websockets_is_told_so(service: Start) -> None:
    steps = probed(service("threading", TRANSPORTS="polling").url, *NOT_IDLE)
    assert named(steps, "failed") == {"upgrade", "websocket"}, troubles(steps)
    assert "does not have the WebSocket transport" in steps["upgrade"]["cause"]
    assert "does not have the WebSocket transport" in steps["websocket"]["cause"]
    assert steps["refreshes"]["verdict"] == "passed"


# A service that this template did not generate


@pytest.fixture(scope="module")
def development_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the plain app with Werkzeug."""
    with plain_app(tmp_path_factory.mktemp("plain") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def development_report(development_server: str) -> tuple[int, Steps, dict[str, Any]]:
    """Probe the development server once, for those who look at the report."""
    return report(development_server, *NOT_IDLE)


def test_the_development_server_is_named(
    development_report: tuple[int, Steps, dict[str, Any]],
) -> None:
    status, steps, _ = development_report
    assert named(steps, "failed") == {"server"}, troubles(steps)
    assert "Werkzeug" in steps["server"]["seen"]
    assert "gunicorn" in steps["server"]["fix"]
    assert named(steps, "could not tell") == ALWAYS_OPEN | {
        "health",
        "acknowledgements",
        "processes",
    }
    assert "WebSocket pings" in steps["round-trip"]["seen"]
    assert status == 1


def test_an_event_of_the_service_can_be_named(development_server: str) -> None:
    chosen = only("websocket", "joining", "acknowledgements")
    assert named(probed(development_server, "--event", "double", *chosen), "failed") == set()
    steps = probed(development_server, "--event", "triple", "--timeout", "0.5", *chosen)
    assert steps["acknowledgements"]["seen"] == "triple was not acknowledged."


def test_a_token_opens_the_namespace_and_is_not_written(development_server: str) -> None:
    arguments = ("--namespace", "/members", *only("websocket", "joining", "refreshes"), *FEW)
    steps = probed(development_server, *arguments)
    assert "--token" in steps["joining"]["fix"]
    assert steps["refreshes"]["verdict"] == "could not tell"
    _, steps, document = report(development_server, *arguments, "--token", "open sesame")
    assert named(steps, "passed") == {"websocket", "joining", "refreshes"}, troubles(steps)
    assert "sesame" not in str(document)


def test_two_plain_workers_lack_stickiness(tmp_path: Path) -> None:
    gunicorn = (sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "50")
    chosen = only("handshake", "polling", "websocket", "joining", "refreshes")
    with plain_app(tmp_path / "log", *gunicorn) as url:

        def complained() -> Steps | None:
            steps = probed(url, *chosen)
            return steps if named(steps, "failed") else None

        # It does not while only one of the workers has begun to serve.
        steps = eventually(complained, "the second worker is noticed")
    assert steps is not None
    assert "knows its own sessions only" in steps["polling"]["cause"]
    assert re.search(r"\d+ of 20 requests .* 400 by gunicorn", steps["polling"]["seen"])
    assert "session …" in steps["polling"]["seen"]
    assert {"handshake", "websocket", "joining"} <= named(steps, "passed")


# Proxies


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Put nginx in front of a service and return its URL."""
    with contextlib.ExitStack() as running:

        def start(upstream: str, *directives: str) -> str:
            port = free_port()
            return running.enter_context(nginx(tmp_path, site(port, upstream, *directives), port))

        yield start


def test_missing_upgrade_headers_are_named(service: Start, behind: Callable[..., str]) -> None:
    steps = probed(behind(service("threading").url, HOST), *NOT_IDLE)
    assert named(steps, "failed") == {"upgrade", "websocket"}, troubles(steps)
    for name in ("upgrade", "websocket"):
        assert "`Upgrade` and `Connection` headers" in steps[name]["cause"], steps[name]
        assert "proxy_set_header Upgrade" in steps[name]["fix"]
    assert "nginx" in steps["server"]["seen"]
    assert steps["polling"]["verdict"] == "passed"


def test_an_origin_that_a_proxy_changes_is_named(
    service: Start, behind: Callable[..., str]
) -> None:
    # $host is without the port.
    url = behind(service("threading").url, "proxy_set_header Host $host;", UPGRADING)
    steps = probed(url, *NOT_IDLE)
    assert named(steps, "failed") == {"origin"}, troubles(steps)
    assert f"With Origin: {url}" in steps["origin"]["seen"]
    assert "proxy_set_header Host $http_host" in steps["origin"]["fix"]


def test_a_wrong_origin_is_named(service: Start) -> None:
    steps = probed(service("threading").url, "--origin", "https://shop.example.org", *NOT_IDLE)
    assert named(steps, "failed") == {"origin"}, steps["large"]
    assert "ALLOWED_ORIGINS" in steps["origin"]["fix"]


def test_an_open_door_is_named(service: Start) -> None:
    served = service("threading", ENVIRONMENT="development", ALLOWED_ORIGINS="*")
    steps = probed(served.url, *only("foreign-origin"))
    assert "any web site" in steps["foreign-origin"]["cause"]


def test_a_proxy_that_cuts_silent_sessions_is_named(
    service: Start, behind: Callable[..., str]
) -> None:
    url = behind(service("threading").url, HOST, UPGRADING, "proxy_read_timeout 5s;")
    steps = probed(url, *only("handshake", "polling", "websocket", "idle"))
    assert named(steps, "failed") == {"idle"}, troubles(steps)
    seconds = re.search(r"After (\d+\.\d) s of silence", steps["idle"]["seen"])
    assert seconds is not None, troubles(steps)
    assert float(seconds[1]) >= 4.9
    assert "the service pings only every 25 s" in steps["idle"]["cause"]
    assert "above 45 s" in steps["idle"]["fix"]


def test_a_short_wait_tells_nothing(service: Start) -> None:
    steps = probed(service("threading").url, "--idle", "0.3", *only("websocket", "idle"))
    assert steps["idle"]["verdict"] == "could not tell"
    assert "--idle 30 tells" in steps["idle"]["seen"]


def test_a_proxy_with_a_lower_limit_is_named(service: Start, behind: Callable[..., str]) -> None:
    url = behind(service("threading").url, HOST, UPGRADING, "client_max_body_size 100k;")
    steps = probed(url, *only("handshake", "polling", "websocket", "large"))
    assert steps["large"]["figures"]["status"] == 413
    assert "client_max_body_size" in steps["large"]["fix"]


def test_a_cookie_that_holds_sessions_together_is_mentioned(service: Start, tmp_path: Path) -> None:
    port = free_port()
    hosts = [service("threading", HOST_ID=host).url.removeprefix("http://") for host in "ab"]
    upstream = f"""
upstream hosts {{
    zone hosts 64k;
    server {hosts[0]};
    server {hosts[1]};
    sticky cookie host path=/;
}}
"""
    text = upstream + site(port, "http://hosts", HOST, UPGRADING)
    with nginx(tmp_path, text, port) as url:
        steps = probed(url, *only("handshake", "polling"), *FEW)
    assert steps["polling"]["verdict"] == "passed", troubles(steps)
    assert "thanks to a cookie" in steps["polling"]["seen"]


def test_a_service_that_is_down_behind_its_proxy_is_named(behind: Callable[..., str]) -> None:
    steps = probed(behind(f"http://127.0.0.1:{free_port()}"))
    assert named(steps, "failed") == {"http"}
    assert "the service behind it does not" in steps["http"]["cause"]
    assert steps["handshake"]["seen"] == "Not tried: the step http did not pass."


# What is broken

PAGE = Canned("200 OK", "<!doctype html><p>A front end</p>", ("Content-Type: text/html",))
UNSUPPORTED = '"The client is using an unsupported version of the Socket.IO or Engine.IO protocols"'

ANSWERS = {
    "a front end": (PAGE, "shows its page for every address"),
    "another path": (Canned("404 Not Found", "Not Found"), "No Socket.IO at this path"),
    "a login": (Canned("401 Unauthorized"), "asks for a login"),
    "a lost query": (Canned("400 Bad Request", UNSUPPORTED), "does not see `EIO=4`"),
    "Engine.IO 3": (Canned("200 OK", '97:0{"sid":"x"}2:40'), "not a Socket.IO server"),
    "a full service": (Canned("503 Service Unavailable", "Service Unavailable"), "MAX_SESSIONS"),
    "a slow service": (Canned("504 Gateway Time-out", "<html>"), "gave up waiting"),
    "an error": (Canned("500 Internal Server Error"), "failed at this request"),
    "a limit": (Canned("429 Too Many Requests"), "limit on requests"),
    "a redirection": (
        Canned("301 Moved Permanently", "", ("Location: https://example.org/",)),
        "sent elsewhere",
    ),
}


@pytest.mark.parametrize(("answer", "cause"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_of_something_else_is_explained(answer: Canned, cause: str) -> None:
    with answering(answer.raw()) as port:
        steps = probed(f"127.0.0.1:{port}", *only("handshake"))
    assert steps["handshake"]["verdict"] == "failed"
    assert cause in steps["handshake"]["cause"]


UPGRADE_ANSWERS = {
    "headers removed before Node": (
        Canned("400 Bad Request", '{"code":3,"message":"Bad request"}'),
        "passes the request",
    ),
    "headers removed": (
        Canned("400 Bad Request", '"Invalid websocket upgrade"'),
        "passes the request",
    ),
    "answered as a page": (PAGE, "shows its page"),
    "answered as a poll": (Canned("200 OK", '0{"sid":"x"}'), "passes the request"),
    "another protocol": (Canned("426 Upgrade Required"), "another protocol or version"),
    "a dead upstream": (Canned("502 Bad Gateway", "<html>"), "the service behind it does not"),
}


@pytest.mark.parametrize(("answer", "cause"), UPGRADE_ANSWERS.values(), ids=UPGRADE_ANSWERS)
def test_an_answer_to_a_websocket_is_explained(answer: Canned, cause: str) -> None:
    with answering(answer.raw()) as port:
        steps = probed(f"127.0.0.1:{port}", *only("websocket"))
    assert cause in steps["websocket"]["cause"], troubles(steps)


def test_a_page_with_a_fixed_address_is_named() -> None:
    page = Canned(
        "200 OK",
        '<script>const s = io("http://localhost:5001");</script>',
        ("Content-Type: text/html",),
    )
    with answering(page.raw()) as port:
        steps = probed(f"127.0.0.1:{port}", *only("page"))
    assert steps["page"]["figures"]["codes"] == "FSP909"
    assert "localhost:5001" in steps["page"]["seen"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [(None, "a time-out"), (1008, "rules forbid it"), (1009, "smaller"), (1012, "leaving")],
)
def test_the_end_of_a_connection_is_explained(code: int | None, cause: str) -> None:
    outcome = explain(Cut(code))
    assert cause in outcome.cause
    assert str(code or "without a close frame") in outcome.seen


def test_an_address_without_anyone_is_explained() -> None:
    steps = probed(f"127.0.0.1:{free_port()}")
    assert named(steps, "failed") == {"name"}
    assert "Nothing listens on this port" in steps["name"]["cause"]
    assert len(steps) == len(NAMES)


def test_an_unknown_host_is_explained() -> None:
    steps = probed("https://nobody.invalid")
    assert named(steps, "failed") == {"name"}
    assert "DNS" in steps["name"]["cause"]


def test_another_protocol_is_explained() -> None:
    with answering(b"SSH-2.0-OpenSSH_9.9\r\n") as port:
        steps = probed(f"127.0.0.1:{port}")
    assert named(steps, "failed") == {"http"}
    assert "Another protocol" in steps["http"]["cause"]


def test_silence_is_explained() -> None:
    with answering(b"") as port:
        steps = probed(f"127.0.0.1:{port}", "--timeout", "0.3")
    assert named(steps, "failed") == {"http"}
    assert "does not answer" in steps["http"]["cause"]


# TLS


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """Return an authority whose certificates are trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def in_days(days: float) -> datetime.datetime:
    """Return the moment in so many days."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def tls_steps(authority: trustme.CA, name: str, days: float, *arguments: str) -> Steps:
    """Probe a server whose certificate is for a name and some days."""
    ends_at = in_days(days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        name, not_before=ends_at - datetime.timedelta(days=90), not_after=ends_at
    ).configure_cert(context)
    with answering(Canned("200 OK").raw(), context) as port:
        return probed(f"https://127.0.0.1:{port}", *arguments, *only("tls", "http"))


def test_a_valid_certificate_passes(authority: trustme.CA) -> None:
    steps = tls_steps(authority, "127.0.0.1", 60.5)
    assert named(steps, "passed") == {"tls", "http"}, troubles(steps)
    assert "another 60 days" in steps["tls"]["seen"]


def test_a_certificate_about_to_expire_is_named(authority: trustme.CA) -> None:
    steps = tls_steps(authority, "127.0.0.1", 3.5)
    assert steps["tls"]["figures"] == {"days": 3}
    assert "about to expire" in steps["tls"]["cause"]


@pytest.mark.parametrize(
    ("name", "days", "seen"),
    [("127.0.0.1", -1, "expired"), ("192.0.2.1", 60, "not valid for '127.0.0.1'")],
    ids=["expired", "of another host"],
)
def test_a_certificate_that_browsers_refuse_is_named(
    authority: trustme.CA, name: str, days: float, seen: str
) -> None:
    steps = tls_steps(authority, name, days)
    assert seen in steps["tls"]["seen"]
    assert steps["http"]["verdict"] == "could not tell"
    steps = tls_steps(authority, name, days, "--insecure")
    assert "not verified" in steps["tls"]["seen"]
    assert steps["http"]["verdict"] == "passed"


def test_a_service_behind_tls_has_no_fault(
    service: Start, authority: trustme.CA, tmp_path: Path
) -> None:
    port = free_port()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1", not_after=in_days(60))
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    served = service("threading", TRUSTED_PROXIES="1")
    forwarded = "proxy_set_header X-Forwarded-Proto $scheme;"
    text = site(port, served.url, HOST, UPGRADING, forwarded).replace(
        f"listen 127.0.0.1:{port};",
        f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};",
    )
    with nginx(tmp_path, text, port):
        steps = probed(f"https://127.0.0.1:{port}", *NOT_IDLE)
        assert named(steps, "failed") == set(), troubles(steps)
        assert named(steps, "could not tell") == {"server", "processes"}
        plain = probed(f"http://127.0.0.1:{port}")
    assert "speaks TLS" in plain["http"]["cause"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_message_that_is_not_taken_is_the_end_of_a_connection(
    scheme: str, authority: trustme.CA
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with hanging_up(context if scheme == "https" else None) as port:
        websocket = WebSocket(Target(scheme, "127.0.0.1", port), "/", {})

        def fill_the_way() -> None:
            while True:
                websocket.send("x" * 1_000_000)

        with pytest.raises(Cut):
            fill_the_way()
        websocket.leave()


def test_a_redirection_to_tls_is_named() -> None:
    redirection = Canned("301 Moved Permanently", "", ("Location: https://shop.example.org/",))
    with answering(redirection.raw()) as port:
        steps = probed(f"127.0.0.1:{port}")
    assert steps["http"]["seen"] == "Answered 301: it is at https://shop.example.org/."


def test_a_port_without_tls_is_named() -> None:
    with answering(Canned("400 Bad Request").raw()) as port:
        steps = probed(f"https://127.0.0.1:{port}")
    assert "speaks no TLS" in steps["tls"]["cause"]


# The command


def test_the_document_keeps_its_form(
    development_server: str, development_report: tuple[int, Steps, dict[str, Any]]
) -> None:
    _, steps, document = development_report
    assert document.keys() == {"version", "url", "verdict", "counts", "steps"}
    assert document["version"] == 1
    assert document["url"] == f"{development_server}/"
    assert document["verdict"] == "failed"
    assert list(document["counts"]) == ["passed", "failed", "could not tell"]
    assert sum(document["counts"].values()) == len(steps)
    assert list(steps) == [name for name in NAMES if name != "idle"]
    for step in steps.values():
        assert list(step) == [
            "step", "title", "verdict", "seen", "cause", "fix", "figures", "seconds",
        ]  # fmt: skip
        assert step["verdict"] in document["counts"]
        assert step["seen"].endswith((".", "!")) or step["step"] == "page"
        assert bool(step["cause"]) == bool(step["fix"])
        if step["verdict"] == "failed":
            assert step["cause"]


def test_the_command_speaks_for_people(bake: Bake, development_server: str) -> None:
    chosen = only("tls", "server", "handshake")
    probe = subprocess.run(
        [sys.executable, "-m", "production.doctor", "probe", development_server, *chosen],
        cwd=bake().path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (probe.returncode, probe.stderr) == (1, "")
    assert "could not tell  tls" in probe.stdout
    assert "fix: Serve with gunicorn" in probe.stdout
    assert probe.stdout.endswith("1 passed, 1 failed, 1 could not tell.\n")


def test_what_was_not_tried_is_one_line_beside_what_failed(bake: Bake) -> None:
    probe = subprocess.run(
        [sys.executable, "-m", "production.doctor", "probe", f"http://127.0.0.1:{free_port()}"],
        cwd=bake().path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    (not_tried,) = re.findall("^not tried .*?[.]$", probe.stdout, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"[a-z-]+(?=[,.])", not_tried)) == {step.name for step in STEPS} - {
        "name"
    }
    assert probe.stdout.endswith(": 0 passed, 1 failed, 19 could not tell.\n")
    assert probe.stdout.count("\n") < 12


def test_nobody_waits_after_an_interruption(bake: Bake, development_server: str) -> None:
    chosen = ("--idle", "3600", *only("websocket", "idle"))
    with subprocess.Popen(
        [sys.executable, "-m", "production.doctor", "probe", development_server, *chosen],
        cwd=bake().path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as probe:
        assert probe.stdout is not None
        assert "websocket" in probe.stdout.readline()
        probe.send_signal(signal.SIGINT)
        rest, complaints = probe.communicate(timeout=PATIENCE)
    assert (probe.returncode, rest, complaints) == (130, "", "")


@pytest.mark.parametrize(
    "wrong",
    [[], ["ftp://x"], ["http://x:99999"], ["x", "--skip", "lunch"], ["x", "--header", "y"]],
    ids=str,
)
def test_a_command_that_makes_no_sense_is_refused(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["probe", *wrong])
    assert "error: " in capsys.readouterr().err


def test_a_terminal_shows_how_far_a_step_is() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    display = Display(stream)
    display.begin(STEPS[0])
    display.progress("3 of 20")
    display.end(Result(STEPS[0].name, STEPS[0].title, passed("Seen."), 0.1))
    lines = stream.getvalue().split("\r\x1b[K")
    assert lines[1].endswith(STEPS[0].title)
    assert lines[2].endswith("3 of 20")
    assert lines[-1].startswith("passed")


def test_the_documentation_has_a_row_for_every_step() -> None:
    text = (TEMPLATE / "docs" / "probe.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE) == list(NAMES)


def test_the_help_lists_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["probe", "--help"])
    text = capsys.readouterr().out
    for step in STEPS:
        assert re.search(rf"^ +{step.name} +{re.escape(step.title)}$", text, re.MULTILINE)
