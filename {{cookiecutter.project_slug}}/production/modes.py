"""The async modes; apart from the settings, so that the unpatched master can name them too."""

import threading
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Any


class AsyncMode(StrEnum):
    """What a session waits in: a green thread of eventlet or gevent, or an operating-system one."""

    EVENTLET = "eventlet"
    GEVENT = "gevent"
    THREADING = "threading"


def brief_lock(mode: str) -> AbstractContextManager[Any]:
    """Return what has a few steps done in one go, between which nobody waits.

    Where tasks are green, nobody else can come in between: a lock of theirs would cost time and memory,
    a hundred calls for each session, and guard against nobody.

    :param mode: the async mode.
    """
    return threading.Lock() if mode == AsyncMode.THREADING else nullcontext()
