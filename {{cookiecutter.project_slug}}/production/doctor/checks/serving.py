"""FSP2xx: how Python code starts a server."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.modules import Module, assignments, keyword, last_name
from production.doctor.project import GREEN_MODES, Project
from production.doctor.registry import FLASK_SOCKETIO, check

WERKZEUG = "https://werkzeug.palletsprojects.com/en/stable/serving/"
DEBUGGER = "https://werkzeug.palletsprojects.com/en/stable/debug/#debugger-pin"

SERVERS = {
    "eventlet.wsgi.server": "eventlet.wsgi.server",
    "waitress.serve": "waitress",
    "bjoern.run": "bjoern",
    "hypercorn.run.run": "hypercorn",
    "uvicorn.run": "uvicorn",
    "werkzeug.serving.run_simple": "run_simple",
}
WITHOUT_WEBSOCKETS = ("waitress.serve", "bjoern.run", "uvicorn.run", "hypercorn.run.run")

APP_NAMES = frozenset({"app", "application", "flask_app", "server_app"})


def flask_apps(module: Module) -> frozenset[str]:
    """Return the names that hold a Flask app in a module, as far as names tell."""
    names = {
        last_name(target)
        for node in module.nodes
        for target, value in assignments(node)
        if isinstance(value, ast.Call)
        and (module.dotted(value.func) == "flask.Flask" or last_name(value.func) == "create_app")
    }
    names |= {
        name
        for name, origin in module.imports.items()
        if name in APP_NAMES and "." in origin and not origin.startswith(("celery", "fastapi"))
    }
    return frozenset(names)


def runs(project: Project) -> Iterator[tuple[Module, ast.Call]]:
    """Yield the calls that serve until the process ends: ``socketio.run`` and ``app.run``."""
    yield from project.server_calls("run")
    yield from app_runs(project)


def app_runs(project: Project) -> Iterator[tuple[Module, ast.Call]]:
    """Yield the calls of ``app.run``."""
    for module in project.modules:
        apps = flask_apps(module)
        for call in module.calls:
            if (
                isinstance(call.func, ast.Attribute)
                and call.func.attr == "run"
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id in apps
            ):
                yield module, call


@check(
    "FSP201",
    Severity.UNSAFE,
    "the guard against the development server is switched off",
    why="The option changes nothing but the check that keeps the Werkzeug development server out "
    "of production.",
    fix="Serve with gunicorn through wsgi.py, and delete the option.",
    evidence=(WERKZEUG, "https://github.com/projecthorus/radiosonde_auto_rx/issues/654"),
)
def unsafe_werkzeug(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for call in module.calls:
            option = keyword(call, "allow_unsafe_werkzeug")
            if option and module.value(option.value) is True:
                yield Place(module.source, option.lineno, "allow_unsafe_werkzeug")


@check(
    "FSP202",
    Severity.BREAKS,
    "a server that starts when the module is imported",
    why="Whoever imports the module, gunicorn too, starts a second server and hangs in it.",
    fix='Move the call under `if __name__ == "__main__":`.',
    evidence=(f"{FLASK_SOCKETIO}1268",),
)
def runs_at_import(project: Project) -> Iterator[Place]:
    serving = {call for _, call in runs(project)}
    for module, node in project.import_time:
        if isinstance(node, ast.Call) and (node in serving or _serves(module, node)):
            yield Place(module.source, node.lineno, "run")


def _serves(module: Module, call: ast.Call) -> bool:
    return module.dotted(call.func) in SERVERS or last_name(call.func) == "serve_forever"


@check(
    "FSP203",
    Severity.MISLEADING,
    "app.run() in a Socket.IO project",
    why="`app.run()` always starts Flask's development server, whatever the async mode needs.",
    fix="Call `socketio.run(app)` in development and serve with gunicorn in production.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/getting_started.html",),
)
def app_run(project: Project) -> Iterator[Place]:
    for module, call in app_runs(project):
        yield Place(module.source, call.lineno, "run")


@check(
    "FSP204",
    Severity.UNSAFE,
    "the debugger is on",
    why="The debugger lets whoever reaches the page of an error run code on the server.",
    fix="Delete `debug=True`; ask for it on the command line with `flask run --debug`.",
    evidence=(DEBUGGER,),
)
def debugger(project: Project) -> Iterator[Place]:
    for module, call in runs(project):
        option = keyword(call, "debug")
        if option and module.value(option.value) is True:
            yield Place(module.source, option.lineno, "debug")
    for module in project.modules:
        apps = flask_apps(module)
        for node in module.nodes:
            for target, value in assignments(node):
                if (
                    isinstance(target, ast.Attribute)
                    and target.attr == "debug"
                    and last_name(target.value) in apps
                    and module.value(value) is True
                ):
                    yield Place(module.source, target.lineno, "debug")


@check(
    "FSP205",
    Severity.UNSAFE,
    "the debugger is on unless somebody switches it off",
    why="Where the setting is forgotten, which is where nobody looks, the debugger lets whoever "
    "reaches an error page run code.",
    fix="Make the default false.",
    evidence=(DEBUGGER,),
)
def debugger_by_default(project: Project) -> Iterator[Place]:
    wanted: set[str] = set()
    for module, call in runs(project):
        option = keyword(call, "debug")
        if option:
            wanted.add(last_name(option.value))
            if _on_by_default(module, option.value) and module.value(option.value) is not True:
                yield Place(module.source, option.lineno, "debug")
    wanted.discard("")
    for module in project.modules:
        for node in module.nodes:
            for target, value in assignments(node):
                name = last_name(target)
                if isinstance(target, ast.Name) and module.function_of(target):
                    continue
                if name in wanted and (
                    module.value(value) is True or _on_by_default(module, value)
                ):
                    if isinstance(value, ast.Constant) and _passed_directly(project, module, name):
                        continue  # reported where it is passed
                    yield Place(module.source, target.lineno, name)


def _passed_directly(project: Project, module: Module, name: str) -> bool:
    """Tell whether a module's own constant is what its ``run`` is given."""
    return any(
        owner is module
        and (option := keyword(call, "debug")) is not None
        and isinstance(option.value, ast.Name)
        and option.value.id == name
        and module.value(option.value) is True
        for owner, call in runs(project)
    )


def _on_by_default(module: Module, node: ast.expr) -> bool:
    """Tell whether an expression reads a variable whose default is true."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and (
            module.dotted(part.func) in {"os.getenv", "os.environ.get"}
            or last_name(part.func) in {"getenv", "get", "getboolean", "bool", "config"}
        ):
            default = part.args[1] if len(part.args) > 1 else None
            given = keyword(part, "default") or keyword(part, "fallback")
            value = module.value(given.value if given else default)
            if value is True or (isinstance(value, str) and value.lower() in {"true", "1", "yes"}):
                return True
    return False


@check(
    "FSP206",
    Severity.MISLEADING,
    "the reloader",
    why="The reloader imports the app in two processes, and everything that starts at import "
    "starts twice.",
    fix="Delete `use_reloader=True`.",
    evidence=(f"{FLASK_SOCKETIO}617", f"{FLASK_SOCKETIO}567"),
)
def reloader(project: Project) -> Iterator[Place]:
    for module, call in runs(project):
        option = keyword(call, "use_reloader")
        if option and module.value(option.value) is True:
            yield Place(module.source, option.lineno, "use_reloader")


@check(
    "FSP207",
    Severity.BREAKS,
    "a server that has no WebSockets for WSGI apps",
    why="The library that speaks WebSocket needs the connection's socket, which this server does "
    "not hand out: `Cannot obtain socket from WSGI environment`.",
    fix="Serve with gunicorn.",
    evidence=("https://github.com/miguelgrinberg/simple-websocket",),
)
def server_without_websockets(project: Project) -> Iterator[Place]:
    from production.doctor.commands import commands

    for module in project.modules:
        for call in module.calls:
            if module.dotted(call.func) in WITHOUT_WEBSOCKETS:
                yield Place(module.source, call.lineno, SERVERS[module.dotted(call.func)])
    for command in commands(project):
        server = command.program
        if server in {"waitress-serve", "granian", "hypercorn", "uvicorn", "cheroot"}:
            yield Place(command.source, command.line, server)


def is_development_server(project: Project, module: Module) -> bool:
    """Tell whether running a module as a script serves with Werkzeug.

    ``socketio.run`` serves with eventlet or gevent where the mode, named or by what is installed,
    is one of them.
    """
    from production.doctor.requirements import required

    green = project.async_modes.intersection(GREEN_MODES) or (
        not project.async_modes and (required(project, "eventlet") or required(project, "gevent"))
    )
    return any(owner is module for owner, _ in app_runs(project)) or (
        not green and any(owner is module for owner, _ in project.server_calls("run"))
    )
