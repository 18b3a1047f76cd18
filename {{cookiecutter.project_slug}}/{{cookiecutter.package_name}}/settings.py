"""What can be set of your own code: a field is read from the environment, ``.env`` or ``production.toml``."""

from __future__ import annotations

from pydantic import SecretStr

from production.app_settings import AppSettings


class OwnSettings(AppSettings):
    """Add a field for each setting, and a line to ``.env.example``."""

    database_url: SecretStr = SecretStr("sqlite:///local.db")
