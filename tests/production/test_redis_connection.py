"""Which URLs are understood, and what is said about the others."""

from __future__ import annotations

from typing import Any

import pytest

from production.realtime.connection_options import to_sentinels
from production.realtime.queue_url import Form, check_url, parse
from production.realtime.redis_connection import connect, name
from production.refusal import ConfigurationError
from production.settings import load_settings

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.mark.parametrize(
    ("url", "form", "nodes", "master", "options"),
    [
        ("redis://", Form.SINGLE, (), "", {"host": "localhost", "port": 6379}),
        ("valkey://[::1]:7/2", Form.SINGLE, (), "", {"host": "::1", "port": 7, "db": 2}),
        (
            "redis://u:p%40w%3Ah@h",
            Form.SINGLE,
            (),
            "",
            {"username": "u", "password": "p@w:h", "host": "h"},
        ),
        (
            "unix:///run/valkey.sock?db=3",
            Form.SINGLE,
            (),
            "",
            {"path": "/run/valkey.sock", "db": 3},
        ),
        (
            "redis+sentinel://u:p@a:1,b/2/board",
            Form.SENTINEL,
            (("a", 1), ("b", 26379)),
            "board",
            {"username": "u", "password": "p", "db": 2},
        ),
        (
            "valkeys+sentinel://a/board/2?ssl_check_hostname=false&sentinel_password=a%26b",
            Form.SENTINEL,
            (("a", 26379),),
            "board",
            {"db": 2, "ssl_check_hostname": False},
        ),
        (
            "rediss+cluster://a,b:2?socket_timeout=0.5",
            Form.CLUSTER,
            (("a", 6379), ("b", 2)),
            "",
            {"socket_timeout": 0.5},
        ),
    ],
)
def test_each_form_is_understood(
    url: str, form: Form, nodes: Any, master: str, options: dict[str, Any]
) -> None:
    check_url(url)
    address = parse(url)
    assert (address.form, address.nodes, address.master) == (form, nodes, master)
    assert options.items() <= address.options.items()
    assert address.tls is url.startswith(("rediss", "valkeys"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:6379", "is no URL of Redis or Valkey"),
        ("http://localhost", "is no URL of Redis or Valkey"),
        ("redis+magic://localhost", "is no URL of Redis or Valkey"),
        ("redis://a,b", "names several hosts"),
        ("redis://:hunter2@h:99999", "names a host or port that is none"),
        ("redis://:hunter2#@h", "contains #"),
        ("redis://:hunter2/x@h", "names a host or port that is none"),
        ("redis://h/board", "is no database"),
        ("redis://h/0/1", "is no database"),
        ("redis://h?db=hunter2", "Invalid value for 'db'"),
        ("redis://h?unknown=hunter2", "option that does not exist, 'unknown'"),
        ("redis://h?hunter2", "an option without a value"),
        ("redis://h?db=1&db=2", "gives the option db twice"),
        ("redis://h/1?db=2", "gives the database twice"),
        ("redis://:hunter2@h?password=hunter2", "gives the password twice"),
        ("redis://h?ssl=1", "write rediss://"),
        ("rediss://h?ssl=true", "write rediss://"),
        ("redis://h?ssl_ca_certs=/ca.pem", "without TLS: write rediss://"),
        ("redis://h?socket_timeout=-1", "has to be a number of seconds"),
        ("redis://h?socket_timeout=nan", "has to be a number of seconds"),
        ("redis://h?socket_keepalive=perhaps", "has to be true or false"),
        ("redis://h?decode_responses=true", "option that does not exist"),
        ("redis://h?max_connections=1", "option that does not exist"),
        ("redis://h?protocol=3", "option that does not exist"),
        ("redis://h?sentinel_password=hunter2", "without Sentinels"),
        ("redis+sentinel://h/m?sentinel_username=u", "without sentinel_password"),
        ("unix:///s?socket_keepalive=1", "a unix socket has none"),
        ("unix:///s?ssl_ca_certs=/ca.pem", "without TLS"),
        ("unix://h/s", "names no socket"),
        ("rediss://h?ssl_cert_reqs=maybe", "has to be none, optional or required"),
        ("rediss://h?ssl_min_version=1.0", "has to be 1.2 or 1.3"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "file in ssl_ca_certs that cannot be read"),
        (f"rediss+cluster://h?ssl_ca_certs={__file__}", "ssl_ca_certs that cannot be used"),
        ("rediss://h?ssl_ca_path=/nowhere", "directory in ssl_ca_path"),
        ("rediss://h?ssl_certfile=/nowhere", "file in ssl_certfile that cannot be read"),
        (f"rediss://h?ssl_certfile={__file__}", "ssl_certfile that cannot be used"),
        (f"rediss://h?ssl_keyfile={__file__}", "ssl_keyfile without ssl_certfile"),
        ("rediss://h?ssl_ciphers=hunter2", "ssl_ciphers that cannot be used"),
        ("redis+sentinel://a,b/0", "names no master"),
        ("redis+cluster://a/1", "in a cluster there is only 0"),
        ("unix://", "names no socket"),
        ("unix+cluster:///x", "behind a unix socket"),
    ],
)
def test_what_is_no_url_is_refused_in_one_sentence_without_its_password(
    url: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(secret_key=SECRET, async_mode="threading", redis_url=url)
    message = refusal.value.message
    assert message.startswith("REDIS_URL ")
    assert words.lower() in message.lower()
    assert "\n" not in message
    assert "hunter2" not in message


def test_the_options_of_a_url_win() -> None:
    client = connect("redis://h?socket_timeout=7", socket_timeout=1.0, client_name="me")
    options = client.connection_pool.connection_kwargs
    assert options["socket_timeout"] == 7
    assert options["client_name"] == "me"
    assert options["socket_connect_timeout"] == 1.0
    assert options["socket_keepalive"]


def test_names_differ_by_service_and_channels_by_database() -> None:
    assert name("a", "once", "x") == "production:{a}:once:x"
    assert name("a", "events", url="redis://h/1") == "production:{a}:events:1"
    assert name("a", "events", url="redis://h") == name("a", "events", url="unix:///s")


def test_sentinels_are_given_time_outs_and_tls_and_credentials_of_their_own() -> None:
    url = "rediss+sentinel://u:p@h/m?sentinel_username=s&sentinel_password=a%26b&socket_timeout=7"
    options = to_sentinels(parse(url))
    assert (options["username"], options["password"]) == ("s", "a&b")
    assert (options["ssl"], options["socket_timeout"]) == (True, 7)
    assert "password" not in to_sentinels(parse("redis+sentinel://u:p@h/m"))
