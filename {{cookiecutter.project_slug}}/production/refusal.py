"""How a process says that it will not start."""

from __future__ import annotations


class ConfigurationError(SystemExit):
    """The process must not start as it is configured.

    The message says what is wrong and what to do. A subclass of :class:`SystemExit`, so that Python
    prints the message, and no traceback, wherever a process is started from.

    :param message: one sentence for each fault.
    """

    def __init__(self, message: str) -> None:
        super().__init__(f"Refusing to start. {message}")
        self.message = message
