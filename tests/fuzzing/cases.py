"""Cases: each a conversation with mistakes, drawn by the seed and its number and by nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from fuzzing.mutations import ANYWHERE, CONVERSATIONS, change_message, splice
from fuzzing.streams import Await, Frame, Request, Stream, read_streams
from rawclient import mask

STREAMS = read_streams()

ENDINGS = ("end", "end", "leave", "reset")
"""How the client goes: it ends its side and waits for the service to do so, closes, or resets."""


@dataclass(frozen=True)
class Segment:
    """Bytes that are sent at once.

    :param connection: the number of the connection that they are sent on.
    :param data: with ``{sid}`` where the session id belongs.
    """

    connection: int
    data: bytes


Script = tuple[Segment | Await, ...]


@dataclass(frozen=True)
class Case:
    """What one client sends.

    :param seed: of the run.
    :param number: of the case in it.
    """

    seed: int
    number: int

    @property
    def address(self) -> str:
        """The client's own address: what is counted by address is not counted for all together."""
        return f"127.1.1.{1 + self.number % 10}"

    def script(self, host: str) -> tuple[Script, str]:
        """Draw what is sent, and how the client goes.

        :param host: what the requests call the service.
        """
        chance = Random(f"{self.seed}/{self.number}")
        stream = _conversation(chance)
        script = tuple(_on_the_wire(stream, host, chance))
        if chance.random() < 0.3:
            script = _change_bytes(script, chance)
        if chance.random() < 0.3:
            script = tuple(_other_segments(script, chance))
        return script, chance.choice(ENDINGS)


def honest_script(stream: Stream, host: str) -> Script:
    """Return what a conversation is without any mistake.

    :param stream: the conversation.
    :param host: what the requests call the service.
    """
    return tuple(_on_the_wire(stream, host, Random(0)))


def _conversation(chance: Random) -> Stream:
    streams = list(STREAMS.values())
    stream = chance.choice(streams)
    if chance.random() < 0.1:
        stream = splice(stream, chance.choice(streams), chance)
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        stream = change_message(stream, chance)
    if chance.random() < 0.3:
        stream = chance.choice(CONVERSATIONS)(stream, chance)
    return stream


def _on_the_wire(stream: Stream, host: str, chance: Random) -> Iterator[Segment | Await]:
    for step in stream:
        if isinstance(step, Await):
            yield step
        elif isinstance(step, Frame):
            yield Segment(step.connection, _frame(step, chance))
        else:
            yield Segment(step.connection, _request(step, host, chance))


def _request(step: Request, host: str, chance: Random) -> bytes:
    head = b"\r\n".join((*step.head, b"", b""))
    head = head.replace(b"{host}", host.encode()).replace(b"{length}", b"%d" % len(step.body))
    return head.replace(b"{key}", base64.b64encode(chance.randbytes(16))) + step.body


def _frame(step: Frame, chance: Random) -> bytes:
    length = len(step.payload) if step.announced is None else step.announced
    bit = 0x80 * step.masked
    if length < 126:
        head = bytes((step.first, bit | length))
    elif length < 1 << 16:
        head = bytes((step.first, bit | 126)) + length.to_bytes(2)
    else:
        head = bytes((step.first, bit | 127)) + length.to_bytes(8)
    key = chance.randbytes(4)
    return head + (key + mask(step.payload, key) if step.masked else step.payload)


def _change_bytes(script: Script, chance: Random) -> Script:
    places = [place for place, part in enumerate(script) if isinstance(part, Segment) and part.data]
    if not places:
        return script
    place = chance.choice(places)
    part = script[place]
    assert isinstance(part, Segment)
    changed = Segment(part.connection, chance.choice(ANYWHERE)(part.data, chance))
    return (*script[:place], changed, *script[place + 1 :])


def _other_segments(script: Script, chance: Random) -> Iterator[Segment | Await]:
    """Cut what is sent at other places: into single bytes where it is short, or anywhere."""
    for part in script:
        if isinstance(part, Await) or len(part.data) < 2 or chance.random() < 0.5:
            yield part
        elif len(part.data) < 100:
            for byte in part.data:
                yield Segment(part.connection, bytes((byte,)))
        else:
            cuts = sorted(
                {0, len(part.data), *(chance.randrange(len(part.data)) for _ in range(4))}
            )
            for start, end in pairwise(cuts):
                yield Segment(part.connection, part.data[start:end])
