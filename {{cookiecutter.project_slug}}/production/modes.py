"""The async modes; apart from the settings, so that the unpatched master can name them too."""

from _thread import RLock
from enum import StrEnum

BriefLock = RLock
"""Guards a few steps between which nobody waits; whoever has it may take it again.

It belongs to an operating-system thread, as this module is imported before the standard library is patched. No
green thread comes in between such steps and none needs a lock: a green one would cost each session a hundred calls.
"""


class AsyncMode(StrEnum):
    """What a session waits in: a green thread of eventlet or gevent, or an operating-system one."""

    EVENTLET = "eventlet"
    GEVENT = "gevent"
    THREADING = "threading"
