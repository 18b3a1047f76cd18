"""The async modes; apart from the settings, so that the unpatched master can name them too."""

from enum import StrEnum


class AsyncMode(StrEnum):
    """What a session waits in: a green thread of eventlet or gevent, or an operating-system one."""

    EVENTLET = "eventlet"
    GEVENT = "gevent"
    THREADING = "threading"
