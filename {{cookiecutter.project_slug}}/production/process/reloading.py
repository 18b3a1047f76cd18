"""A reload that cannot succeed is refused, and the service goes on as it was."""

from __future__ import annotations

from typing import Any

from production.process.configuration import read_settings, worker_class_for
from production.refusal import ConfigurationError


def guard_reload(arbiter: Any) -> None:
    """Look at the settings before a reload; for gunicorn's hook ``on_starting``.

    gunicorn itself reads its configuration first and asks later: a mistake in it ends the master, and
    with it every session.

    :param arbiter: gunicorn's master.
    """
    reload = arbiter.reload

    def guarded_reload() -> None:
        try:
            worker_class_for(read_settings())
        except ConfigurationError as refusal:
            arbiter.log.error("Nothing was reloaded. %s", refusal.message)
        except SystemExit:
            arbiter.log.error("Nothing was reloaded: the settings are refused, as said above.")
        else:
            reload()

    arbiter.reload = guarded_reload
