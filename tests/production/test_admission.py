"""Who may open a session: by address, whatever a client calls itself, and with bounded memory."""

from __future__ import annotations

import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from production.http.proxy import TrustedProxies, client_address, client_of
from production.realtime.admission import MOST_ADDRESSES, PERIOD, SAID_EVERY, Admission

ADDRESS = "192.0.2.1"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:4711", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:DB8:1:2::]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2", None),
        ("192.0.2.1, 192.0.2.2", None),
        ('"192.0.2.1', None),
        ("unix:", None),
    ],
)
def test_an_address_stands_for_all_that_a_client_can_easily_have(
    text: str, address: str | None
) -> None:
    assert client_address(text) == address


@pytest.mark.parametrize("proxies", [1, 2])
@pytest.mark.parametrize(
    "sent",
    [
        "",
        "198.18.0.1",
        '"',
        '"198.18.0.1',
        'a="',
        "\\",
        "198.18.0.1, 198.18.0.2",
        ",,",
        '",",',
        "é",
    ],
)
def test_what_a_client_sends_does_not_change_its_address(proxies: int, sent: str) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], _: Any) -> list[bytes]:
        seen.append(environ)
        return []

    added = [ADDRESS, "10.0.0.1"][:proxies]
    environ = {
        "REMOTE_ADDR": "10.0.0.2",
        "HTTP_X_FORWARDED_FOR": ", ".join([sent, *added] if sent else added),
        "HTTP_X_FORWARDED_PROTO": ", ".join([sent, *["https"] * proxies]),
    }
    TrustedProxies(app, proxies)(environ, None)
    assert client_of(seen[0]) == ADDRESS
    assert seen[0]["REMOTE_ADDR"] == ADDRESS
    assert seen[0]["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("forwarded", [None, "", "unknown", ADDRESS])
def test_a_proxy_that_does_not_say_for_whom_it_asks_is_no_client(forwarded: str | None) -> None:
    environ: dict[str, Any] = {"REMOTE_ADDR": "10.0.0.2"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    TrustedProxies(lambda *_: [], 2)(environ, None)
    assert client_of(environ) is None


def test_an_address_has_so_many_sessions_at_a_time() -> None:
    admission = Admission(sessions=3, handshakes=1000)
    assert [admission.enter(ADDRESS) for _ in range(3)] == [None] * 3
    refusal = admission.enter(ADDRESS)
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after > 0) == ("address-full", True)
    assert admission.enter("192.0.2.2") is None
    admission.leave(ADDRESS)
    assert admission.enter(ADDRESS) is None


def test_an_address_opens_so_many_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(sessions=1000, handshakes=2)
    in_time = sum(admission.enter(ADDRESS) is None for _ in range(100))
    assert in_time == 2 * PERIOD
    refusal = admission.enter(ADDRESS)
    assert refusal is not None
    assert refusal.reason == "address-rate"
    now += refusal.retry_after
    assert admission.enter(ADDRESS) is None
    now += PERIOD
    assert sum(admission.enter(ADDRESS) is None for _ in range(100)) == in_time


def test_nobody_is_counted_whose_address_is_unknown() -> None:
    admission = Admission(sessions=1, handshakes=1)
    assert [admission.enter(None) for _ in range(100)] == [None] * 100
    admission.leave(None)


def test_the_log_has_a_line_a_minute_with_the_number_of_refusals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(sessions=1, handshakes=1000)
    with capture_logs() as records:
        for _ in range(101):
            admission.enter(ADDRESS)
        now += SAID_EVERY + 1
        admission.enter(ADDRESS)
    assert [record["refused"] for record in records] == [1, 100]
    assert {record["setting"] for record in records} == {"SESSIONS_PER_ADDRESS"}


def test_sessions_from_many_addresses_take_no_memory_once_they_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(sessions=1, handshakes=1)
    for number in range(2 * MOST_ADDRESSES):
        assert admission.enter(str(number)) is None
        admission.enter(str(number))
        admission.leave(str(number))
    assert admission._sessions == {}
    assert len(admission._full_at) == len(admission._refused) == MOST_ADDRESSES
    now += PERIOD
    admission.enter(ADDRESS)
    assert list(admission._full_at) == [ADDRESS]
