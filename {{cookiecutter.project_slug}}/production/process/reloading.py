"""A reload that cannot succeed changes nothing."""

from __future__ import annotations

from typing import Any

from production.process.configuration import read_settings


def keep_serving(server: Any) -> None:
    """Let the master go on with the workers it has where a reload finds settings that are refused.

    gunicorn would read its configuration, and with it the settings, when there is no way back, and
    end with its workers.

    :param server: gunicorn's master, before it starts a worker.
    """
    reload = server.reload

    def reload_if_it_can() -> None:
        try:
            read_settings()
        except SystemExit:
            server.log.error(
                "Nothing is reloaded: the settings are refused, for the reason above. The workers go "
                "on with those that they have."
            )
        else:
            reload()

    server.reload = reload_if_it_can
