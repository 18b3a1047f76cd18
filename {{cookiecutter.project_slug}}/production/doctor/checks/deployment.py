"""FSP80x to FSP82x: gunicorn, containers, systemd, PyInstaller."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from production.doctor.checks.serving import is_development_server
from production.doctor.commands import Command, Gunicorn, commands, gunicorns, is_python
from production.doctor.model import Place, Severity
from production.doctor.modules import Module, constant, keyword, last_name
from production.doctor.project import Project
from production.doctor.registry import FLASK_SOCKETIO, GUNICORN, PYTHON_SOCKETIO, check
from production.doctor.requirements import required
from production.doctor.sources import Kind, Source

DEPLOYMENT = "https://flask-socketio.readthedocs.io/en/latest/deployment.html"

FEW_THREADS = 16
"""A thread serves one client: below this, a handful of visitors occupies the service."""


def _given(gunicorn: Gunicorn, name: str) -> Place:
    """Return where an option is given, or where gunicorn is started if it is not."""
    if name in gunicorn.options:
        _, source, line = gunicorn.options[name]
        return Place(source, line, name)
    return Place(gunicorn.source, gunicorn.line, name)


def _ours(project: Project) -> list[Gunicorn]:
    """Return the gunicorns that the project configures itself, and not through the layer."""
    return [] if project.has_layer else gunicorns(project)


@check(
    "FSP801",
    Severity.BREAKS,
    "gunicorn's eventlet worker",
    why="gunicorn 26 removed the eventlet worker: `class uri 'eventlet' invalid or not found`.",
    fix="Use threads or gevent, or the eventlet worker of this layer.",
    evidence=("https://github.com/benoitc/gunicorn/pull/3623", f"{FLASK_SOCKETIO}2067"),
)
def eventlet_worker(project: Project) -> Iterator[Place]:
    pinned = [one for one in required(project, "gunicorn") if one.releases]
    if pinned and not any(one.accepts_any(("26.0.0", "27.0.1")) for one in pinned):
        return
    for gunicorn in gunicorns(project):
        if gunicorn.text("worker_class") == "eventlet":
            yield _given(gunicorn, "worker_class")


@check(
    "FSP802",
    Severity.BREAKS,
    "several workers without routing",
    why="A session lives in one process and gunicorn gives each request to any: `400 Invalid "
    "session`, and emits reach the clients of one worker only.",
    fix="Use one worker, or this layer's routing with a message queue; without it, a queue and the "
    "WebSocket transport only, on the server and in the page.",
    evidence=(f"{FLASK_SOCKETIO}439", f"{FLASK_SOCKETIO}1301", DEPLOYMENT),
)
def several_workers(project: Project) -> Iterator[Place]:
    if project.has_layer:
        return
    only_websocket = any(
        option.constant == ["websocket"] for option in project.options_named("transports")
    )
    if only_websocket and project.queue_options:
        return
    for gunicorn in gunicorns(project):
        if (gunicorn.number("workers") or 1) > 1:
            yield _given(gunicorn, "workers")
    for source in project.of(Kind.DOCKERFILE, Kind.COMPOSE, Kind.PROCFILE, Kind.SYSTEMD):
        for number, line in enumerate(source.lines, 1):
            match = re.search(r"WEB_CONCURRENCY\W+(\d+)", line)
            if match and int(match[1]) > 1:
                yield Place(source, number, "WEB_CONCURRENCY")


@check(
    "FSP803",
    Severity.BREAKS,
    "gunicorn's default worker",
    why="The sync worker serves one request at a time, and a WebSocket is a request that does not "
    "end: the first client blocks all others until `WORKER TIMEOUT`.",
    fix="Add `--threads 100`, or a gevent worker.",
    evidence=(f"{GUNICORN}3058", f"{GUNICORN}1801"),
)
def sync_worker(project: Project) -> Iterator[Place]:
    for gunicorn in _ours(project):
        worker = gunicorn.text("worker_class")
        threads = gunicorn.text("threads")
        if worker == "sync" and threads in {"", "1"}:
            yield _given(gunicorn, "worker_class")
        elif (worker == "" and threads in {"", "1"}) or (
            worker == "gthread" and threads in {"", "1"}
        ):
            yield _given(gunicorn, "threads")


@check(
    "FSP804",
    Severity.BREAKS,
    "max_requests",
    why="The worker is restarted under its open sessions, and with one worker the service is away "
    "for the graceful time-out.",
    fix="Remove it.",
    evidence=("https://docs.gunicorn.org/en/stable/settings.html#max-requests",),
)
def max_requests(project: Project) -> Iterator[Place]:
    for gunicorn in _ours(project):
        if gunicorn.number("max_requests"):
            yield _given(gunicorn, "max_requests")


@check(
    "FSP805",
    Severity.BREAKS,
    "the app is loaded before the fork",
    why="Threads that start at import die at the fork, and connections and hubs are shared by all "
    "workers.",
    fix="Remove `--preload`.",
    evidence=(f"{PYTHON_SOCKETIO}1263",),
)
def preload(project: Project) -> Iterator[Place]:
    for gunicorn in _ours(project):
        if gunicorn.text("preload_app") == "true":
            yield _given(gunicorn, "preload_app")


@check(
    "FSP806",
    Severity.BREAKS,
    "few threads",
    why="Each client holds a thread for as long as it is connected: the next client, and the health "
    "check, wait until one leaves.",
    fix="Set as many threads as there may be clients, and some for HTTP.",
    evidence=("https://github.com/Zipstack/unstract/issues/2241", f"{FLASK_SOCKETIO}1755"),
)
def few_threads(project: Project) -> Iterator[Place]:
    for gunicorn in _ours(project):
        threads = gunicorn.number("threads")
        with_threads = gunicorn.text("worker_class") in {"", "sync", "gthread"}
        if with_threads and threads is not None and 1 < threads < FEW_THREADS:
            yield _given(gunicorn, "threads")


@check(
    "FSP807",
    Severity.BREAKS,
    "a worker for another async mode",
    why="The server waits in one way and the worker in another: sockets are closed twice, and "
    "answers have no status.",
    fix='Name the same mode in both: threads with "threading", `-k gevent` with "gevent".',
    evidence=(f"{FLASK_SOCKETIO}223", f"{FLASK_SOCKETIO}816"),
)
def worker_of_another_mode(project: Project) -> Iterator[Place]:
    if len(project.async_modes) != 1:
        return
    mode = next(iter(project.async_modes))
    for gunicorn in _ours(project):
        worker = gunicorn.text("worker_class") or "sync"
        if "?" in worker or "$" in worker:
            continue
        kind = next(
            (name for name in ("eventlet", "gevent") if name in worker.lower()), "threading"
        )
        if not mode.startswith(kind):
            yield _given(gunicorn, "worker_class")


@check(
    "FSP808",
    Severity.BREAKS,
    "a shell between the container and the server",
    why="The shell gets the signal to stop and does not pass it on: after ten seconds the server is "
    "killed, and no disconnect handler runs.",
    fix='Write the command as a list: `CMD ["gunicorn", "wsgi:app"]`.',
    evidence=(
        "https://github.com/docker/compose/issues/4199",
        "https://docs.docker.com/reference/dockerfile/#shell-and-exec-form",
    ),
)
def shell_form(project: Project) -> Iterator[Place]:
    for command in commands(project):
        if (
            command.source.kind is Kind.DOCKERFILE
            and command.is_shell
            and (command.words[0] != "exec")
        ):
            yield Place(command.source, command.line, command.program)


@check(
    "FSP809",
    Severity.UNSAFE,
    "the development server is what is deployed",
    why="Werkzeug's server is made for one developer: it does not limit what clients may do, and "
    "does not leave cleanly.",
    fix="Start gunicorn here.",
    evidence=("https://flask.palletsprojects.com/en/stable/deploying/",),
)
def deployed_development_server(project: Project) -> Iterator[Place]:
    for command in commands(project):
        if not command.serves:
            continue
        words = command.bare
        script = _script(project, command)
        flask_run = command.program == "flask" and "run" in words
        if flask_run or (script is not None and is_development_server(project, script)):
            yield Place(command.source, command.line, command.program)


def _script(project: Project, command: Command) -> Module | None:
    """Return the project's file that a command runs with Python."""
    words = command.bare
    if not words or not is_python(words[0].rpartition("/")[2]):
        return None
    arguments = [word for word in words[1:] if word == "-m" or not word.startswith("-")]
    if arguments[:1] == ["-m"]:
        name = arguments[1] if len(arguments) > 1 else ""
        return project.module_named(f"{name}.__main__") or project.module_named(name)
    name = arguments[0] if arguments else ""
    for module in project.modules:
        if name and (module.source.path == name or name.endswith(f"/{module.source.path}")):
            return module
    ends = [one for one in project.modules if one.source.path.endswith(f"/{name.lstrip('./')}")]
    return ends[0] if name and len(ends) == 1 else None


@check(
    "FSP810",
    Severity.STYLE,
    "a health check that asks for the front page",
    why="It passes while no client can open a session, and renders the page every few seconds.",
    fix="Ask for a route that is made for it, such as `/health/ready`.",
    evidence=("https://docs.docker.com/reference/dockerfile/#healthcheck",),
)
def front_page_check(project: Project) -> Iterator[Place]:
    for source in project.of(Kind.DOCKERFILE, Kind.COMPOSE):
        health = False
        for number, line in enumerate(source.lines, 1):
            health = bool(re.search(r"HEALTHCHECK|healthcheck:", line)) or (
                health and bool(re.match(r"\s+\S", line))
            )
            if health and re.search(r"https?://[\w.${}:-]+/?(?=[\s\"'|,)]|$)", line):
                yield Place(source, number, "healthcheck")


def _directives(source: Source) -> Iterator[tuple[int, str, str]]:
    """Yield the directives of a unit of systemd: line, name, value."""
    for number, line in enumerate(source.lines, 1):
        match = re.match(r"\s*([A-Za-z]+)\s*=\s*(.*?)\s*$", line)
        if match:
            yield number, match[1], match[2]


def _units(project: Project) -> Iterator[tuple[Source, dict[str, tuple[int, str]], Command]]:
    """Yield the units that start this project, with their directives."""
    for command in commands(project):
        if command.source.kind is not Kind.SYSTEMD:
            continue
        if command.program == "gunicorn" or _script(project, command) is not None:
            named = {name: (number, value) for number, name, value in _directives(command.source)}
            yield command.source, named, command


@check(
    "FSP811",
    Severity.UNSAFE,
    "a service that runs as root",
    why="Whoever gets the service to run code owns the machine.",
    fix="Add `User=` with a user of its own, or `DynamicUser=yes`.",
    evidence=("https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#User=",),
)
def root_service(project: Project) -> Iterator[Place]:
    for source, named, command in _units(project):
        dynamic = named.get("DynamicUser", (0, ""))[1].lower() in {"yes", "true", "1"}
        line, user = named.get("User", (command.line, "root"))
        if user in {"root", "0"} and not dynamic:
            yield Place(source, line, "User")


@check(
    "FSP812",
    Severity.BREAKS,
    "systemd kills before gunicorn has left",
    why="The service is killed while its clients are still being disconnected.",
    fix="Make TimeoutStopSec some seconds longer than gunicorn's graceful_timeout.",
    evidence=("https://docs.gunicorn.org/en/stable/settings.html#graceful-timeout",),
)
def impatient_systemd(project: Project) -> Iterator[Place]:
    if project.has_layer:
        return
    patience = max((one.number("graceful_timeout") or 30 for one in gunicorns(project)), default=30)
    for source, named, command in _units(project):
        line, text = named.get("TimeoutStopSec", (0, ""))
        match = re.fullmatch(r"(\d+)s?", text)
        if match and command.program == "gunicorn" and int(match[1]) < patience:
            yield Place(source, line, "TimeoutStopSec")


@check(
    "FSP813",
    Severity.MISLEADING,
    "a control socket where nothing may be written",
    why="Since 25.1 gunicorn makes a socket in the user's home, which this unit forbids: `Control "
    "server error: Permission denied`.",
    fix="Set `control_socket_disable = True` in gunicorn.conf.py.",
    evidence=(
        "https://github.com/benoitc/gunicorn/pull/3551",
        "https://github.com/opengisch/QFieldCloud/issues/1706",
    ),
)
def forbidden_socket(project: Project) -> Iterator[Place]:
    if project.has_layer:
        return
    disabled = any(
        one.text("control_socket_disable") == "true" for one in gunicorns(project)
    ) or any("--no-control-socket" in command.words for command in commands(project))
    for source, named, command in _units(project):
        home = named.get("ProtectHome", (0, ""))
        system = named.get("ProtectSystem", (0, ""))
        protected = (
            home
            if home[1].lower() not in {"", "no", "false", "0"}
            else (system if system[1].lower() == "strict" else (0, ""))
        )
        if protected[0] and command.program == "gunicorn" and not disabled:
            yield Place(source, protected[0], "ProtectHome")


@check(
    "FSP820",
    Severity.BREAKS,
    "a packed app that cannot find its async mode",
    why="The driver of the async mode is imported by name, so PyInstaller does not see it: `Invalid "
    "async_mode specified`.",
    fix='Add "engineio.async_drivers.threading" and "simple_websocket" to hiddenimports, and name '
    "the mode in the code.",
    evidence=(f"{PYTHON_SOCKETIO}35", f"{PYTHON_SOCKETIO}633", f"{FLASK_SOCKETIO}259"),
)
def missing_hidden_import(project: Project) -> Iterator[Place]:
    for source in project.of(Kind.SPEC):
        try:
            module = Module(source)
        except SyntaxError:
            continue
        for call in module.calls:
            if last_name(call.func) != "Analysis":
                continue
            if "async_drivers" in source.text or re.search(
                r"collect_submodules\(\s*['\"]engineio", source.text
            ):
                continue
            option = keyword(call, "hiddenimports")
            yield Place(source, option.lineno if option else call.lineno, "hiddenimports")


@check(
    "FSP821",
    Severity.BREAKS,
    "a packed app without its pages",
    why="PyInstaller packs imported modules only: templates and static files are missing in the "
    "executable.",
    fix='Name their folders in `datas`: `[("templates", "templates"), ("static", "static")]`.',
    evidence=("https://pyinstaller.org/en/stable/spec-files.html#adding-data-files",),
)
def missing_data_files(project: Project) -> Iterator[Place]:
    if not any("templates/" in f"/{page.path}" for page in project.of(Kind.PAGE)):
        return
    for source in project.of(Kind.SPEC):
        try:
            module = Module(source)
        except SyntaxError:
            continue
        for call in module.calls:
            option = keyword(call, "datas")
            if last_name(call.func) == "Analysis" and (
                option is None
                or (isinstance(option.value, ast.List) and constant(option.value) == [])
            ):
                yield Place(source, option.lineno if option else call.lineno, "datas")
