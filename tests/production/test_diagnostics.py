"""What the page /diagnostics speaks to: its routes and the namespace of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_socketio import SocketIO
from structlog.testing import capture_logs
from werkzeug.middleware.proxy_fix import ProxyFix

import production
from production.browser import diagnostics_events as events
from production.settings import load_settings

SECRET = "a-secret-for-tests-0123456789-abcdef"


class Service:
    """An app with the layer around it.

    :param settings: what differs from the settings' defaults.
    """

    def __init__(self, **settings: Any) -> None:
        self.app = Flask(__name__)
        self.socketio = SocketIO()
        self.settings = {"secret_key": SECRET, "async_mode": "threading", "redis_url": None}
        self.settings |= settings

    def start(self) -> Service:
        """Put the layer around it."""
        production.init_app(self.app, self.socketio, load_settings(**self.settings))
        return self

    def get(self, path: str, **options: Any) -> Any:
        """Ask over HTTP."""
        return self.app.test_client().get(path, **options)

    def join(self) -> Any:
        """Return a client in the namespace."""
        return self.socketio.test_client(self.app, namespace=events.NAMESPACE)


def ask(client: Any, event: str, *arguments: Any) -> Any:
    """Ask in the namespace and return the acknowledgement."""
    return client.emit(event, *arguments, namespace=events.NAMESPACE, callback=True)


def test_the_page_is_guarded_and_has_nothing_inline() -> None:
    answer = Service().start().get("/diagnostics")
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.text
    assert "style=" not in answer.text
    assert 'data-socket-path="/socket.io"' in answer.text


def test_only_the_page_itself_may_frame_what_it_refreshes() -> None:
    answer = Service().start().get("/diagnostics/frame")
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


def test_below_a_prefix_the_page_finds_the_sessions_there() -> None:
    service = Service(trusted_proxies=1).start()
    answer = service.get("/diagnostics", headers={"X-Forwarded-Prefix": "/live"})
    assert 'data-socket-path="/live/socket.io"' in answer.text
    assert 'src="/live/realtime/diagnostics.js"' in answer.text


@pytest.mark.parametrize(
    ("named", "allowed"),
    [
        ("http://127.0.0.1:5001", "'self' http://127.0.0.1:5001 ws://127.0.0.1:5001"),
        ("https://b.example/", "'self' https://b.example wss://b.example"),
        ("https://[::1]:8443", "'self' https://[::1]:8443 wss://[::1]:8443"),
        ("https://b.example; script-src *", "'self'"),
        ("https://b.example/path", "'self'"),
        ("*", "'self'"),
        ("", "'self'"),
    ],
)
def test_the_page_may_reach_the_one_service_that_it_is_asked_to(named: str, allowed: str) -> None:
    answer = Service().start().get("/diagnostics", query_string={"service": named})
    assert f"; connect-src {allowed}; " in answer.headers["Content-Security-Policy"]


def test_what_the_service_saw_is_what_the_trusted_proxies_say() -> None:
    service = Service(trusted_proxies=1).start()
    assert isinstance(service.app.wsgi_app, ProxyFix)
    answer = service.get(
        "/diagnostics/request",
        headers={
            "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "live.example",
        },
    )
    saw = answer.get_json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (saw["scheme"], saw["host"]) == ("https", "live.example")
    assert saw["client_address"] == "203.0.113.9"
    assert saw["forwarded"] == {
        "X-Forwarded-For": 2,
        "X-Forwarded-Host": 1,
        "X-Forwarded-Proto": 1,
    }
    assert (saw["believed"], saw["too_few"]) == (True, False)
    assert "198.51.100.1" not in answer.text


def test_headers_that_nobody_trusts_are_named_and_not_believed() -> None:
    saw = (
        Service()
        .start()
        .get("/diagnostics/request", headers={"X-Forwarded-Proto": "https"})
        .get_json()
    )
    assert (saw["scheme"], saw["forwarded"]) == ("http", {"X-Forwarded-Proto": 1})
    assert (saw["believed"], saw["too_few"]) == (False, False)


def test_a_proxy_that_is_trusted_and_not_there_is_missed() -> None:
    saw = Service(trusted_proxies=2).start().get("/diagnostics/request").get_json()
    assert saw["too_few"]


def test_a_session_learns_who_serves_it_and_nothing_more() -> None:
    answer = ask(Service(host_id="web-1").start().join(), "greet")
    assert answer.pop("process").startswith("web-1.")
    assert answer == {
        "ok": True,
        "workers": 1,
        "message_queue": False,
        "ping_interval": 25.0,
    }


def test_a_message_goes_to_the_session_that_is_named_and_to_no_other() -> None:
    service = Service().start()
    asking, named, other = service.join(), service.join(), service.join()
    sid = service.socketio.server.manager.sid_from_eio_sid(named.eio_sid, events.NAMESPACE)
    assert ask(asking, "deliver", {"to": sid})["ok"]
    (message,) = named.get_received(events.NAMESPACE)
    assert message["name"] == "delivered"
    assert other.get_received(events.NAMESPACE) == []


@pytest.mark.parametrize("arguments", [[], [{}], [{"to": ""}], [{"to": "x" * 65}], [{"to": None}]])
def test_nobody_can_be_told_something_at_random(arguments: list[Any]) -> None:
    service = Service().start()
    asking, other = service.join(), service.join()
    assert ask(asking, "deliver", *arguments)["error"]["code"] == "invalid"
    assert other.get_received(events.NAMESPACE) == []


def test_a_session_may_ask_so_much() -> None:
    service = Service().start()
    asking = service.join()
    answers = [ask(asking, "greet")["ok"] for _ in range(events.QUESTIONS_PER_SESSION + 1)]
    assert answers == [True] * events.QUESTIONS_PER_SESSION + [False]
    assert ask(service.join(), "greet")["ok"]


def test_a_setting_switches_it_off() -> None:
    service = Service(diagnostics_page=False).start()
    for path in ("/diagnostics", "/diagnostics/frame", "/diagnostics/request"):
        assert service.get(path).status_code == 404
    assert not service.join().is_connected(events.NAMESPACE)


def test_a_route_and_a_namespace_of_the_app_win() -> None:
    service = Service()
    service.app.add_url_rule("/diagnostics", "own", lambda: "the app's own")
    service.socketio.on_event("greet", lambda: "the app's own", namespace=events.NAMESPACE)
    with capture_logs() as records:
        service.start()
    assert service.get("/diagnostics").text == "the app's own"
    assert ask(service.join(), "greet") == "the app's own"
    assert [record["namespace"] for record in records if record["log_level"] == "warning"] == [
        events.NAMESPACE
    ]


def test_an_app_that_guards_all_namespaces_guards_this_one() -> None:
    service = Service()
    service.socketio.on_event("connect", lambda: False, namespace="*")
    assert not service.start().join().is_connected(events.NAMESPACE)


def test_a_template_of_the_app_with_the_same_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diagnostics.html").write_text("the app's own")
    service = Service()
    service.app.template_folder = str(tmp_path)
    assert "the app's own" not in service.start().get("/diagnostics").text
