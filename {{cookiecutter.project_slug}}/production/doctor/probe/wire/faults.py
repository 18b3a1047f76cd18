"""What goes wrong on the wire, beside what the operating system says."""

from __future__ import annotations

from production.doctor.probe.wire.http import Answer

CLOSE_CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code given",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}
"""What close codes stand for (RFC 6455, section 7.4.1, and IANA's registry of WebSocket close codes)."""


class WireFault(Exception):
    """The other side does not do what the protocols ask of it."""


class Refused(WireFault):
    """A request was answered in another way than hoped for.

    :param answer: how.
    :param transport: ``polling`` or ``websocket``.
    """

    def __init__(self, answer: Answer, transport: str) -> None:
        super().__init__(f"{transport}: {answer.status}")
        self.answer = answer
        self.transport = transport


class Cut(WireFault):
    """A WebSocket ended.

    :param code: of the close frame (RFC 6455, section 7.4.1), nothing if there was none.
    :param reason: of the close frame.
    """

    def __init__(self, code: int | None, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(self.described)

    @property
    def described(self) -> str:
        """How it ended, in words."""
        if self.code is None:
            return "the connection was cut without a close frame"
        meaning = self.reason or CLOSE_CODES.get(self.code, "a code of its own")
        return f"the connection was closed with code {self.code} ({meaning})"


class Garbled(WireFault):
    """Something came that is not in the protocol.

    :param seen: what, as a sentence.
    """

    def __init__(self, seen: str) -> None:
        super().__init__(seen)
        self.seen = seen
