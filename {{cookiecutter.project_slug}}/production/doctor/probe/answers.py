"""What the answers of services and of proxies mean.

The texts are those of python-engineio 4 (``server.py``), of Node's engine.io 6 (``lib/server.ts``) and of
nginx. They are read for a diagnosis only: nothing depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from production.doctor.probe.verdicts import Advice
from production.doctor.probe.wire.engine import POLLING, WEBSOCKET, excerpt
from production.doctor.probe.wire.faults import Refused
from production.doctor.probe.wire.http import Answer

NOT_STICKY = Advice(
    "Several processes answer, each knows its own sessions only, and nothing keeps a client on the "
    "process that has its session.",
    "Serve with one worker (`gunicorn -w 1`), or with this template's layer, whose workers hand "
    "sessions to each other; between hosts, let the proxy keep a client on its host (nginx: `ip_hash` "
    'or `sticky`); or let all clients use transports: ["websocket"].',
)

HEADERS_REMOVED = Advice(
    "A proxy on the way passes the request on without its `Upgrade` and `Connection` headers.",
    "nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
    'Connection "upgrade";` in the location of Socket.IO. Other proxies: switch WebSockets on.',
)

WRONG_ORIGIN = Advice(
    "The service compares the page's origin with the address that it believes to have: the page is of "
    "another origin, or a proxy does not pass on the scheme, the host or the port of the request.",
    "Behind a proxy: `proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;` and "
    "TRUSTED_PROXIES=1 (without the layer: ProxyFix). For a page of another origin, name it in "
    "ALLOWED_ORIGINS (without the layer: `cors_allowed_origins`).",
)

NO_POLLING = Advice(
    "The service takes WebSockets only.",
    'Nothing, if that is meant: clients then need transports: ["websocket"].',
)

NO_WEBSOCKET = Advice(
    "The service does not have the WebSocket transport: it is switched off, or its server cannot do it.",
    "Allow it (the layer's TRANSPORTS, or `transports=` of SocketIO); in threading mode install "
    "simple-websocket; with gunicorn use a worker class that fits the async mode.",
)

OTHER_PATH = Advice(
    "No Socket.IO at this path: it has another one, a proxy does not pass the path on, or the app is "
    "started without its Socket.IO server.",
    "Name the path with --path, add a location for it in the proxy, and serve the app that "
    "`SocketIO(app)` was made with.",
)

PAGE_INSTEAD = Advice(
    "Something else answers at this path: a front end that shows its page for every address, or a login.",
    "Let the proxy pass the path of Socket.IO on to the service before the front end's rules, or name "
    "the right path with --path.",
)

OTHER_VERSION = Advice(
    "The service does not see `EIO=4` in the query: a proxy drops the query, or the service speaks another "
    "revision of the protocol than clients of Socket.IO 3 and 4.",
    "Let the proxy pass the query on; with python-socketio before 5, upgrade it (Flask-SocketIO 5).",
)

NOT_ALLOWED = Advice(
    "Somebody in front of the service asks for a login, or the service itself refuses the client.",
    "Send what it asks for with --header (for example 'Authorization: Basic …' or 'Cookie: …').",
)

TOO_LARGE = Advice(
    "A proxy takes smaller requests than the service.",
    "nginx: `client_max_body_size` at least as large as the service's largest message (maxPayload).",
)

TOO_MANY = Advice(
    "A limit on requests counts Socket.IO's: long polling makes many.",
    "Leave the path of Socket.IO out of the limit, or raise it.",
)

FULL_OR_LEAVING = Advice(
    "The process has all the sessions that it may have (MAX_SESSIONS), or it is leaving.",
    "Add workers or raise MAX_SESSIONS; during a deployment, try again when it is through.",
)

UPSTREAM_DOWN = Advice(
    "A proxy answers, but the service behind it does not: it is down, starting, or at another address.",
    "Look at the service's log and at the proxy's error log; compare the proxy's address with BIND.",
)

UPSTREAM_SLOW = Advice(
    "A proxy gave up waiting for the service: it is blocked, or the proxy's read time-out is shorter "
    "than the time for which a poll waits.",
    "nginx: `proxy_read_timeout` above the ping interval plus the ping time-out; and look for calls that "
    "block the service.",
)

BROKEN = Advice(
    "The service, or a proxy in front of it, failed at this request.",
    "The service's log has a traceback, or the proxy's error log says why.",
)

TLS_EXPECTED = Advice(
    "The port speaks TLS.",
    "Probe the address with https://.",
)

REDIRECTED = Advice(
    "The request is sent elsewhere; Socket.IO clients do not follow.",
    "Probe the address that it leads to, and let clients use it from the start.",
)

OTHER_PROTOCOL = Advice(
    "What answers wants another protocol or version.",
    "Let the proxy accept HTTP/1.1 and version 13 of WebSocket for the path of Socket.IO.",
)

STRANGE = Advice(
    "This is no answer that Socket.IO gives.",
    "See the logs of the proxy and of the service for this request.",
)

# An id is as good as the session, so none gets into a report.
SESSION_ID = re.compile(r"session [\w.~-]{8,}")


@dataclass(frozen=True)
class Rule:
    """An answer that is known.

    :param matches: whether it is this one, asked with the answer and the transport.
    :param advice: what it means.
    """

    matches: Callable[[Answer, str], bool]
    advice: Advice


def _says(pattern: str, transport: str = "") -> Callable[[Answer, str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)

    def matches(answer: Answer, used: str) -> bool:
        return transport in {"", used} and compiled.search(answer.text) is not None

    return matches


def _has(*statuses: int, transport: str = "") -> Callable[[Answer, str], bool]:
    return lambda answer, used: answer.status in statuses and transport in {"", used}


def session_is_unknown(answer: Answer) -> bool:
    """Tell whether a process answered that does not have the session."""
    return _says(r"invalid session|session id unknown|session not found")(answer, "")


# The first that matches is taken, so what an answer says comes before its status.
RULES = (
    Rule(_says(r"plain HTTP request was sent to HTTPS port"), TLS_EXPECTED),
    Rule(lambda answer, transport: session_is_unknown(answer), NOT_STICKY),
    Rule(_says(r"not an accepted origin"), WRONG_ORIGIN),
    Rule(_says(r"unsupported version|unsupported protocol version"), OTHER_VERSION),
    Rule(_says(r'invalid websocket upgrade|"code":3\b', WEBSOCKET), HEADERS_REMOVED),
    Rule(_says(r"invalid transport|transport unknown", WEBSOCKET), NO_WEBSOCKET),
    Rule(_says(r"invalid transport|transport unknown", POLLING), NO_POLLING),
    Rule(_has(301, 302, 303, 307, 308), REDIRECTED),
    Rule(_has(401, 403, 407), NOT_ALLOWED),
    Rule(_has(404, 405), OTHER_PATH),
    Rule(_has(413), TOO_LARGE),
    Rule(_has(426, 505), OTHER_PROTOCOL),
    Rule(_has(429), TOO_MANY),
    Rule(_has(500, 501), BROKEN),
    Rule(lambda answer, _: answer.status == 503 and not answer.is_page, FULL_OR_LEAVING),
    Rule(_has(502, 503, 521, 522, 523), UPSTREAM_DOWN),
    Rule(_has(504, 524), UPSTREAM_SLOW),
    Rule(lambda answer, _: answer.status == 200 and answer.is_page, PAGE_INSTEAD),
    Rule(_has(200, transport=WEBSOCKET), HEADERS_REMOVED),
)


def advice_on(answer: Answer, transport: str) -> Advice:
    """Return what is likely to be behind an answer that was not hoped for.

    :param answer: the answer to an Engine.IO request.
    :param transport: the request's.
    """
    return next((rule.advice for rule in RULES if rule.matches(answer, transport)), STRANGE)


def described(refusal: Refused) -> str:
    """Say how a request was answered."""
    answer = refusal.answer
    if answer.status in {301, 302, 303, 307, 308}:
        what = f"to {answer.headers.get('location', 'nowhere')}"
    else:
        what = excerpt(SESSION_ID.sub("session …", answer.text)) if answer.body else "nothing more"
    by = f" by {answer.server}" if answer.server else ""
    return f"answered {answer.status}{by}: {what}"
