"""Where settings come from, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from production import settings as module
from production.misspelt import misspelt
from production.modes import AsyncMode
from production.refusal import ConfigurationError
from production.settings import Settings, load_settings
from settings_page import PAGE, page

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
EXAMPLE = Path(module.__file__).parent.parent / ".env.example"


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Read no file but those that a test writes, and no variable of this machine."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    monkeypatch.setitem(Settings.model_config, "toml_file", tmp_path / "production.toml")
    return tmp_path


def test_the_environment_wins_over_the_file_and_that_over_the_project(
    no_surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_surroundings / "production.toml").write_text('async_mode = "gevent"\nkeepalive = 1\n')
    (no_surroundings / ".env").write_text(f"SECRET_KEY={SECRET}\nKEEPALIVE=2\nMAX_SESSIONS=2\n")
    monkeypatch.setenv("MAX_SESSIONS", "3")
    settings = load_settings()
    assert (settings.async_mode, settings.keepalive, settings.max_sessions) == (
        AsyncMode.GEVENT,
        2,
        3,
    )


@pytest.mark.parametrize(
    ("origin", "is_one"),
    [
        ("https://example.org", True),
        ("https://example.org:8443", True),
        ("https://*.example.org", True),
        ("https://*.example.org:8443", True),
        ("https://*.org", False),
        ("https://*", False),
        ("https://a.*.example.org", False),
        ("https://*a.example.org", False),
        ("https://*.*.example.org", False),
        ("https://*.example.org/page", False),
        ("example.org", False),
    ],
)
def test_an_origin_is_named_or_stands_for_the_hosts_below_it(
    monkeypatch: pytest.MonkeyPatch, origin: str, is_one: bool
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("ALLOWED_ORIGINS", origin)
    if is_one:
        assert load_settings().allowed_origins == [origin]
    else:
        with pytest.raises(ConfigurationError, match="which is no origin"):
            load_settings()


def test_a_variable_that_is_nearly_a_setting_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("LOG_LEVLE", "DEBUG")
    for other in ("VALKEY_PASSWORD", "HOST_IP", "REDIS_PORT"):
        monkeypatch.setenv(other, "x")
    module.main()
    printed = capsys.readouterr()
    assert printed.err == "Warning. LOG_LEVLE is set, which is no setting: is LOG_LEVEL meant?\n"
    assert '"log_level": "INFO"' in printed.out


def test_no_setting_is_mistaken_for_another() -> None:
    names = [name.upper() for name in Settings.model_fields]
    for name in names:
        assert list(misspelt([name], (other for other in names if other != name))) == []


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example, https://b.example:8443")
    settings = load_settings(secret_key=SECRET)
    assert settings.allowed_origins == ["https://a.example", "https://b.example:8443"]


@pytest.mark.parametrize("bind", ["localhost", "127.0.0.1:http", "127.0.0.1:70000", ":1,::"])
def test_an_address_needs_a_port(bind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"BIND must be an address and a port"):
        load_settings(secret_key=SECRET, bind=bind)


@pytest.mark.parametrize(
    "bind", [":8000", "[::1]:8000,127.0.0.1:8000", "unix:/run/a.sock", "fd://3"]
)
def test_the_service_listens_wherever_gunicorn_can(bind: str) -> None:
    assert load_settings(secret_key=SECRET, bind=bind).bind == bind


def test_a_project_file_that_is_no_toml_is_refused(no_surroundings: Path) -> None:
    (no_surroundings / "production.toml").write_text("keepalive = = 1\n")
    with pytest.raises(ConfigurationError, match=r"production\.toml cannot be read: .*line 1"):
        load_settings(secret_key=SECRET)


def test_a_misspelt_name_in_the_project_file_is_refused(no_surroundings: Path) -> None:
    (no_surroundings / "production.toml").write_text("keepalve = 1\n")
    with pytest.raises(ConfigurationError, match=r"production\.toml sets keepalve, which is no"):
        load_settings(secret_key=SECRET)


@pytest.mark.parametrize("bind", ["9464", "127.0.0.1", ":9464", "127.0.0.1:0", "unix:/metrics"])
def test_metrics_need_an_address_and_a_port(bind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"METRICS_BIND must be an address and a port"):
        load_settings(secret_key=SECRET, metrics_bind=bind)


@pytest.mark.parametrize("bind", ["0.0.0.0:5000", "[::]:5000", "127.0.0.1:5000"])
def test_metrics_are_refused_on_the_public_port(bind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"METRICS_BIND names the port that BIND has"):
        load_settings(secret_key=SECRET, bind=bind, metrics_bind="127.0.0.1:5000")
    load_settings(secret_key=SECRET, bind="unix:/run/a:5000", metrics_bind="127.0.0.1:5000")


def test_secrets_are_not_shown() -> None:
    settings = load_settings(secret_key=SECRET, redis_url="redis://:password@localhost")
    assert SECRET not in repr(settings)
    assert "password" not in settings.model_dump_json()


@pytest.mark.parametrize("size", ["1e6", "1000000.0", "1_0", "-1", "", 1e6, True])
def test_sizes_are_whole_numbers_of_bytes(size: object) -> None:
    with pytest.raises(ConfigurationError, match=r"MAX_MESSAGE_BYTES"):
        load_settings(secret_key=SECRET, max_message_bytes=size)


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("short", "OPERATOR_TOKEN has 5 characters"),
        ("changeme" * 5, "OPERATOR_TOKEN is a well-known default"),
        ("ab" * 20, "OPERATOR_TOKEN repeats a few characters"),
        (SECRET, "OPERATOR_TOKEN is the SECRET_KEY"),
    ],
)
def test_a_token_of_operators_must_be_worth_it(token: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as refusal:
        load_settings(secret_key=SECRET, operator_token=token, environment="development")
    assert token == "short" or token not in str(refusal.value)


def test_an_empty_token_is_none() -> None:
    assert load_settings(secret_key=SECRET, operator_token="").operator_token is None


def test_the_admin_ui_needs_the_token() -> None:
    with pytest.raises(ConfigurationError, match="set OPERATOR_TOKEN too"):
        load_settings(secret_key=SECRET, admin_ui="production")
    load_settings(secret_key=SECRET, admin_ui="production", operator_token=SECRET[::-1])


def test_what_visitors_send_is_shown_in_development_only() -> None:
    settings = {"secret_key": SECRET, "admin_ui": "development", "operator_token": SECRET[::-1]}
    with pytest.raises(ConfigurationError, match="ADMIN_UI=development shows what visitors send"):
        load_settings(**settings)
    load_settings(**settings, environment="development")


def test_every_setting_is_documented_with_its_default() -> None:
    of_the_layer, _, _ = EXAMPLE.read_text().partition("# --- Your own ---")
    documented = dict(re.findall(r"^#? ?([A-Z_]+)=(.*)$", of_the_layer, re.MULTILINE))
    assert {name.upper() for name in Settings.model_fields} == set(documented)
    settings = load_settings(secret_key=SECRET)
    for name, shown in documented.items():
        if name in {"SECRET_KEY", "SERVICE_NAME", "HOST_ID", "ASYNC_MODE", "REDIS_URL"}:
            continue
        default = getattr(settings, name.lower())
        parsed = getattr(load_settings(secret_key=SECRET, **{name.lower(): shown}), name.lower())
        assert parsed == default, name


def test_the_page_of_the_settings_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "python tests/settings_page.py writes it anew"
