"""Settings of the app's own, read and refused as the layer's are."""

from __future__ import annotations

from typing import Any, Self

from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from production.settings import APP_TABLE, Settings, check_names, read


class AppSettings(BaseSettings):
    """What an app has set: make a class of it, with a typed field for each setting.

    The first of these that names a field wins: the environment, in upper case; ``.env``; the table
    ``[app]`` of ``production.toml``; the field's default.
    """

    # Of the file, only the table, see below.
    model_config = SettingsConfigDict({**Settings.model_config, "toml_file": None})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the table of ``production.toml`` behind the environment and ``.env``."""
        toml = TomlConfigSettingsSource(settings_cls, Settings.model_config["toml_file"])
        table = toml.toml_data.get(APP_TABLE, {})
        check_names(table, settings_cls)
        in_table = InitSettingsSource(settings_cls, init_kwargs=table)
        return (init_settings, env_settings, dotenv_settings, in_table)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings.

        :param overrides: values that win over every other source, by field name.
        :return: the settings, frozen.
        :raises ConfigurationError: naming each setting that is refused.
        """
        return read(cls, overrides)
