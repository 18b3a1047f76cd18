"""FSP5xx: green threads, native threads, and other processes that emit."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.modules import (
    Function,
    Module,
    assignments,
    import_time_statements,
    last_name,
    walk_here,
)
from production.doctor.project import Project
from production.doctor.registry import EVENTLET, FLASK_SOCKETIO, check

# What of the standard library makes locks and sockets when it is imported, or hands them on.
LATE = frozenset(
    {
        "asyncio",
        "concurrent",
        "http",
        "logging",
        "multiprocessing",
        "queue",
        "select",
        "selectors",
        "socket",
        "socketserver",
        "ssl",
        "threading",
        "urllib",
    }
)
HARMLESS = frozenset({"eventlet", "gevent", *sys.stdlib_module_names}) - LATE

BLOCKING_WHEN_PATCHED = {"os.system", "os.wait3", "os.wait4"}
BLOCKING = {
    *BLOCKING_WHEN_PATCHED,
    "time.sleep",
    "requests.get",
    "requests.post",
    "requests.put",
    "requests.delete",
    "requests.request",
    "urllib.request.urlopen",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
}

POOLS = {"multiprocessing.Pool", "multiprocessing.pool.Pool"}


@check(
    "FSP501",
    Severity.BREAKS,
    "a monkey patch that comes too late",
    why="Locks and sockets that were made before stay as they are: `RLock(s) were not greened`, "
    "`Working outside of request context`, `RecursionError` in ssl.",
    fix="Make it the first statement of the file that is started, before every other import.",
    evidence=(f"{EVENTLET}1075", f"{FLASK_SOCKETIO}1175"),
)
def late_patch(project: Project) -> Iterator[Place]:
    for module, call in project.patches:
        if module.function_of(call) is not None:
            continue  # when it runs is not known
        for statement in import_time_statements(module.tree.body):
            if call in walk_here(statement):
                break
            if _imports_more(statement):
                yield Place(module.source, call.lineno, last_name(call.func))
                break


def _imports_more(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import):
        return any(alias.name.partition(".")[0] not in HARMLESS for alias in statement.names)
    if isinstance(statement, ast.ImportFrom):
        return statement.level > 0 or (statement.module or "").partition(".")[0] not in HARMLESS
    return False


@check(
    "FSP502",
    Severity.BREAKS,
    "a message queue without a monkey patch",
    why="The queue's listener blocks the only thread: the first client gets an error and the whole "
    "server hangs.",
    fix='Patch in the first line of the file that is started, or use async_mode="threading".',
    evidence=(f"{FLASK_SOCKETIO}531", f"{FLASK_SOCKETIO}1396"),
)
def queue_without_patch(project: Project) -> Iterator[Place]:
    if project.is_green and not project.patches and not project.has_layer:
        for option in project.queue_options:
            yield Place(option.module.source, option.line, option.name)


@check(
    "FSP503",
    Severity.BREAKS,
    "a native thread beside green ones",
    why="A native thread cannot wake the loop of the green ones: what it emits arrives late or never.",
    fix="Start it with `socketio.start_background_task`, or patch in the first line.",
    evidence=(f"{FLASK_SOCKETIO}434", f"{FLASK_SOCKETIO}1875"),
)
def native_thread(project: Project) -> Iterator[Place]:
    if not project.is_green or project.patches or project.has_layer:
        return
    for module, call, target in project.tasks:
        if module.dotted(call.func) not in {"threading.Thread", "threading.Timer"}:
            continue
        found = project.resolve(module, target, call) if target is not None else None
        reached = project.reach([found]) if found else {}
        if any(_emits(project, owner, function) for function, (owner, _) in reached.items()):
            yield Place(module.source, call.lineno, last_name(call.func))


def _emits(project: Project, module: Module, function: Function) -> bool:
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr in {"emit", "send"}
        and project.is_server(module, part.func.value)
        for part in ast.walk(function)
    )


@check(
    "FSP504",
    Severity.BREAKS,
    "a call that stops every client",
    why="With green threads, one blocking call in a handler stops the whole process for as long as it "
    "takes. A monkey patch makes most calls cooperative, but never `os.system`.",
    fix="Patch in the first line of the file that is started, or sleep with `socketio.sleep`; start "
    "programs with `subprocess.run`.",
    evidence=(f"{FLASK_SOCKETIO}1572",),
)
def blocking_call(project: Project) -> Iterator[Place]:
    if not project.is_green:
        return
    is_patched = project.patches or project.has_layer
    yield from _served_calls(project, BLOCKING_WHEN_PATCHED if is_patched else BLOCKING)


def _served_calls(project: Project, names: set[str]) -> Iterator[Place]:
    for function, (module, _) in project.served.items():
        for part in ast.walk(function):
            if isinstance(part, ast.Call) and module.dotted(part.func) in names:
                yield Place(module.source, part.lineno, module.dotted(part.func))


@check(
    "FSP505",
    Severity.BREAKS,
    "a Celery task that uses the server's SocketIO object",
    why="In the process of a Celery worker that object has no clients: nobody gets what it emits.",
    fix="Make one without an app there: `SocketIO(message_queue=...)`, or with the layer an `Emitter` "
    "of `production.realtime.emitter`.",
    evidence=(f"{FLASK_SOCKETIO}319", f"{FLASK_SOCKETIO}1249"),
)
def server_in_task(project: Project) -> Iterator[Place]:
    writers = {
        last_name(target)
        for server in project.servers
        if server.writes_only
        for target, value in assignments(server.module.parents.get(server.call, server.call))
        if value is server.call
    }
    for module in project.modules:
        for function in module.functions:
            if not any(_is_celery(module, one) for one in function.decorator_list):
                continue
            own = {
                last_name(target)
                for part in ast.walk(function)
                for target, value in assignments(part)
                if isinstance(value, ast.Call) and last_name(value.func) == "SocketIO"
            }
            for part in ast.walk(function):
                if (
                    isinstance(part, ast.Call)
                    and isinstance(part.func, ast.Attribute)
                    and part.func.attr in {"emit", "send"}
                    and project.is_server(module, part.func.value)
                    and last_name(part.func.value) not in own | writers
                ):
                    yield Place(module.source, part.lineno, last_name(part.func))


def _is_celery(module: Module, decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    dotted = module.dotted(target)
    return (
        dotted in {"celery.shared_task", "celery.task"}
        or (
            last_name(target) == "task"
            and any(origin.startswith("celery") for origin in module.imports.values())
        )
        or dotted.endswith("celery.task")
    )


@check(
    "FSP506",
    Severity.BREAKS,
    "is_alive() of a background task",
    why="What `start_background_task` returns is a thread in one mode only; green threads have no "
    "`is_alive`.",
    fix="Keep a flag that the task clears when it ends.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/api.html",),
)
def task_is_alive(project: Project) -> Iterator[Place]:
    for module in project.modules:
        names = {
            last_name(target)
            for node in module.nodes
            for target, value in assignments(node)
            if isinstance(value, ast.Call) and last_name(value.func) == "start_background_task"
        } - {""}
        for call in module.calls:
            if (
                isinstance(call.func, ast.Attribute)
                and call.func.attr == "is_alive"
                and last_name(call.func.value) in names
            ):
                yield Place(module.source, call.lineno, "is_alive")


@check(
    "FSP507",
    Severity.BREAKS,
    "a multiprocessing.Pool under green threads",
    why="Its threads and its processes wait for each other in what the monkey patch has replaced: with "
    "eventlet it never returns, with gevent the worker is killed after its time-out.",
    fix="Take a `concurrent.futures.ProcessPoolExecutor` with "
    '`mp_context=multiprocessing.get_context("spawn")`.',
    evidence=("https://github.com/benoitc/gunicorn/issues/2388",),
)
def pool_of_processes(project: Project) -> Iterator[Place]:
    if project.is_green:
        yield from _served_calls(project, POOLS)
