"""FSP83x: nginx in front."""

from __future__ import annotations

from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.nginx import Directive, parse, seconds, size
from production.doctor.project import Project
from production.doctor.registry import FLASK_SOCKETIO, check
from production.doctor.sources import Kind, Source

WEBSOCKETS = "https://nginx.org/en/docs/http/websocket.html"
PROXY = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html"

DEFAULT_INTERVAL, DEFAULT_TIMEOUT, DEFAULT_LIMIT = 25, 20, 1_000_000

Location = tuple[Source, Directive, Directive]
"""A file, the block that passes requests on, and its ``proxy_pass``."""


def _passes(project: Project) -> Iterator[Location]:
    """Yield every block that passes requests to the app."""
    for source in project.of(Kind.NGINX):
        for one in parse(source).inside():
            if one.name == "proxy_pass" and one.parent is not None:
                yield source, one.parent, one


def _for_socketio(project: Project) -> Iterator[Location]:
    """Yield the blocks that Socket.IO's requests come to: its own one, else that for everything."""
    everything = list(_passes(project))
    own = [one for one in everything if "socket.io" in " ".join(one[1].words)]
    yield from own or [one for one in everything if one[1].words[-1:] == ["/"]]


# What Debian's nginx brings as /etc/nginx/proxy_params.
PROXY_PARAMS = {
    "host": "$http_host",
    "x-real-ip": "$remote_addr",
    "x-forwarded-for": "$proxy_add_x_forwarded_for",
    "x-forwarded-proto": "$scheme",
}


def _headers(location: Directive) -> dict[str, tuple[str, int]]:
    """Return the headers that are passed on, in lower case: nginx takes those of one block only."""
    headers = {
        one.words[1].lower(): (" ".join(one.words[2:]), one.line)
        for one in location.effective("proxy_set_header")
        if len(one.words) > 2
    }
    for one in location.block:
        if one.name == "include" and _included(one) == "proxy_params":
            own = [inner for inner in location.block if inner.name == "proxy_set_header"]
            kept = headers if own else {}
            headers = {name: (value, one.line) for name, value in PROXY_PARAMS.items()} | kept
    return headers


def _included(include: Directive) -> str:
    return include.words[-1].rpartition("/")[2]


def _includes_more(location: Directive) -> bool:
    """Tell whether headers may come from a file that is not known."""
    server = _server(location)
    return any(
        one.name == "include" and _included(one) not in {"proxy_params", "mime.types"}
        for one in (*location.block, *(server.block if server else []))
    )


@check(
    "FSP830",
    Severity.BREAKS,
    "nginx does not pass upgrades on",
    why="Without HTTP/1.1 and the two headers no WebSocket gets through: `Invalid websocket upgrade`.",
    fix="Add `proxy_http_version 1.1`, `proxy_set_header Upgrade $http_upgrade` and "
    "`proxy_set_header Connection $connection_upgrade`.",
    evidence=(WEBSOCKETS, f"{FLASK_SOCKETIO}1863", f"{FLASK_SOCKETIO}1211"),
)
def no_upgrade(project: Project) -> Iterator[Place]:
    for source, location, passing in _for_socketio(project):
        headers = _headers(location)
        version = [one.words[1:] for one in location.effective("proxy_http_version")]
        missing = [name for name in ("upgrade", "connection") if name not in headers]
        if version != [["1.1"]]:
            missing.append("proxy_http_version 1.1")
        if missing and not _includes_more(location):
            yield Place(source, passing.line, "proxy_pass", f"missing: {', '.join(missing)}")


@check(
    "FSP831",
    Severity.BREAKS,
    "nginx drops the port of the host",
    why="`$host` has no port, so the page's own origin is refused on any port but 80 and 443: "
    "`is not an accepted origin`.",
    fix="Write `proxy_set_header Host $http_host`.",
    evidence=(f"{FLASK_SOCKETIO}1501", f"{FLASK_SOCKETIO}1394"),
)
def host_without_port(project: Project) -> Iterator[Place]:
    for source, location, _ in _for_socketio(project):
        value, line = _headers(location).get("host", ("", 0))
        if value == "$host" and any(port not in {"80", "443"} for port in _ports(location)):
            yield Place(source, line, "Host")


@check(
    "FSP832",
    Severity.BREAKS,
    "nginx does not say that the page came by HTTPS",
    why="Behind TLS the app takes the page's own origin for a foreign one: `is not an accepted "
    "origin`.",
    fix="Add `proxy_set_header X-Forwarded-Proto $scheme`, and trust it in the app.",
    evidence=(f"{FLASK_SOCKETIO}1047", f"{FLASK_SOCKETIO}1406"),
)
def no_forwarded_proto(project: Project) -> Iterator[Place]:
    for source, location, passing in _for_socketio(project):
        if _includes_more(location):
            continue
        if _has_tls(location) and "x-forwarded-proto" not in _headers(location):
            yield Place(source, passing.line, "X-Forwarded-Proto")


@check(
    "FSP833",
    Severity.BREAKS,
    "nginx is less patient than the pings",
    why="nginx cuts a connection that is silent for proxy_read_timeout, which is shorter than the "
    "time between two pings.",
    fix="Set proxy_read_timeout to more than ping_interval and ping_timeout together.",
    evidence=(f"{PROXY}#proxy_read_timeout",),
)
def impatient_nginx(project: Project) -> Iterator[Place]:
    silence = _number(project, "ping_interval", DEFAULT_INTERVAL) + _number(
        project, "ping_timeout", DEFAULT_TIMEOUT
    )
    for source, location, passing in _for_socketio(project):
        given = location.effective("proxy_read_timeout")
        patience = seconds(given[0].words[-1]) if given else 60.0
        if given and patience is not None and patience <= silence:
            yield Place(source, given[0].line, "proxy_read_timeout")
        elif not given and _number(project, "ping_interval", DEFAULT_INTERVAL) >= 60:
            yield Place(source, passing.line, "proxy_read_timeout")


@check(
    "FSP834",
    Severity.BREAKS,
    "nginx spreads a session over several servers",
    why="A session lives in one process; its next request comes to another one: `400 Invalid "
    "session`.",
    fix="Add `ip_hash`, or route by the session's id as deploy/nginx/ does.",
    evidence=(
        "https://flask-socketio.readthedocs.io/en/latest/deployment.html",
        f"{FLASK_SOCKETIO}276",
    ),
)
def no_stickiness(project: Project) -> Iterator[Place]:
    if project.has_layer:
        return
    targets = {
        passing.words[1].partition("://")[2].rstrip("/")
        for _, _, passing in _for_socketio(project)
        if len(passing.words) > 1
    }
    for source in project.of(Kind.NGINX):
        for one in parse(source).inside():
            if one.name != "upstream" or len(one.words) < 2 or one.words[1] not in targets:
                continue
            names = {inner.name for inner in one.block}
            servers = [
                inner
                for inner in one.block
                if inner.name == "server" and not {"backup", "down"} & set(inner.words)
            ]
            if len(servers) > 1 and not names & {"ip_hash", "hash", "sticky"}:
                yield Place(source, one.line, one.words[1])


@check(
    "FSP835",
    Severity.BREAKS,
    "nginx refuses messages that the app accepts",
    why="A message over long polling that is larger than client_max_body_size is answered 413, and "
    "the session ends.",
    fix="Set client_max_body_size to max_http_buffer_size or more.",
    evidence=(f"{FLASK_SOCKETIO}469",),
)
def small_bodies(project: Project) -> Iterator[Place]:
    limit = _number(project, "max_http_buffer_size", DEFAULT_LIMIT)
    for source, location, _ in _for_socketio(project):
        given = location.effective("client_max_body_size")
        accepted = size(given[0].words[-1]) if given else None
        if given and accepted is not None and 0 < accepted < limit:
            yield Place(source, given[0].line, "client_max_body_size")


@check(
    "FSP836",
    Severity.BREAKS,
    "nginx drops the host",
    why="Without it the app sees the name of the upstream, and the page's own origin is refused: "
    "`is not an accepted origin`.",
    fix="Add `proxy_set_header Host $http_host`.",
    evidence=(f"{FLASK_SOCKETIO}1501", f"{PROXY}#proxy_set_header"),
)
def no_host(project: Project) -> Iterator[Place]:
    for source, location, passing in _for_socketio(project):
        headers = _headers(location)
        if _includes_more(location):
            continue
        if "host" not in headers and "x-forwarded-host" not in headers:
            yield Place(source, passing.line, "Host")


def _server(location: Directive) -> Directive | None:
    place: Directive | None = location
    while place is not None and place.name != "server":
        place = place.parent
    return place


def _ports(location: Directive) -> set[str]:
    server = _server(location)
    return {
        one.words[1].rpartition(":")[2]
        for one in (server.block if server else [])
        if one.name == "listen" and len(one.words) > 1
    }


def _has_tls(location: Directive) -> bool:
    server = _server(location)
    return any(
        one.name == "ssl_certificate" or (one.name == "listen" and "ssl" in one.words)
        for one in (server.block if server else [])
    )


def _number(project: Project, name: str, default: float) -> float:
    """Return the largest value that the code gives an option, or the default, which the layer's is too."""
    if project.has_layer:
        return default
    values = [option.constant for option in project.options_named(name)]
    values = [value[0] if isinstance(value, list) and value else value for value in values]
    return max((value for value in values if isinstance(value, int | float)), default=default)
