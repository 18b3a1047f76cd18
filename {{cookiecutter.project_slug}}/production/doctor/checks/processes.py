"""FSP304 to FSP311: what each process draws, starts or holds for itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from production.doctor.checks.state import SCALING, globals_changed, starts_task
from production.doctor.model import Place, Severity
from production.doctor.modules import (
    MISSING,
    Module,
    assignments,
    constant,
    keyword,
    last_name,
)
from production.doctor.project import Project
from production.doctor.registry import FLASK_SOCKETIO, PYTHON_SOCKETIO, check

FLASK_CONFIG = "https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY"

RANDOM_SOURCES = (
    "os.urandom",
    "secrets.",
    "uuid.uuid",
    "random.",
)

SPAWNING = frozenset(
    {
        "multiprocessing.Pool",
        "multiprocessing.Process",
        "os.fork",
        "os.popen",
        "os.spawnl",
        "os.spawnlp",
        "os.spawnv",
        "subprocess.Popen",
    }
)
"""What starts a process and goes on; ``subprocess.run`` and the like wait until it has ended."""

WAITING = frozenset({"communicate", "read", "wait"})
"""Methods that wait for the process that they are called on."""


def _secret_keys(project: Project) -> Iterator[tuple[Module, ast.expr, int]]:
    """Yield the values that ``SECRET_KEY`` is given, wherever that is done."""
    for module in project.modules:
        for node in module.nodes:
            for target, value in assignments(node):
                in_class = isinstance(module.parents.get(node), ast.ClassDef)
                named = last_name(target) in {"SECRET_KEY", "secret_key"} and (
                    isinstance(target, ast.Attribute)
                    or last_name(target) == "SECRET_KEY"
                    or in_class
                )
                keyed = (
                    isinstance(target, ast.Subscript)
                    and last_name(target.value) == "config"
                    and constant(target.slice) == "SECRET_KEY"
                )
                if named or keyed:
                    yield module, value, node.lineno if isinstance(node, ast.stmt) else 1
            if isinstance(node, ast.Call) and last_name(node.func) in {
                "update",
                "from_mapping",
                "setdefault",
            }:
                if "config" not in ast.dump(node.func):
                    continue
                option = keyword(node, "SECRET_KEY")
                if option:
                    yield module, option.value, option.lineno
                for argument in node.args:
                    if isinstance(argument, ast.Dict):
                        for key, value in zip(argument.keys, argument.values, strict=True):
                            if key is not None and constant(key) == "SECRET_KEY":
                                yield module, value, key.lineno


@check(
    "FSP304",
    Severity.BREAKS,
    "a SECRET_KEY that each process draws for itself",
    why="Cookies that one worker has signed are refused by the others and after every restart.",
    fix="Read SECRET_KEY from the environment, and refuse to start without it.",
    evidence=(FLASK_CONFIG,),
)
def random_secret(project: Project) -> Iterator[Place]:
    for module, value, line in _secret_keys(project):
        if _is_random(module, value):
            yield Place(module.source, line, "SECRET_KEY")


def _is_random(module: Module, value: ast.expr) -> bool:
    if isinstance(value, ast.Name):
        value = module.top_level.get(value.id, value)
    return any(
        isinstance(part, ast.Call) and module.dotted(part.func).startswith(RANDOM_SOURCES)
        for part in ast.walk(value)
    )


@check(
    "FSP305",
    Severity.UNSAFE,
    "a SECRET_KEY in the code",
    why="Whoever reads the code can sign a session as any user.",
    fix="Read SECRET_KEY from the environment without a default, and change it, since it is known.",
    evidence=(FLASK_CONFIG,),
)
def literal_secret(project: Project) -> Iterator[Place]:
    for module, value, line in _secret_keys(project):
        if isinstance(value, ast.Name):
            value = module.top_level.get(value.id, value)
        literal = constant(value)
        fallback = _fallback(module, value)
        if (isinstance(literal, str | bytes) and literal) or fallback:
            yield Place(module.source, line, "SECRET_KEY", secret=True)


def _fallback(module: Module, value: ast.expr) -> bool:
    """Tell whether a variable is read with a literal to use without it."""
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        last = constant(value.values[-1])
        return isinstance(last, str | bytes) and bool(last)
    if not isinstance(value, ast.Call):
        return False
    if module.dotted(value.func) not in {"os.getenv", "os.environ.get", "os.environ.setdefault"}:
        return last_name(value.func) in {"get", "getenv", "config"} and _has_text(module, value)
    return _has_text(module, value)


def _has_text(module: Module, call: ast.Call) -> bool:
    option = keyword(call, "default")
    default = option.value if option else (call.args[1] if len(call.args) > 1 else None)
    value = module.value(default) if default is not None else MISSING
    return isinstance(value, str | bytes) and bool(value)


@check(
    "FSP306",
    Severity.BREAKS,
    "sessions in the file system",
    why="Sessions that lie in a directory exist on one host only, and are gone with its container.",
    fix='Set SESSION_TYPE to "redis".',
    evidence=("https://flask-session.readthedocs.io/en/latest/config.html",),
)
def file_sessions(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for node in module.nodes:
            for target, value in assignments(node):
                keyed = (
                    isinstance(target, ast.Subscript) and constant(target.slice) == "SESSION_TYPE"
                )
                if (keyed or last_name(target) == "SESSION_TYPE") and _is_file_system(
                    module, value
                ):
                    yield Place(module.source, target.lineno, "SESSION_TYPE")
            if isinstance(node, ast.Call):
                option = keyword(node, "SESSION_TYPE")
                if option and _is_file_system(module, option.value):
                    yield Place(module.source, option.lineno, "SESSION_TYPE")
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if (
                        key is not None
                        and constant(key) == "SESSION_TYPE"
                        and _is_file_system(module, value)
                    ):
                        yield Place(module.source, key.lineno, "SESSION_TYPE")


def _is_file_system(module: Module, value: ast.expr) -> bool:
    return (
        module.value(value) in {"filesystem", "cachelib"}
        if isinstance(module.value(value), str)
        else False
    )


@check(
    "FSP307",
    Severity.BREAKS,
    "background work that starts when the app is imported",
    why="It runs once in every process: each message goes out as often as there are workers, and "
    "under --preload it dies at the fork.",
    fix="Let it run once for the whole service: a process of its own, or behind a lock in Redis.",
    evidence=(f"{PYTHON_SOCKETIO}1263", f"{FLASK_SOCKETIO}567"),
)
def task_at_import(project: Project) -> Iterator[Place]:
    at_import = {node for _, node in project.import_time}
    for module, call, _ in project.tasks:
        if call in at_import and _is_started(module, call):
            yield Place(module.source, call.lineno, "task")
    for module, node in project.import_time:
        if (
            isinstance(node, ast.Call)
            and last_name(node.func) == "start"
            and isinstance(node.func, ast.Attribute)
            and _is_scheduler(module, node.func.value)
        ):
            yield Place(module.source, node.lineno, "scheduler")


def _is_started(module: Module, call: ast.Call) -> bool:
    """Tell whether a thread that is made is also started; background tasks always are."""
    if module.dotted(call.func) not in {"threading.Thread", "threading.Timer"}:
        return module.dotted(call.func) != "multiprocessing.Process"
    parent = module.parents.get(call)
    if isinstance(parent, ast.Attribute) and parent.attr == "start":
        return True
    names = (
        {last_name(target) for target, value in assignments(parent) if value is call}
        if parent
        else set()
    )
    return any(
        isinstance(other.func, ast.Attribute)
        and other.func.attr == "start"
        and last_name(other.func.value) in names
        for other in module.calls
    )


def _is_scheduler(module: Module, node: ast.expr) -> bool:
    made = module.top_level.get(node.id) if isinstance(node, ast.Name) else node
    return isinstance(made, ast.Call) and last_name(made.func).endswith("Scheduler")


@check(
    "FSP308",
    Severity.BREAKS,
    "background work that the first client starts",
    why="It runs once in every process that has a client: with a queue, each message goes out as "
    "often as there are workers.",
    fix="Let it run once for the whole service: a process of its own, or behind a lock in Redis.",
    evidence=(SCALING,),
)
def task_on_first_connect(project: Project) -> Iterator[Place]:
    seen: set[tuple[str, str]] = set()
    for module, _, name, value, line in globals_changed(project):
        if starts_task(module, value) and (module.source.path, name) not in seen:
            seen.add((module.source.path, name))
            yield Place(module.source, line, name)


@check(
    "FSP309",
    Severity.BREAKS,
    "something that only one process can hold",
    why="The second process fails to get it: a port, a lock on a file, a serial device.",
    fix="Move it into a process of its own that emits through the message queue, or stay with one "
    "worker.",
)
def exclusive_resource(project: Project) -> Iterator[Place]:
    reached = set(project.served)
    at_import = {node for _, node in project.import_time}
    for module in project.modules:
        for call in module.calls:
            function = module.function_of(call)
            if call not in at_import and function not in reached:
                continue
            detail = _exclusive(module, call)
            if detail:
                yield Place(module.source, call.lineno, detail, detail)


def _exclusive(module: Module, call: ast.Call) -> str:
    dotted = module.dotted(call.func)
    if last_name(call.func) == "bind" and call.args and isinstance(call.args[0], ast.Tuple):
        elements = call.args[0].elts
        port = module.value(elements[1]) if len(elements) > 1 else 0
        return f"port {port}" if isinstance(port, int) and port else ""
    if dotted in {
        "http.server.HTTPServer",
        "http.server.ThreadingHTTPServer",
        "socketserver.TCPServer",
        "socketserver.ThreadingTCPServer",
        "socketserver.UDPServer",
        "socketserver.ThreadingUDPServer",
    }:
        return "a listening port"
    if dotted in {"fcntl.flock", "fcntl.lockf", "msvcrt.locking"}:
        shared = any(last_name(one) in {"LOCK_SH", "LOCK_UN"} for one in call.args)
        return "" if shared else "a lock on a file"
    return "a serial device" if dotted == "serial.Serial" else ""


@check(
    "FSP310",
    Severity.BREAKS,
    "a Redis that is emptied when the app is imported",
    why="Every start of every worker deletes what Redis holds, the message queue and the data of "
    "other services in it included.",
    fix="Delete the call; remove your own keys by name where they are no longer needed.",
    evidence=("https://redis.io/docs/latest/commands/flushall/",),
)
def flush_at_import(project: Project) -> Iterator[Place]:
    for module, node in project.import_time:
        if isinstance(node, ast.Call) and last_name(node.func) in {"flushall", "flushdb"}:
            yield Place(module.source, node.lineno, last_name(node.func))


@check(
    "FSP311",
    Severity.BREAKS,
    "a process that is started when the app is imported",
    why="Every worker starts another one, and none of them is stopped with its worker.",
    fix="Start it on its own: a service of systemd or compose, or another line in the Procfile.",
)
def process_at_import(project: Project) -> Iterator[Place]:
    for module, node in project.import_time:
        if not isinstance(node, ast.Call):
            continue
        if _is_left_running(module, node):
            yield Place(module.source, node.lineno, module.dotted(node.func))


def _is_left_running(module: Module, call: ast.Call) -> bool:
    """Tell whether a call starts a process that runs on when the next line does."""
    name = module.dotted(call.func)
    if name == "os.system":
        command = constant(call.args[0]) if call.args else MISSING
        return isinstance(command, str) and command.rstrip().endswith("&")
    parent = module.parents.get(call)
    is_awaited = isinstance(parent, ast.withitem) or (
        isinstance(parent, ast.Attribute) and parent.attr in WAITING
    )
    return name in SPAWNING and not is_awaited
