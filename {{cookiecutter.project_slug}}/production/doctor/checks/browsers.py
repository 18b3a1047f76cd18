"""FSP9xx: pages, their scripts, and clients in other languages."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.project import Project
from production.doctor.registry import check
from production.doctor.scripts import Script, scripts, uncommented
from production.doctor.sources import Kind, Source

CLIENT_OPTIONS = "https://socket.io/docs/v4/client-options/"
FAILURES = "docs/failures.md#"

CONNECT = r"(?<![\w.$])io(?:\s*\.\s*connect)?"
"""A call of the client that connects, up to its bracket."""

_LOCAL = r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\d+\.\d+\.\d+\.\d+)"
_FIXED = re.compile(rf"(?:(?:https?|wss?):)?//(?:{_LOCAL}(?::\d+)?|[\w.-]+:\d+)", re.IGNORECASE)
"""An address with a host of one machine, or with a port."""

_FIXED_PORT = re.compile(
    r"location\.host(?:name)?\s*(?:\+\s*['\"`]|\}):\d+|:['\"`]\s*\+\s*\d{4,5}\b"
)


def _clients(project: Project) -> Iterator[Script]:
    return (script for script in scripts(project) if script.is_client)


def _at(script: Script, offset: int, subject: str = "", detail: str = "") -> Place:
    return Place(script.source, script.line_of(offset), subject, detail)


def _major(version: str) -> int | None:
    match = re.match(r"[\^~>=v\s]*(\d+)", version)
    return int(match[1]) if match else None


@check(
    "FSP901",
    Severity.BREAKS,
    "a Socket.IO client of the old protocol",
    why="Clients before 3.0 speak a protocol that Flask-SocketIO 5 refuses: `The client is using an "
    "unsupported version`; the page is dead while every health check is green.",
    fix="Load a 4.x client.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/intro.html#version-compatibility",),
)
def old_client(project: Project) -> Iterator[Place]:
    for source in project.of(Kind.PAGE, Kind.SCRIPT):
        text = uncommented(source) if source.kind is Kind.PAGE else source.text
        for match in re.finditer(
            r"socket\.io(?:-client|\.js|\.min\.js)?(?:/|@|-|\?v=|/dist/|\?)v?([12])\.\d+(?:\.\d+)?",
            text,
        ):
            yield Place(source, source.line_of(match.start()), "socket.io", f"release {match[0]}")
        # What cdn.socket.io had under this name was 1.x to the end.
        for match in re.finditer(r"cdn\.socket\.io/socket\.io-([12])\.", text):
            line = source.line_of(match.start())
            if not re.search(r"socket\.io-v?[12]\.\d", source.quote(line)):
                yield Place(source, line, "socket.io")
        banner = re.search(r"\bSocket\.IO v([12])\.\d+\.\d+", source.text[:3000])
        if banner and source.kind is Kind.SCRIPT:
            yield Place(source, source.line_of(banner.start()), "socket.io")
    yield from _old_packages(project)


def _old_packages(project: Project) -> Iterator[Place]:
    for source in project.of(Kind.PACKAGE_JSON):
        try:
            document = json.loads(source.text)
        except (ValueError, RecursionError):
            continue
        for group in ("dependencies", "devDependencies"):
            table = document.get(group) if isinstance(document, dict) else None
            version = table.get("socket.io-client") if isinstance(table, dict) else None
            if isinstance(version, str) and (_major(version) or 9) < 3:
                yield Place(source, _line_with(source, "socket.io-client"), "socket.io-client")
    for source in project.of(Kind.CLIENT_MANIFEST):
        for number, line in enumerate(source.lines, 1):
            swift = re.search(r"socket\.io-client-swift.*?(\d+)\.\d", line, re.IGNORECASE)
            java = re.search(r"io\.socket:socket\.io-client:(\d+)\.", line)
            if (swift and int(swift[1]) < 16) or (java and int(java[1]) < 2):
                yield Place(source, number, "socket.io-client")


def _line_with(source: Source, text: str) -> int:
    return next((n for n, line in enumerate(source.lines, 1) if text in line), 1)


@check(
    "FSP902",
    Severity.MISLEADING,
    "WebSocket first",
    why="A client that begins with WebSocket does not fall back to polling, and on the development "
    "server each of its connections ends in `write() before start_response`.",
    fix="Leave `transports` out: the client begins with polling and upgrades.",
    evidence=(f"{CLIENT_OPTIONS}#transports", f"{FAILURES}2-a-500-on-every-refresh"),
)
def websocket_first(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        for match in script.finditer(
            r"transports['\"]?\s*:\s*\[\s*['\"]websocket['\"]\s*,\s*['\"]polling['\"]"
        ):
            yield _at(script, match.start(), "transports")


@check(
    "FSP903",
    Severity.MISLEADING,
    "client options that do not exist",
    why="The server sets the pings; the client has no such options and ignores them.",
    fix="Delete them.",
    evidence=(CLIENT_OPTIONS,),
)
def ping_options(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        for match in script.finditer(r"\b(pingTimeout|pingInterval)['\"]?\s*:"):
            yield _at(script, match.start(), match[1], f"`{match[1]}`")


@check(
    "FSP904",
    Severity.MISLEADING,
    "a new connection each time",
    why="`forceNew` opens one more connection for each call, and the page gets every event twice.",
    fix="Delete it.",
    evidence=(f"{CLIENT_OPTIONS}#forcenew",),
)
def force_new(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        for match in script.finditer(
            r"(['\"]?force ?new(?: connection)?['\"]?)\s*:\s*true|\bforceNew['\"]?\s*:\s*true"
        ):
            if not re.search(
                r"\breconnection\s*:\s*false\b", _object_around(script, match.start())
            ):
                yield _at(script, match.start(), "forceNew")


def _object_around(script: Script, offset: int) -> str:
    """Return the innermost braces around a place: a connection that is not kept is opened on purpose."""
    return script.code[script.code.rfind("{", 0, offset) : script.code.find("}", offset)]


@check(
    "FSP905",
    Severity.BREAKS,
    "reconnecting by hand",
    why="The client reconnects by itself, with growing pauses; a second attempt from here doubles "
    "each one, until a server that was restarted is flooded.",
    fix="Delete it; call `socket.connect()` only if `socket.active` is false.",
    evidence=("https://socket.io/docs/v4/client-socket-instance/#connect_error",),
)
def reconnects_by_hand(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        for offset, arguments in _error_callbacks(script):
            if ".active" in arguments or "io server disconnect" in arguments:
                continue
            match = re.search(r"\b(?:re)?[cC]onnect(?:Socket|WebSocket)?\s*\(\s*\)", arguments)
            if match:
                start = script.code.find(arguments, offset) + match.start()
                yield _at(script, start, "reconnect")


def _error_callbacks(script: Script) -> Iterator[tuple[int, str]]:
    for offset, arguments in script.calls(r"\.on"):
        if re.match(r"\s*['\"](connect_error|reconnect_error|connect_timeout)['\"]", arguments):
            yield offset, arguments


@check(
    "FSP906",
    Severity.MISLEADING,
    "an error of the connection, recognised by its text",
    why="What the server logs never reaches the client, whose own texts change with releases and "
    "browsers.",
    fix="Delete the comparison: the client reconnects whatever the error was.",
    evidence=(f"{FAILURES}2-a-500-on-every-refresh",),
)
def matched_message(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        seen: set[int] = set()
        for match in script.finditer(
            r"\.message\s*(?:\.\s*(?:includes|indexOf|match|startsWith)\s*\(|={2,3})\s*"
            r"['\"/](?:5\d\d|write\(\)|[^'\"]*start_response|timeout|xhr poll error|websocket error)"
        ):
            line = script.line_of(match.start())
            if line not in seen:
                seen.add(line)
                yield _at(script, match.start(), "message")


@check(
    "FSP907",
    Severity.STYLE,
    "a pause before connecting",
    why="A pause hides the order in which things start until a slower machine shows it again.",
    fix="Connect at once; the client queues what is emitted before it is connected.",
    evidence=("https://socket.io/docs/v4/client-offline-behavior/",),
)
def delayed_start(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for offset, arguments in script.calls(r"\baddEventListener"):
            if not re.match(r"\s*['\"](?:load|DOMContentLoaded)['\"]", arguments):
                continue
            match = re.search(r"\bsetTimeout\s*\(", arguments)
            if match and re.search(
                r"socket|\bws|\bio\(", arguments[match.start() :], re.IGNORECASE
            ):
                start = script.code.find(arguments, offset) + match.start()
                yield _at(script, start, "setTimeout")


@check(
    "FSP908",
    Severity.STYLE,
    "disconnecting when the page goes",
    why="The browser closes the connection by itself, the server takes both the same way, and a page "
    "with this handler is not kept for the back button.",
    fix="Delete it.",
    evidence=(
        "https://developer.mozilla.org/en-US/docs/Web/API/Window/beforeunload_event",
        f"{FAILURES}2-a-500-on-every-refresh",
    ),
)
def disconnect_on_unload(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for offset, arguments in script.calls(r"\baddEventListener"):
            if re.match(r"\s*['\"](?:beforeunload|unload)['\"]", arguments) and re.search(
                r"\.(?:disconnect|close)\s*\(", arguments
            ):
                yield _at(script, offset, "beforeunload")
        for match in script.finditer(r"\bonbeforeunload\s*="):
            body = script.inside(script.bare.find("{", match.end())) or ""
            if re.search(r"\.(?:disconnect|close)\s*\(", body):
                yield _at(script, match.start(), "beforeunload")


@check(
    "FSP909",
    Severity.BREAKS,
    "a fixed address",
    why="The page works on the machine and the port that it was written on, and nowhere else.",
    fix='Call `io()` without an address, or `io("/namespace")`: it connects to where the page came '
    "from.",
    evidence=("https://socket.io/docs/v4/client-initialization/", f"{FAILURES}5-two-ports"),
)
def fixed_address(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for offset, arguments in script.calls(rf"(?:{CONNECT}|\bnew\s+WebSocket|\bnew\s+Manager)"):
            given = _first_argument(arguments)
            match = _FIXED.search(given) or _FIXED_PORT.search(given)
            if match:
                yield _at(script, offset, "io")
                continue
            name = re.fullmatch(r"\s*(?:this\.)?([\w$]+)\s*", given)
            made = name and re.search(rf"\b{re.escape(name[1])}\s*[=:]\s*([^;\n]*)", script.code)
            if made and (_FIXED.search(made[1]) or _FIXED_PORT.search(made[1])):
                yield _at(script, made.start(), name[1] if name else "")


def _first_argument(arguments: str) -> str:
    """Return the text of a call's first argument: up to a comma outside strings and brackets."""
    depth, quote = 0, ""
    for position, character in enumerate(arguments):
        if quote:
            quote = "" if character == quote and arguments[position - 1] != "\\" else quote
        elif character in "'\"`":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            return arguments[:position]
    return arguments


@check(
    "FSP910",
    Severity.BREAKS,
    "an address put together by hand",
    why="Behind HTTPS on the standard port `location.port` is empty and `http:` is refused: the page "
    "asks for an address that does not exist.",
    fix='Call `io()` without an address, or `io("/namespace")`.',
    evidence=("https://socket.io/docs/v4/client-initialization/",),
)
def assembled_address(project: Project) -> Iterator[Place]:
    for script in _clients(project):
        seen: set[int] = set()
        for match in script.finditer(r"\bdocument\.domain\b|\blocation\.port\b"):
            line = script.line_of(match.start())
            text = script.line_at(match.start())
            # An empty port after a colon is none; what breaks is the scheme that is written out.
            if "location.protocol" in text:
                continue
            if line in seen or re.search(r"location\.port\s*(?:\?|&&|\|\||[!=]=)", text):
                continue
            if re.search(r"//|https?:|wss?:|['\"`]:['\"`]|\bio\b", text):
                seen.add(line)
                yield _at(script, match.start(), match[0])


@check(
    "FSP911",
    Severity.BREAKS,
    "window.WebSocket is replaced",
    why="Every socket of the page goes through the replacement, those of other scripts too, and "
    "what was wrong with the address stays wrong for everything else.",
    fix="Delete it; serve page and WebSockets from one origin.",
    evidence=(f"{FAILURES}5-two-ports",),
)
def replaced_websocket(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for match in script.finditer(
            r"\b(?:window|self|globalThis)(?:\.WebSocket|\[['\"]WebSocket['\"]\])\s*=(?!=)"
        ):
            yield _at(script, match.start(), "WebSocket")


@check(
    "FSP912",
    Severity.BREAKS,
    "ports are rewritten in the page",
    why="It holds for two ports of one machine; behind a proxy, with TLS, or in another environment "
    "the addresses are others.",
    fix="Serve page and WebSockets from one origin behind a proxy, and call `io()`.",
    evidence=(f"{FAILURES}5-two-ports",),
)
def rewritten_port(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for match in script.finditer(
            r"\.replace(?:All)?\s*\(\s*['\"`/][^\n]*?:\d{2,5}[^\n]*?,\s*['\"`][^\n]*?:\d{2,5}"
        ):
            yield _at(script, match.start(), "replace")


@check(
    "FSP913",
    Severity.BREAKS,
    "protocol version 3",
    why="The number asks for the old protocol: `The client is using an unsupported version`.",
    fix="Ask for `EIO=4`.",
    evidence=(
        "https://socket.io/docs/v4/engine-io-protocol/",
        "https://github.com/socketio/socket.io-client-swift/issues/1314",
    ),
)
def old_protocol(project: Project) -> Iterator[Place]:
    for script in scripts(project):
        for match in script.finditer(r"\bEIO['\"]?\s*[=:]\s*['\"]?[123]\b"):
            yield _at(script, match.start(), "EIO")
    for module in project.modules:
        for node in module.nodes:
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.search(r"/socket\.io/\?\S*\bEIO=[123]\b", node.value)
            ):
                yield Place(module.source, node.lineno, "EIO")


@check(
    "FSP914",
    Severity.BREAKS,
    "a page that begins with a transport the server refuses",
    why="The server takes WebSockets only, and a client that is not told so begins with polling: it "
    "is answered 400 for ever.",
    fix='Write `io({ transports: ["websocket"] })`, or let the server take both.',
    evidence=(f"{CLIENT_OPTIONS}#transports",),
)
def refused_transport(project: Project) -> Iterator[Place]:
    if not any(option.constant == ["websocket"] for option in project.options_named("transports")):
        return
    for script in _clients(project):
        for offset, arguments in script.calls(CONNECT):
            given = re.search(r"transports['\"]?\s*:\s*\[\s*['\"](\w+)", arguments)
            elsewhere = given is None and "transports" in script.code
            if not elsewhere and (given is None or given[1] != "websocket"):
                yield _at(script, offset, "io")
