"""What is in the message queue and cannot be read: it is skipped, and told once however much it is.

An older release, another program or somebody's hand may have put it there, and nobody who waits for what
comes behind it is to wait for longer.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

from production.observe import metrics

log = structlog.get_logger(__name__)

QUIET = 600.0
"""Seconds for which the same kind is only counted, once it was told."""

_lock = threading.Lock()
_told_at: dict[str, float] = {}
_untold: dict[str, int] = {}


def skip(kind: str, error: BaseException | None = None, **fields: Any) -> None:
    """Count something that cannot be read, and log the first one of its kind.

    :param kind: what it is, in a sentence; one of a few.
    :param error: what is wrong with it.
    :param fields: where it is.
    """
    metrics.queue_malformed.inc()
    now = time.monotonic()
    with _lock:
        if kind in _told_at and now - _told_at[kind] < QUIET:
            _untold[kind] = _untold.get(kind, 0) + 1
            return
        _told_at[kind] = now
        further = _untold.pop(kind, 0)
    reason = {} if error is None else {"reason": ascii(str(error))[:200]}
    log.warning(kind, further=further, **reason, **fields)
