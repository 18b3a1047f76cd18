"""Who may look into the service: those who know the operators' token."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict, deque
from typing import Any

import structlog
from socketio.exceptions import ConnectionRefusedError

log = structlog.get_logger(__name__)

TRIES = 5
"""Wrong tokens that one address may send within a period, before none of its tokens is looked at."""

PERIOD = 60.0
"""Seconds."""

MOST_ADDRESSES = 1000
"""Addresses whose wrong tokens are remembered; the one that was wrong longest ago goes first."""


class Door:
    """Compares tokens, and limits how often.

    :param token: what lets in.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, token: Any, address: str) -> None:
        """Let a client in, or refuse it.

        :param token: what it sent.
        :param address: where it comes from.
        :raises ConnectionRefusedError: saying why; its data has a ``code``, ``token`` or ``too_many``.
        """
        seconds = self._seconds_to_wait(address)
        if seconds > 0:
            raise _refusal(
                "too_many",
                f"Too many wrong tokens came from this address: try again in {seconds:.0f} s.",
            )
        # JSON may bring half a surrogate pair, which strict UTF-8 refuses to write.
        given = token.encode(errors="replace") if isinstance(token, str) else b""
        if hmac.compare_digest(given, self._token):
            return
        self._note_wrong(address)
        raise _refusal("token", "That is not the operators’ token.")

    def _seconds_to_wait(self, address: str) -> float:
        with self._lock:
            tries = self._wrong.get(address)
            if tries is None or len(tries) < TRIES:
                return 0.0
            return tries[0] + PERIOD - time.monotonic()

    def _note_wrong(self, address: str) -> None:
        with self._lock:
            tries = self._wrong.setdefault(address, deque(maxlen=TRIES))
            tries.append(time.monotonic())
            self._wrong.move_to_end(address)
            if len(self._wrong) > MOST_ADDRESSES:
                self._wrong.popitem(last=False)
            exhausted = len(tries) == TRIES
        if exhausted:
            log.warning("wrong operator tokens", address=address, tries=TRIES)


def _refusal(code: str, message: str) -> ConnectionRefusedError:
    return ConnectionRefusedError(message, {"code": code})
