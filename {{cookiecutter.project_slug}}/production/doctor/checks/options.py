"""FSP1xx: what ``SocketIO(...)`` is told."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.modules import MISSING
from production.doctor.project import Option, Project
from production.doctor.registry import FLASK_SOCKETIO, PYTHON_ENGINEIO, PYTHON_SOCKETIO, check

KNOWN_OPTIONS = frozenset(
    {
        # Flask-SocketIO's own
        "app",
        "channel",
        "manage_session",
        "message_queue",
        "path",
        "resource",
        # python-socketio's
        "always_connect",
        "async_handlers",
        "client_manager",
        "json",
        "logger",
        "namespaces",
        "serializer",
        # python-engineio's
        "allow_upgrades",
        "async_mode",
        "compression_threshold",
        "cookie",
        "cors_allowed_origins",
        "cors_credentials",
        "engineio_logger",
        "http_compression",
        "max_http_buffer_size",
        "monitor_clients",
        "ping_interval",
        "ping_timeout",
        "transports",
    }
)
"""Every option that has an effect; a test compares them with the signatures of the libraries."""

PROXY_PATIENCE = 60
"""Seconds of silence after which nginx and most load balancers cut a connection."""

LARGEST_MESSAGE = 10_000_000
"""Bytes above which a message limit limits nothing."""

API = "https://flask-socketio.readthedocs.io/en/latest/api.html"
DEPLOYMENT = "https://flask-socketio.readthedocs.io/en/latest/deployment.html"

# Redis by other names than Flask-SocketIO knows, which hands their addresses to Kombu.
REDIS_SCHEMES = (
    "redis+sentinel://",
    "rediss+sentinel://",
    "unix://",
    "valkey://",
    "valkeys://",
    "valkey+sentinel://",
)


def at(option: Option, detail: str = "") -> Place:
    """Return the place of an option."""
    return Place(option.module.source, option.line, option.name, detail)


@check(
    "FSP101",
    Severity.MISLEADING,
    "an option that does not exist",
    why="SocketIO silently ignores an option that it does not know, so this does nothing.",
    fix="Delete it, or correct its name.",
    evidence=(API,),
)
def unknown_option(project: Project) -> Iterator[Place]:
    for option in project.options:
        if option.name not in KNOWN_OPTIONS:
            yield at(option, f"`{option.name}`")


@check(
    "FSP102",
    Severity.UNSAFE,
    "every origin may connect",
    why="Any web site that a visitor opens can use the visitor's session through the socket.",
    fix="Name the origins that may connect, or leave the option out for the same origin only.",
    evidence=(f"{FLASK_SOCKETIO}1501", API),
)
def any_origin(project: Project) -> Iterator[Place]:
    for option in project.options_named("cors_allowed_origins"):
        value = option.constant
        if value == "*" or (isinstance(value, list) and "*" in value):
            yield at(option)


@check(
    "FSP103",
    Severity.UNSAFE,
    "clients are accepted before they are authenticated",
    why="A client that the connect handler is about to refuse is connected and gets broadcasts.",
    fix="Delete `always_connect`: a connection is accepted when the connect handler returns.",
    evidence=(API,),
)
def always_connect(project: Project) -> Iterator[Place]:
    for option in project.options_named("always_connect"):
        if option.constant is True:
            yield at(option)


@check(
    "FSP104",
    Severity.BREAKS,
    "session writes are lost",
    why="Without server-side sessions, `manage_session=False` throws away what an event handler "
    "writes to the session, since a cookie cannot be set over a WebSocket.",
    fix="Delete it, or keep sessions on a server with Flask-Session.",
    evidence=(f"{FLASK_SOCKETIO}1071", f"{FLASK_SOCKETIO}2077"),
)
def unmanaged_session(project: Project) -> Iterator[Place]:
    server_side = any(
        origin.startswith(("flask_session", "flaskext.session", "flask_kvsession"))
        for module in project.modules
        for origin in module.imports.values()
    )
    for option in project.options_named("manage_session"):
        if option.constant is False and not server_side:
            yield at(option)


@check(
    "FSP105",
    Severity.BREAKS,
    "pings that are slower than a proxy's patience",
    why=f"A connection that is silent for {PROXY_PATIENCE} s is cut by nginx and most load "
    "balancers.",
    fix="Leave `ping_interval` at its default of 25 seconds; the unit is seconds.",
    evidence=("https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",),
)
def slow_pings(project: Project) -> Iterator[Place]:
    for option in project.options_named("ping_interval"):
        value = option.constant
        seconds = value[0] if isinstance(value, list) and value else value
        if isinstance(seconds, int | float) and seconds >= PROXY_PATIENCE:
            yield at(option)


@check(
    "FSP106",
    Severity.MISLEADING,
    "a long ping time-out",
    why="The time-out cures no error; it makes a client that is gone look connected for longer.",
    fix="Leave `ping_timeout` at its default of 20 seconds; the unit is seconds.",
    evidence=(API,),
)
def slow_timeout(project: Project) -> Iterator[Place]:
    for option in project.options_named("ping_timeout"):
        value = option.constant
        if isinstance(value, int | float) and value > PROXY_PATIENCE:
            yield at(option)


@check(
    "FSP107",
    Severity.MISLEADING,
    "a message limit that is not a whole number",
    why="The limit is announced to every client as it is, so this puts 1000000.0 where the "
    "protocol has an integer.",
    fix="Write the number of bytes out: 1000000.",
)
def float_limit(project: Project) -> Iterator[Place]:
    for option in project.options_named("max_http_buffer_size"):
        if isinstance(option.constant, float):
            yield at(option)


@check(
    "FSP108",
    Severity.UNSAFE,
    "a message limit that limits nothing",
    why="Each client may make the server hold a message of this size in memory, several times over.",
    fix="Keep the limit at a megabyte or a little more, and send large things over HTTP.",
    evidence=(f"{PYTHON_SOCKETIO}475", f"{PYTHON_ENGINEIO}319"),
)
def huge_limit(project: Project) -> Iterator[Place]:
    for option in project.options_named("max_http_buffer_size"):
        value = option.constant
        if isinstance(value, int | float) and value > LARGEST_MESSAGE:
            yield at(option)


@check(
    "FSP109",
    Severity.BREAKS,
    "the async mode is left to what happens to be installed",
    why="Without `async_mode`, an installed eventlet wins over gevent and gevent over threads, so "
    "one more package in the environment changes or breaks the server.",
    fix='Name the mode: `async_mode="threading"`, `"gevent"` or `"eventlet"`.',
    evidence=(f"{FLASK_SOCKETIO}294", f"{FLASK_SOCKETIO}816"),
)
def mode_by_chance(project: Project) -> Iterator[Place]:
    from production.doctor.requirements import required

    green = [name for name in ("eventlet", "gevent") if required(project, name)]
    if project.has_layer or len(green) < 2 or project.async_modes:
        return
    for server in project.servers:
        if not server.writes_only:
            yield Place(
                server.module.source,
                server.call.lineno,
                "async_mode",
                "both eventlet and gevent are required",
            )


@check(
    "FSP110",
    Severity.BREAKS,
    "a queue that goes to Kombu",
    why="Flask-SocketIO hands every URL that does not begin with redis:// or rediss:// to Kombu, "
    "although python-socketio's own Redis manager reads this one.",
    fix="Pass `client_manager=socketio.RedisManager(url, channel=...)` instead of `message_queue`.",
    evidence=("https://python-socketio.readthedocs.io/en/latest/server.html",),
)
def queue_for_kombu(project: Project) -> Iterator[Place]:
    for option in _queues(project):
        if isinstance(value := option.constant, str) and value.startswith(REDIS_SCHEMES):
            yield Place(option.module.source, option.line, option.name, secret="@" in value)


@check(
    "FSP111",
    Severity.STYLE,
    "a queue without time-outs",
    why="`message_queue` takes no options, so an `emit` waits for as long as Redis hangs.",
    fix="Pass `client_manager=socketio.RedisManager(url, redis_options={...})` with "
    "`socket_connect_timeout`, `socket_keepalive` and `health_check_interval`.",
    evidence=(f"{PYTHON_SOCKETIO}1411", f"{PYTHON_SOCKETIO}143"),
)
def queue_without_timeouts(project: Project) -> Iterator[Place]:
    for option in _queues(project):
        value = option.constant
        if isinstance(value, str) and value.startswith(("redis://", "rediss://")):
            yield Place(option.module.source, option.line, option.name, secret="@" in value)


@check(
    "FSP112",
    Severity.UNSAFE,
    "every packet in the log",
    why="The log gets every packet with its content, passwords and tokens of the clients included.",
    fix="Delete it; errors are logged without it.",
    evidence=(API,),
)
def packets_in_the_log(project: Project) -> Iterator[Place]:
    for name in ("logger", "engineio_logger"):
        for option in project.options_named(name):
            if option.constant is True:
                yield at(option, f"`{name}`")


@check(
    "FSP113",
    Severity.BREAKS,
    "dead clients are never removed",
    why="Clients that vanish without a goodbye stay in memory for as long as the process lives.",
    fix="Delete `monitor_clients`.",
    evidence=(f"{PYTHON_ENGINEIO}328", API),
)
def unmonitored_clients(project: Project) -> Iterator[Place]:
    for option in project.options_named("monitor_clients"):
        if option.constant is False:
            yield at(option)


@check(
    "FSP114",
    Severity.UNSAFE,
    "every origin may read with credentials",
    why="Any web site can call these routes with the visitor's cookies and read the answers.",
    fix="Name the origins in Flask-CORS, or leave `supports_credentials` out.",
    evidence=("https://flask-cors.readthedocs.io/en/latest/api.html",),
)
def any_origin_over_http(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for call in module.calls:
            if module.dotted(call.func) not in {"flask_cors.CORS", "flask_cors.cross_origin"}:
                continue
            given = {one.arg: one for one in call.keywords}
            credentials = given.get("supports_credentials")
            origins = given.get("origins")
            value = module.value(origins.value) if origins else "*"
            nested = _nested_origins(given.get("resources"))
            everyone = value == "*" or (isinstance(value, list) and "*" in value)
            if "resources" in given and origins is None:
                everyone = nested
            if credentials and module.value(credentials.value) is True and everyone:
                yield Place(module.source, credentials.lineno, "supports_credentials")


def _nested_origins(resources: ast.keyword | None) -> bool:
    """Tell whether a literal ``resources`` gives ``*`` as origins, or none."""
    if resources is None or not isinstance(resources.value, ast.Dict):
        return False
    for rule in resources.value.values:
        if isinstance(rule, ast.Dict):
            named = dict(zip(map(_text, rule.keys), rule.values, strict=True))
            if "origins" not in named or _text(named["origins"]) == "*":
                return True
    return False


def _text(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else MISSING


def _queues(project: Project) -> Iterator[Option]:
    """Yield where a queue's URL is given, to servers and to emitters for other processes."""
    yield from project.options_named("message_queue")
    for server in project.servers:
        if server.writes_only:
            for one in server.call.keywords:
                if one.arg == "message_queue":
                    yield Option(server.module, one.arg, one.value, one.lineno)
