"""Which Socket.IO client a page loads, and from where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from production.browser import client, vendor
from production.browser.assets import asset_url, client_script, init_app
from production.browser.page import content_security_policy, render_page

TESTS = Path(__file__).resolve().parent.parent
NPM_COPY = TESTS / "js/node_modules/socket.io-client/dist/socket.io.min.js"


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of static files without a copy of the client."""
    for module in (client, vendor):
        monkeypatch.setattr(module, "STATIC", tmp_path)
    return tmp_path


@pytest.fixture
def npm_copy(requires: Callable[[str], str]) -> bytes:
    """The script as npm installs it."""
    if not NPM_COPY.exists():
        requires("the npm package socket.io-client (make javascript)")
    return NPM_COPY.read_bytes()


def test_without_a_copy_the_client_comes_from_the_cdn_and_is_checked(static: Path) -> None:
    with Flask(__name__).test_request_context():
        script = client_script()
    assert script.src == client.ON_CDN
    assert script.integrity == client.INTEGRITY
    assert f"script-src 'self' {client.CDN};" in content_security_policy()


def test_the_copy_of_npm_is_the_script_that_is_expected(static: Path, npm_copy: bytes) -> None:
    kept = vendor.keep(npm_copy)
    assert kept.read_bytes() == npm_copy
    assert (kept.parent / ".gitignore").read_text() == "*\n"
    with Flask(__name__).test_request_context("/board", base_url="http://localhost/prefix"):
        script = client_script()
    assert (script.src, script.integrity) == ("/prefix/realtime/vendor/socket.io.min.js", "")
    assert "script-src 'self';" in content_security_policy()


def test_another_script_is_refused(static: Path) -> None:
    with pytest.raises(vendor.Refused, match="find out who changed it"):
        vendor.keep(b"changed on the way")
    assert list(static.iterdir()) == []


def test_without_npm_one_sentence_says_so(static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(static))
    with pytest.raises(vendor.Refused, match="npm is not installed"):
        vendor.fetch()


def test_the_client_of_the_tests_is_of_the_same_release() -> None:
    package = (TESTS / "js/package.json").read_text()
    (release,) = re.findall(r'"socket\.io-client": "([0-9.]+)"', package)
    assert release == client.RELEASE


def test_the_files_are_served() -> None:
    app = Flask(__name__)
    init_app(app)
    with app.test_request_context():
        address = asset_url("page.css")
    answer = app.test_client().get(address)
    assert (answer.status_code, answer.mimetype) == (200, "text/css")
    answer.close()


def test_a_page_is_guarded(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ asset_url('page.css') }} {{ client_script.src }}")
    app = Flask(__name__, template_folder=str(tmp_path))
    with app.test_request_context():
        response = render_page("page.html", origins=["wss://example.org"])
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self' wss://example.org" in policy
    assert "unsafe" not in policy
    assert response.get_data(as_text=True).startswith("/realtime/page.css ")
