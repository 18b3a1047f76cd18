"""Logs: every record of this process, gunicorn's and the libraries' too, in one form.

On a terminal a record is a readable line; elsewhere it is one JSON object a line, tracebacks
included. What is being handled (request id, session id, event), and whatever is bound in structlog's
context variables, is in each record that is written meanwhile.
"""

from __future__ import annotations

import logging
import logging.config
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from gunicorn import glogging

from production.observe import apps_logging
from production.observe.current import merge_current
from production.observe.repetition import repetition

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

# Engine.IO and Socket.IO write every packet, with its content, at INFO, and warn of every message
# that crosses a client's departure: their errors are all that an operator needs. OpenTelemetry warns of
# each request that a guard of the app has answered.
LIBRARY_LEVELS = {
    "engineio": "ERROR",
    "opentelemetry.instrumentation.flask": "ERROR",
    "socketio": "ERROR",
    "werkzeug": "WARNING",
}

MAIN_THREAD = threading.main_thread().name

SAID_BY_FORMATTERS = {"event", "exc_info", "level", "timestamp"}

READ_FIRST = ("timestamp", "level", "event", "session")


def _shared_processors() -> list[Processor]:
    return [
        merge_current,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _without_formatting(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Leave out what the formatter of another handler has noted on the record."""
    for note in ("asctime", "message"):
        event_dict.pop(note, None)
    return event_dict


class _Fields(dict[str, Any]):
    """What a record says; a handler of the app's own, which has another form, finds it readable."""

    def __str__(self) -> str:
        known = [f"{key}={value!r}" for key, value in self.items() if key not in SAID_BY_FORMATTERS]
        return " ".join([str(self.get("event")), *known])


def _for_any_handler(logger: WrappedLogger, name: str, event_dict: EventDict) -> Any:
    """Hand a record to the standard library, its traceback where every formatter looks for it."""
    _, options = structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, name, event_dict)
    return (_Fields(event_dict),), {**options, "exc_info": event_dict.get("exc_info")}


def _add_process(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Name the process, from the record, since a record may be formatted elsewhere."""
    record = event_dict.get("_record")
    if record is not None:
        event_dict["process"] = record.process
    return event_dict


def _in_reading_order(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Put first what a reader looks for first, and leave out what is not known."""
    known = {key: value for key, value in event_dict.items() if value is not None}
    first = {key: known.pop(key) for key in READ_FIRST if key in known}
    return {**first, **known}


def _for_a_terminal(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Say the time as a clock on the wall does, and spare readers the logger that gunicorn calls "error"."""
    moment = datetime.fromisoformat(event_dict["timestamp"])
    event_dict["timestamp"] = f"{moment.astimezone():%H:%M:%S}"
    if event_dict.get("logger") == "gunicorn.error":
        del event_dict["logger"]
    return event_dict


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "console" or (log_format == "auto" and sys.stderr.isatty()):
        return [
            _for_a_terminal,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                sort_keys=False,
                # Where the library rich is installed, the default would show the variables of each frame.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def record_formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    """Return what makes text of a record, of structlog's or of anyone's.

    :param log_format: ``console``, ``json``, or ``auto`` for the one that fits standard error.
    """
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared_processors(), _without_formatting],
        processors=[
            _add_process,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _in_reading_order,
            *_renderers(log_format),
        ],
    )


def configure_logging(level: str, log_format: str) -> None:
    """Send every log record of this process to standard error in one form.

    :param level: the lowest level that is written, by its name.
    :param log_format: ``console``, ``json``, or ``auto`` for the one that fits standard error.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            _for_any_handler,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.config.dictConfig(_stdlib_configuration(level, log_format))
    apps_logging.begin(logging.getLogger().handlers)
    logging.captureWarnings(capture=True)


def name_no_threads() -> None:
    """Let records give the name of the operating-system thread, whichever green thread it runs.

    eventlet and gevent take longer to find a name for a green one than to write the record, and gevent keeps
    an object for each that has been asked for its own.
    """
    make = logging.getLogRecordFactory()

    def make_unnamed(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        record.thread, record.threadName = threading.get_ident(), MAIN_THREAD
        return record

    logging.logThreads = False
    logging.setLogRecordFactory(make_unnamed)


def _stdlib_configuration(level: str, log_format: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {"()": record_formatter, "log_format": log_format},
        },
        "filters": {"repetition": {"()": lambda: repetition}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "structlog",
                "filters": ["repetition"],
            },
        },
        # The layer's own is said, so that an app's level for the root logger does not silence it.
        "loggers": {
            "production": {"level": level},
            **{name: {"level": lowest} for name, lowest in LIBRARY_LEVELS.items()},
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }


class GunicornLogger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's loggers: what they would print, the root logger writes in the form of all records."""

    def setup(self, cfg: Any) -> None:
        """Hand the records of both loggers to the root logger, but for those that go to a file.

        :param cfg: gunicorn's configuration.
        """
        super().setup(cfg)
        for logger, target in ((self.error_log, cfg.errorlog), (self.access_log, cfg.accesslog)):
            if target == "-":
                logger.handlers.clear()
                logger.propagate = True
