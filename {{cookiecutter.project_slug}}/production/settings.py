"""Typed settings: read from the environment, ``.env`` and ``production.toml``.

The first of these that names a setting wins: the process environment, the file ``.env`` (what is
particular to this machine, never committed; ``production.env`` beside an adopted app), the file
``production.toml`` (what is true of the service wherever it runs, committed), the default given here.
Every default is safe in production.

A value that is unsafe is refused by name, with the fix, before anything is served.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from dotenv import dotenv_values, load_dotenv
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from production.adopt.start import parse
from production.host_id import check_host_id, default_host_id
from production.misspelt import misspelt
from production.modes import AsyncMode
from production.refusal import ConfigurationError
from production.weak_secrets import SHORTEST_SECRET, check_secret

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# Beside a single-file binary, which unpacks the project where nobody looks.
ENV_DIRECTORY = Path(sys.executable).parent if hasattr(sys, "frozen") else PROJECT_ROOT

# Where an adopted app's settings stand that are particular to a machine: its .env is the app's own.
ADOPTED_ENV_FILE = "production.env"

APP_TABLE = "app"
"""In ``production.toml``, what the app's own settings are, see :mod:`production.app_settings`."""

SHARE_OF_AN_ADDRESS = 0.8
FEWEST_OF_AN_ADDRESS = 100
"""Of MAX_SESSIONS, what one address may have where SESSIONS_PER_ADDRESS does not say it."""


Kind = TypeVar("Kind", bound=BaseSettings)


class Environment(StrEnum):
    """Where the service runs. ``development`` relaxes what each setting says it relaxes."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class LogFormat(StrEnum):
    """How log records are written. ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class AdminUi(StrEnum):
    """What python-socketio tells the Socket.IO Admin UI: nothing, totals, or everything."""

    OFF = "off"
    PRODUCTION = "production"
    DEVELOPMENT = "development"


class Transport(StrEnum):
    """The two transports of Engine.IO."""

    POLLING = "polling"
    WEBSOCKET = "websocket"


def _split(value: Any) -> Any:
    """Read ``a, b`` from the environment as a list; leave a list as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class Settings(BaseSettings):
    """Everything that can be set, with its default. The environment variable is the upper-case name."""

    model_config = SettingsConfigDict(
        env_file=ENV_DIRECTORY / ".env",
        env_file_encoding="utf-8",
        toml_file=PROJECT_ROOT / "production.toml",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    # The service
    environment: Environment = Environment.PRODUCTION
    service_name: str = Field(default=PROJECT_ROOT.name, min_length=1, max_length=64)
    secret_key: SecretStr = SecretStr("")

    # An existing app, see production/adopt
    existing_app: str = ""
    several_workers: bool = False
    upgrade_insecure_requests: bool = True

    # The processes
    async_mode: AsyncMode = AsyncMode.EVENTLET
    bind: str = "127.0.0.1:5000"
    web_concurrency: int = Field(default=1, ge=1)
    host_id: str = Field(default_factory=default_host_id)
    max_sessions: int = Field(default=1000, ge=1)
    keepalive: int = Field(default=5, ge=0)
    worker_timeout: int = Field(default=30, ge=1)
    drain_seconds: float = Field(default=10.0, ge=0)
    reload: bool = False

    # The proxy in front
    trusted_proxies: int = Field(default=0, ge=0)
    proxy_read_timeout: float = Field(default=60.0, gt=0)
    allowed_origins: Annotated[list[str], NoDecode] = []

    # The sessions
    transports: Annotated[list[Transport], NoDecode] = [Transport.POLLING, Transport.WEBSOCKET]
    ping_interval: float = Field(default=25.0, gt=0)
    ping_timeout: float = Field(default=20.0, gt=0)
    max_message_bytes: int = Field(default=1_000_000, ge=1)
    connect_timeout: float = Field(default=45.0, gt=0)
    sessions_per_address: int | None = Field(default=None, ge=1)
    handshakes_per_address: int = Field(default=200, ge=1)
    max_attachments: int = Field(default=10, ge=0)
    max_queued_messages: int = Field(default=500, ge=1)
    max_queued_bytes: int = Field(default=2_000_000, ge=1)

    # The requests
    max_request_bytes: int = Field(default=1_000_000, ge=1)

    # The message queue
    redis_url: SecretStr | None = None
    queue_grace: float = Field(default=8.0, ge=5)
    queue_backlog: int = Field(default=10_000, ge=1)
    queue_backlog_seconds: float = Field(default=30.0, gt=0)

    # The channels
    replay_messages: int = Field(default=10_000, ge=1)
    replay_bytes: int = Field(default=32_000_000, ge=1)
    replay_seconds: float = Field(default=600.0, gt=0)
    publish_timeout: float = Field(default=2.0, gt=0)
    max_channels_per_session: int = Field(default=100, ge=1)
    max_channels_per_address: int = Field(default=1000, ge=1)

    # The pages of the layer
    diagnostics_page: bool = True

    # The operators
    operator_token: SecretStr | None = None
    admin_ui: AdminUi = AdminUi.OFF

    # What is observed
    log_level: str = "INFO"
    log_format: LogFormat = LogFormat.AUTO
    metrics_bind: str = ""
    traces_endpoint: str = ""
    trace_ratio: float = Field(default=1.0, ge=0, le=1)
    sentry_dsn: SecretStr | None = None
    max_loop_lag: float = Field(default=1.0, gt=0)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put ``production.toml`` behind the environment and ``.env``."""
        toml_settings = TomlConfigSettingsSource(settings_cls)
        of_the_layer = {**toml_settings()}
        of_the_layer.pop(APP_TABLE, None)
        check_names(of_the_layer, settings_cls)
        if of_the_layer.get("existing_app"):
            dotenv_settings = DotEnvSettingsSource(
                settings_cls, env_file=PROJECT_ROOT / ADOPTED_ENV_FILE
            )
        return (init_settings, env_settings, dotenv_settings, toml_settings)

    @field_validator("transports", "allowed_origins", mode="before")
    @classmethod
    def _read_lists(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("transports")
    @classmethod
    def _some_transport(cls, value: list[Transport]) -> list[Transport]:
        if not value:
            raise ValueError("names no transport: write polling, websocket or both")
        return value

    @field_validator(
        "max_message_bytes", "max_queued_bytes", "max_request_bytes", "replay_bytes", mode="before"
    )
    @classmethod
    def _whole_bytes(cls, value: Any) -> Any:
        """Refuse ``1e6``: Engine.IO announces the limit to clients, who need an integer."""
        if isinstance(value, bool | float) or (isinstance(value, str) and not value.isdecimal()):
            raise ValueError("must be a whole number of bytes: write 1000000, not 1e6")
        return value

    @field_validator("sessions_per_address", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
            raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
        return level

    @field_validator("host_id")
    @classmethod
    def _safe_host_id(cls, value: str) -> str:
        check_host_id(value)
        return value

    @field_validator("bind")
    @classmethod
    def _somewhere_to_listen(cls, value: str) -> str:
        for address in value.split(","):
            port = address.rpartition(":")[2]
            is_socket = address.startswith(("unix:", "fd://"))
            if not is_socket and not (port.isdecimal() and int(port) < 65536):
                raise ValueError(
                    "must be an address and a port, or the path of a socket: write 127.0.0.1:5000 or "
                    "unix:/run/service.sock"
                )
        return value

    @field_validator("metrics_bind")
    @classmethod
    def _address_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("must be an address and a port: write 127.0.0.1:9464")
        return value

    @field_validator("traces_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be the URL of a collector: write http://127.0.0.1:4318")
        return value

    @field_validator("sentry_dsn", mode="after")
    @classmethod
    def _some_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value() else None

    @field_validator("existing_app")
    @classmethod
    def _known_start(cls, value: str) -> str:
        if value:
            parse(value)
        return value

    @field_validator("redis_url", mode="after")
    @classmethod
    def _usable_url(cls, value: SecretStr | None) -> SecretStr | None:
        if not value or not value.get_secret_value():
            return None
        # Imported where a queue is used: redis-py takes as long to import as all the rest.
        from production.realtime.queue_url import check_url

        check_url(value.get_secret_value())
        return value

    @model_validator(mode="before")
    @classmethod
    def _development_secret(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Draw a secret where development runs without one; it lasts as long as the process.

        An adopted app may have its own, which is only known once it is loaded.
        """
        in_development = values.get("environment") == Environment.DEVELOPMENT
        if in_development and not values.get("secret_key") and not values.get("existing_app"):
            return {**values, "secret_key": secrets.token_urlsafe(SHORTEST_SECRET)}
        return values

    @model_validator(mode="after")
    def _safe_secret(self) -> Self:
        secret = self.secret_key.get_secret_value()
        left_to_the_app = self.existing_app and not secret
        if self.environment is not Environment.DEVELOPMENT and not left_to_the_app:
            check_secret(secret)
        return self

    @field_validator("operator_token")
    @classmethod
    def _no_empty_token(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value() else None

    @model_validator(mode="after")
    def _safe_token(self) -> Self:
        if not self.operator_token:
            return self
        token = self.operator_token.get_secret_value()
        check_secret(token, name="OPERATOR_TOKEN")
        if token == self.secret_key.get_secret_value():
            raise ValueError(
                "OPERATOR_TOKEN is the SECRET_KEY, and whoever operates the service could forge "
                "its users' sessions: draw one of its own"
            )
        return self

    @model_validator(mode="after")
    def _guarded_admin_ui(self) -> Self:
        if self.admin_ui is AdminUi.OFF:
            return self
        if not self.operator_token:
            raise ValueError(
                f"ADMIN_UI={self.admin_ui} would show the service to anyone: set OPERATOR_TOKEN too, "
                "which is its password"
            )
        if self.admin_ui is AdminUi.DEVELOPMENT and not self.in_development:
            raise ValueError(
                "ADMIN_UI=development shows what visitors send, their cookies included: set "
                "ADMIN_UI=production, which shows totals, or run with ENVIRONMENT=development"
            )
        return self

    @model_validator(mode="after")
    def _named_origins(self) -> Self:
        if self.environment is not Environment.DEVELOPMENT and "*" in self.allowed_origins:
            raise ValueError(
                "ALLOWED_ORIGINS contains *, which lets any web site use your visitors' sessions: "
                "name the origins, for example https://example.org, or leave it empty for the same "
                "origin only"
            )
        for origin in self.allowed_origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(
                    f"ALLOWED_ORIGINS contains {origin!r}, which is no origin: write scheme and "
                    "host without a path, for example https://example.org, or https://*.example.org "
                    "for all hosts one label below it"
                )
        return self

    @model_validator(mode="after")
    def _metrics_apart(self) -> Self:
        port = self.metrics_bind.rpartition(":")[2]
        if port and not self.bind.startswith("unix:") and port == self.bind.rpartition(":")[2]:
            raise ValueError(
                f"METRICS_BIND names the port that BIND has: metrics are never served to the public, "
                f"write another port, for example {self.metrics_bind.rpartition(':')[0]}:9464"
            )
        return self

    @model_validator(mode="after")
    def _pings_within_proxy_timeout(self) -> Self:
        silence = self.ping_interval + self.ping_timeout
        if silence >= self.proxy_read_timeout:
            raise ValueError(
                f"PING_INTERVAL + PING_TIMEOUT is {silence:g} s, but the proxy cuts a silent "
                f"connection after PROXY_READ_TIMEOUT = {self.proxy_read_timeout:g} s: lower the "
                "pings or raise the time-out in the proxy and here"
            )
        return self

    @property
    def in_development(self) -> bool:
        """Whether the relaxations of ``ENVIRONMENT=development`` apply."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def most_sessions_per_address(self) -> int:
        """How many sessions the clients of one address may have in this process."""
        share = int(self.max_sessions * SHARE_OF_AN_ADDRESS)
        return self.sessions_per_address or max(FEWEST_OF_AN_ADDRESS, share)

    @property
    def several_processes(self) -> bool:
        """Whether an adopted app is served by others than this process, here or on another host."""
        return self.redis_url is not None and (self.web_concurrency > 1 or self.several_workers)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    :param overrides: values that win over every other source, by field name.
    :return: the settings, frozen.
    :raises ConfigurationError: naming each setting that is refused, and the fix.
    """
    return read(Settings, overrides)


def read(kind: type[Kind], overrides: dict[str, Any]) -> Kind:
    """Read settings of a kind; the others are as for :func:`load_settings`."""
    try:
        return kind(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None
    except PermissionError as error:
        raise ConfigurationError(
            f"{error.filename} may not be read by the user that the service runs as: let that user "
            "read it, or set its variables in the environment and remove it."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"production.toml cannot be read: {error}.") from None


def export_env_file() -> None:
    """Put what ``.env`` sets into the environment, where the environment says nothing, as ``flask`` does.

    The ``.env`` of an adopted app is its own business.
    """
    if not TomlConfigSettingsSource(Settings)().get("existing_app"):
        load_dotenv(ENV_DIRECTORY / ".env")


@cache
def current_settings() -> Settings:
    """Return the settings of this process, read once.

    :raises ConfigurationError: naming each setting that is refused, and the fix.
    """
    return load_settings()


def check_names(settings: dict[str, Any], kind: type[BaseSettings]) -> None:
    """Refuse names that no setting has: a misspelt one would leave its default in force.

    Only where all names are the service's own; ``.env`` and the environment have others as well.

    :param settings: what ``production.toml`` sets.
    :param kind: what may be set there.
    :raises ConfigurationError: naming those that are none.
    """
    unknown = sorted(settings.keys() - kind.model_fields.keys())
    if unknown:
        raise ConfigurationError(
            f"production.toml sets {', '.join(unknown)}, which is no setting: .env.example lists all, and "
            "in production.toml their names are in lower case."
        )


def _is_origin(origin: str) -> bool:
    scheme, separator, host = origin.partition("://")
    any_label, _, parent = host.partition("*.")
    if parent and not any_label:
        # Not each name below a top-level domain.
        host = parent if "." in parent else ""
    return bool(separator and scheme and host) and not set(host) & set("/?#* ")


def _explain(error: ValidationError) -> str:
    """Write one sentence for each refused setting, without repeating its value."""
    return "\n".join(_sentence(detail) for detail in error.errors(include_url=False))


def _sentence(detail: Any) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return f"{message}."
    return f"{detail['loc'][0].upper()} {message[0].lower()}{message[1:]}."


def _own_variables(settings: Settings) -> set[str]:
    """Return the names that the environment and the file of this machine set."""
    file = PROJECT_ROOT / ADOPTED_ENV_FILE if settings.existing_app else ENV_DIRECTORY / ".env"
    return {*os.environ, *dotenv_values(file)}


def main() -> None:
    """Print the settings as JSON, and which of them are given, for a process that must not import them."""
    settings = load_settings()
    for doubt in misspelt(_own_variables(settings), map(str.upper, Settings.model_fields)):
        print(f"Warning. {doubt}", file=sys.stderr)
    given = sorted(settings.model_fields_set)
    print(json.dumps({**settings.model_dump(mode="json"), "given": given}))


if __name__ == "__main__":
    main()
