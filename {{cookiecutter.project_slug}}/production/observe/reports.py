"""Reports of errors, of requests and of events alike, sent to Sentry.

The library is imported only if ``SENTRY_DSN`` says where to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from production.observe.current import current_fields
from production.realtime.errors import answer_error
from production.refusal import ConfigurationError

if TYPE_CHECKING:
    from production.settings import Settings

log = structlog.get_logger(__name__)


def init(server: Any, settings: Settings) -> None:
    """Report what goes wrong, if the settings say where to.

    :param server: the Socket.IO server.
    :param settings: the settings of the process.
    :raises ConfigurationError: if the library is missing, or the address is none.
    """
    if settings.sentry_dsn is None:
        return
    try:
        import sentry_sdk
        from sentry_sdk.integrations.atexit import AtexitIntegration
        from sentry_sdk.integrations.logging import ignore_logger
        from sentry_sdk.utils import BadDsn
    except ImportError as error:
        raise ConfigurationError(
            f"SENTRY_DSN is set, but {error.name} is not installed: add sentry-sdk to what "
            "the project requires and install that, or leave the setting empty."
        ) from None

    # An app that reports already is left as it is, and its events are reported with the rest.
    if not sentry_sdk.is_initialized():
        try:
            sentry_sdk.init(
                settings.sentry_dsn.get_secret_value(),
                environment=str(settings.environment),
                # How the workers of gunicorn learn that a WebSocket has ended.
                ignore_errors=[StopIteration],
                # Each long poll would count as a visit.
                auto_session_tracking=False,
                integrations=[AtexitIntegration(callback=tell_what_is_pending)],
            )
        except BadDsn:
            raise ConfigurationError(
                "SENTRY_DSN is no address of a Sentry project: copy it from the project's settings, "
                "it looks like https://key@host/number."
            ) from None
    # It logs what the watcher below has reported already.
    ignore_logger(answer_error.__module__)
    server.event_watchers.append(scope)
    server.error_watchers.append(sentry_sdk.capture_exception)


def tell_what_is_pending(pending: int, timeout: float) -> None:
    """Log that the process waits for its last reports, for which Sentry would print three lines.

    :param pending: how many there are.
    :param timeout: how many seconds it waits.
    """
    log.info("the last reports are sent", reports=pending, timeout=timeout)


@contextmanager
def scope(namespace: str, event: str) -> Iterator[None]:
    """Handle an event in a scope of its own, so that its reports say which one it was.

    :param namespace: the event's namespace.
    :param event: its name.
    """
    import sentry_sdk

    with sentry_sdk.isolation_scope() as isolated:
        # A thread that a request has started inherits the request's name in its current scope.
        sentry_sdk.get_current_scope().set_transaction_name(f"{event} {namespace}")
        current = current_fields()
        for name in ("request_id", "session"):
            isolated.set_tag(name, current.get(name))
        yield
