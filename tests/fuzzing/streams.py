"""The conversations that cases are made of, as text: what a client sends, and what it waits for.

A heading names the connection and the kind of the step, lines after it are its content::

    == 1 request                one HTTP request; without content behind its empty line, no body
    == 1 text                   a WebSocket frame by its opcode, with ``more`` if others continue it
    == 1 await HTTP/1.1 101     wait until the connection has brought this, since the last time

``{host}``, ``{key}``, ``{length}`` and ``{sid}`` stand for what is known later; ``\\x1e`` for a byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent / "streams"

OPCODES = {"continuation": 0x0, "text": 0x1, "binary": 0x2, "close": 0x8, "ping": 0x9, "pong": 0xA}


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    :param connection: the number of the connection that it is sent on.
    :param head: its lines, without the empty one.
    :param body: what follows that.
    """

    connection: int
    head: tuple[bytes, ...]
    body: bytes


@dataclass(frozen=True)
class Frame:
    """A WebSocket frame (RFC 6455, section 5.2).

    :param connection: the number of the connection that it is sent on.
    :param first: its first byte: the last of its message or not, reserved bits, opcode.
    :param payload: before it is masked.
    :param masked: whether it is.
    :param announced: the length that its head tells, if that is a lie.
    """

    connection: int
    first: int
    payload: bytes
    masked: bool = True
    announced: int | None = None


@dataclass(frozen=True)
class Await:
    """A point where the client waits.

    :param connection: the number of the connection that it reads from.
    :param text: what that has to bring.
    """

    connection: int
    text: bytes


Step = Request | Frame | Await
Stream = tuple[Step, ...]


def read_streams() -> dict[str, Stream]:
    """Read all conversations, by name."""
    paths = sorted(DIRECTORY.glob("*.txt"))
    return {path.stem: tuple(_steps(path.read_text(encoding="utf-8"))) for path in paths}


def _steps(text: str) -> Iterator[Step]:
    _, *parts = re.split(r"^== ", text, flags=re.MULTILINE)
    for part in parts:
        heading, _, content = part.removesuffix("\n").partition("\n")
        number, kind, *more = heading.split(" ", 2)
        connection = int(number)
        if kind == "await":
            yield Await(connection, _bytes(more[0]))
        elif kind == "request":
            head, _, body = content.partition("\n\n")
            yield Request(connection, tuple(_bytes(head).splitlines()), _bytes(body))
        else:
            final = 0x00 if more else 0x80
            yield Frame(connection, final | OPCODES[kind], _bytes(content))


def _bytes(text: str) -> bytes:
    parts = re.split(r"\\x([0-9a-f]{2})", text)
    return b"".join(
        bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts)
    )
