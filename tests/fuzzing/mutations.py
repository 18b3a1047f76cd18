"""The kinds of mistakes: each takes what is sent and a source of chance, and returns it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from fuzzing.streams import Await, Frame, Request, Step, Stream

LONGEST = 30_000
"""Bytes that a repetition makes at most: more than what the service is told to take."""

TOKENS = [
    *(str(number).encode() for number in (0, -1, 1, 9, 125, 126, 127, 255, 65535, 65536, 1 << 31)),
    *(str(number).encode() for number in (1 << 53, 1 << 63, 1 << 64, 10**30, 10**101)),
    *b'NaN Infinity -0 1e400 null true [] {} [[]] [{}] "" ,, : \' \\u0000 \\ud800 \\'.split(b" "),
    *b'{"_placeholder":true,"num":0} {"_placeholder":true,"num":-1} 451-[ 4599999-["a"] 46'.split(),
    *b'40 41 42 43 44 45 4 40/, 40/*, 42["connect"] 42["disconnect"] 430[] 0 1 2 3 5 6 b bA== '
    b"2probe 3probe 2{} d= \x1e \x1e\x1e".split(b" "),
    *b"\x00 \n \r\n \r\n\r\n \xff \xc3 \xed\xa0\x80 \xef\xbb\xbf \xe2\x80\xa8 \x80 \x81\x80 \x88\x00 "
    b"\x89\x00 \x82\xff\xff\xff\xff\xff\xff\xff\xff\xff \x81\xfe\xff\xff".split(b" "),
    *b"GET POST PUT HEAD OPTIONS PRI CONNECT * /socket.io/ // /../ %00 %ff %2e ?sid=&sid= &j=0 &EIO=3 "
    b"&transport=websocket &transport=polling HTTP/1.0 HTTP/1.1 HTTP/2.0 HTTP/9.9".split(),
    b"[" * 2000,
    b"a" * 9000,
]

LINES = [
    *(
        b"Content-Length: " + length
        for length in (b"0", b"5", b"-1", b"+1", b"1e3", b"99999999999")
    ),
    *(
        b"Transfer-Encoding: " + coding
        for coding in (b"chunked", b"gzip, chunked", b"x", b"identity")
    ),
    *(b"Connection: " + option for option in (b"close", b"keep-alive", b"Upgrade", b", ,")),
    *(b"Upgrade: " + protocol for protocol in (b"websocket", b"h2c", b"WebSocket, x", b"")),
    *(
        b"Host: " + host
        for host in (b"", b"a,b", b"[::1", b"a b", b"\xff", b"x:99999", b"u@h", b"http://x")
    ),
    *(
        b"Origin: " + origin
        for origin in (b"null", b"http://", b"http://[", b"https://evil.example")
    ),
    *(b"Sec-WebSocket-Key: " + key for key in (b"", b"short", b"*" * 24)),
    *(b"Sec-WebSocket-Version: " + version for version in (b"8", b"13, 8", b"")),
    *(
        b"Content-Type: " + media
        for media in (b"application/json; charset=x", b"multipart/form-data", b"\xff")
    ),
    *(b"Accept: " + media for media in (b";q=", b"*/*;q=nan", b"text/html;q=1e99", b"\xff")),
    *(b"Cookie: " + cookie for cookie in (b"session=", b"session=e30.a.b", b'a="\\', b"\xff=;;")),
    *b"Range: bytes=9-1|Range: bytes=-|If-Modified-Since: x|If-None-Match: *|Expect: 100-continue".split(
        b"|"
    ),
    *b"Expect: y|X-Forwarded-For: x, ,[|X-Forwarded-Proto: \xff|X-Request-ID: \xff|Forwarded: for=_".split(
        b"|"
    ),
    *b"SCRIPT_NAME: /x|: x|a b: c| folded: x|no colon|HTTP2-Settings: AAMAAABkAAQAAP__|Authorization: ".split(
        b"|"
    ),
    *b"Idempotency-Key: \xff|Accept-Encoding: gzip;q=x|traceparent: 00-0-0-0|baggage: =|X: \x00".split(
        b"|"
    ),
    b"X: " + b"y" * 9000,
]

LENGTHS = (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
SIZES = (b"0", b"1", b"-1", b"0x10", b"1_0", b"9999", b"20001", b"9" * 30, b"\xb2", b"")

Chunk = Callable[[bytes, Random], bytes]


# What may happen to any bytes


def flip_bits(data: bytes, chance: Random) -> bytes:
    """Flip some of the bits."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(data: bytes, chance: Random) -> bytes:
    """Keep the beginning only."""
    return data[: chance.randrange(len(data))]


def remove(data: bytes, chance: Random) -> bytes:
    """Leave a piece out."""
    start, end = _piece(data, chance)
    return data[:start] + data[end:]


def repeat(data: bytes, chance: Random) -> bytes:
    """Repeat a piece, a few times or many."""
    start, end = _piece(data, chance)
    most = max(LONGEST // (end - start), 2)
    times = chance.choice((2, 3, 17, most))
    return data[:start] + data[start:end] * min(times, most) + data[end:]


def swap(data: bytes, chance: Random) -> bytes:
    """Let two pieces that follow each other change places."""
    start, end = _piece(data, chance)
    middle = chance.randint(start, end)
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def insert_token(data: bytes, chance: Random) -> bytes:
    """Put in what means something somewhere, perhaps in the place of a piece."""
    start, end = _piece(data, chance)
    return data[:start] + chance.choice(TOKENS) + data[chance.choice((start, end)) :]


def replace_number(data: bytes, chance: Random) -> bytes:
    """Put another number into the place of one."""
    digits = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not digits:
        return insert_token(data, chance)
    start = end = chance.choice(digits)
    while data[end : end + 1].isdigit():
        end += 1
    return data[:start] + chance.choice(TOKENS[:16]) + data[end:]


ANYWHERE: list[Chunk] = [flip_bits, truncate, remove, repeat, swap, insert_token, replace_number]


# What may happen to a message


def change_content(step: Request | Frame, chance: Random) -> Request | Frame:
    """Change a body or a payload; lengths are still told as they are."""
    mutate = chance.choice(ANYWHERE)
    if isinstance(step, Frame):
        return replace(step, payload=mutate(step.payload or b" ", chance))
    return replace(step, body=mutate(step.body or b" ", chance))


def change_head(step: Request | Frame, chance: Random) -> Request | Frame:
    """Change the first line or a header of a request, or what a frame is."""
    if isinstance(step, Frame):
        return replace(step, first=chance.choice((step.first ^ 0x80, chance.randrange(256))))
    head = list(step.head)
    place = chance.randrange(len(head))
    head[place] = chance.choice(ANYWHERE)(head[place] or b" ", chance)
    return replace(step, head=tuple(head))


def change_lines(step: Request | Frame, chance: Random) -> Request | Frame:
    """Leave a header out, give one twice, or add one; send a frame without its mask."""
    if isinstance(step, Frame):
        return replace(step, masked=False)
    first, *lines = step.head
    place = chance.randint(0, len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        del lines[place : place + 1]
    elif kind == 1 and lines:
        lines.insert(place, chance.choice(lines))
    else:
        lines.insert(place, chance.choice(LINES))
    return replace(step, head=(first, *lines))


def lie_about_length(step: Request | Frame, chance: Random) -> Request | Frame:
    """Tell another length than there is."""
    if isinstance(step, Frame):
        near = len(step.payload) + chance.choice((-1, 1, 5))
        return replace(step, announced=max(chance.choice((near, *LENGTHS)), 0))
    told = chance.choice(SIZES)
    head = tuple(line.replace(b"{length}", told) for line in step.head)
    if head == step.head:
        head = (*head, b"Content-Length: " + told)
    return replace(step, head=head)


MESSAGES = [change_content, change_content, change_head, change_lines, lie_about_length]


def change_message(stream: Stream, chance: Random) -> Stream:
    """Change one of the messages."""
    places = [place for place, step in enumerate(stream) if not isinstance(step, Await)]
    place = chance.choice(places)
    step = stream[place]
    assert not isinstance(step, Await)
    changed = chance.choice(MESSAGES)(step, chance)
    return (*stream[:place], changed, *stream[place + 1 :])


# What may happen to a conversation


def leave_out(stream: Stream, chance: Random) -> Stream:
    """Leave a step out."""
    place = chance.randrange(len(stream))
    return stream[:place] + stream[place + 1 :]


def say_again(stream: Stream, chance: Random) -> Stream:
    """Repeat a step at once."""
    place = chance.randrange(len(stream))
    times = chance.choice((1, 1, 2, 20))
    return stream[:place] + (stream[place],) * times + stream[place:]


def change_order(stream: Stream, chance: Random) -> Stream:
    """Let two steps change places."""
    steps = list(stream)
    one, other = chance.randrange(len(steps)), chance.randrange(len(steps))
    steps[one], steps[other] = steps[other], steps[one]
    return tuple(steps)


def change_connection(stream: Stream, chance: Random) -> Stream:
    """Send a step on another connection."""
    place = chance.randrange(len(stream))
    moved: Step = replace(stream[place], connection=chance.randint(1, 4))
    return (*stream[:place], moved, *stream[place + 1 :])


def stop_early(stream: Stream, chance: Random) -> Stream:
    """Leave in the middle."""
    return stream[: chance.randint(1, len(stream))]


def wait_no_more(stream: Stream, chance: Random) -> Stream:
    """Say all of it at once from some point on."""
    place = chance.randrange(len(stream))
    rest = tuple(step for step in stream[place:] if not isinstance(step, Await))
    return stream[:place] + rest


CONVERSATIONS = [leave_out, say_again, change_order, change_connection, stop_early, wait_no_more]


def splice(stream: Stream, other: Stream, chance: Random) -> Stream:
    """Begin with one conversation and go on with another."""
    return stream[: chance.randint(1, len(stream))] + other[chance.randrange(len(other)) :]


def _piece(data: bytes, chance: Random) -> tuple[int, int]:
    """Return where a piece of data begins and ends; it is not empty if the data is not."""
    start = chance.randrange(max(len(data), 1))
    longest = chance.choice((1, 4, 64, len(data)))
    return start, min(start + chance.randint(1, max(longest, 1)), max(len(data), 1))
