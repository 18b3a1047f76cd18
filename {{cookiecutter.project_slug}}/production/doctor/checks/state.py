"""FSP3xx: what a process keeps to itself, and what runs once in each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from production.doctor.model import Place, Severity
from production.doctor.modules import (
    MISSING,
    Function,
    Module,
    assignments,
    constant,
    first_name,
    import_time_statements,
    keyword,
    last_name,
)
from production.doctor.project import Project
from production.doctor.registry import FLASK_SOCKETIO, PYTHON_SOCKETIO, check

SCALING = "https://flask-socketio.readthedocs.io/en/latest/deployment.html#using-multiple-workers"
FLASK_CONFIG = "https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY"

CONTAINERS = frozenset(
    {
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "defaultdict",
        "deque",
        "dict",
        "list",
        "set",
        "bytearray",
        "itertools.count",
    }
)

CHANGING_METHODS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "extendleft",
        "insert",
        "move_to_end",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "rotate",
        "setdefault",
        "sort",
        "subtract",
        "update",
    }
)

RANDOM_SOURCES = (
    "os.urandom",
    "secrets.",
    "uuid.uuid",
    "random.",
)

SPAWNING = (
    "subprocess.Popen",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "os.system",
    "os.popen",
    "os.fork",
    "os.spawnl",
    "os.spawnlp",
    "os.spawnv",
)

IN_PROCESS = frozenset({"FSP301", "FSP302", "FSP303", "FSP308", "FSP309"})
"""The codes that mean: a second process would have a state, a loop or a resource of its own."""


@dataclass
class Kept:
    """Something that a process keeps, and where it is changed.

    :param module: where it is made.
    :param line: where it is made.
    :param name: what it is called.
    :param changes: the files and lines where handlers change it.
    """

    module: Module
    line: int
    name: str
    changes: list[str] = field(default_factory=list)

    def place(self) -> Place:
        """Return where it is made, with where it is changed."""
        shown = ", ".join(self.changes[:3]) + (", …" if len(self.changes) > 3 else "")
        return Place(
            self.module.source, self.line, self.name, f"`{self.name}` (changed at {shown})"
        )


def is_container(module: Module, node: ast.expr) -> bool:
    """Tell whether an expression makes something that can be changed in place."""
    if isinstance(node, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and module.dotted(node.func) in CONTAINERS


def _containers(module: Module) -> dict[str, Kept]:
    """Return the containers that a module makes when it is imported."""
    found: dict[str, Kept] = {}
    for statement in import_time_statements(module.tree.body):
        if module.class_of(statement) is not None:
            continue
        for target, value in assignments(statement):
            if isinstance(target, ast.Name) and is_container(module, value):
                found.setdefault(target.id, Kept(module, target.lineno, target.id))
    return found


def _locals(function: Function) -> set[str]:
    """Return the names that a function makes its own."""
    arguments = function.args
    names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    shared: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names - shared


def changed_expressions(function: Function) -> Iterator[tuple[ast.expr, int]]:
    """Yield what a function changes in place: the expression without its last step, and the line."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets):
                changed = [one for one in targets if isinstance(one, ast.Subscript)]
            case ast.AugAssign(target=ast.Subscript() as target):
                changed = [target]
            case ast.Delete(targets=targets):
                changed = [one for one in targets if isinstance(one, ast.Subscript)]
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in CHANGING_METHODS:
                yield value, node.lineno
                continue
            case ast.Call(func=ast.Name(id="next"), args=[value, *_]):
                yield value, node.lineno
                continue
            case _:
                continue
        for one in changed:
            yield one.value, node.lineno


def _kept_containers(project: Project) -> list[Kept]:
    containers = {module: _containers(module) for module in project.modules}
    for function, (module, _) in project.served.items():
        own = _locals(function)
        for expression, line in changed_expressions(function):
            name = first_name(expression)
            if not name or name in own:
                continue
            kept = _find(project, containers, module, name, expression)
            if kept:
                kept.changes.append(f"{module.source.path}:{line}")
    return [kept for found in containers.values() for kept in found.values() if kept.changes]


def _find(
    project: Project,
    containers: dict[Module, dict[str, Kept]],
    module: Module,
    name: str,
    expression: ast.expr,
) -> Kept | None:
    """Find the container that a name, or ``module.name``, stands for."""
    owner, imported = project.definition(module, name)
    for made, known in ((module, name), (owner, imported)):
        if known in containers[made]:
            return containers[made][known]
    # module.name[...] = ...
    while isinstance(expression, ast.Subscript | ast.Attribute | ast.Call):
        if isinstance(expression, ast.Attribute):
            imported_from = project.imported_module(module, expression.value)
            if imported_from is not None and expression.attr in containers[imported_from]:
                return containers[imported_from][expression.attr]
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return None


@check(
    "FSP301",
    Severity.BREAKS,
    "a module's container is changed while the service runs",
    why="Each process has a container of its own, so a second worker does not see what the first "
    "one has put into it, and a restart empties it.",
    fix="Keep it in Redis or a database, use rooms for who belongs together, or stay with one worker.",
    evidence=(SCALING,),
)
def module_state(project: Project) -> Iterator[Place]:
    for kept in _kept_containers(project):
        yield kept.place()
    for function, (module, _) in project.served.items():
        for node in ast.walk(function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                if isinstance(target, ast.Subscript) and _is_app_config(module, target.value):
                    name = ast.unparse(target)
                    yield Place(module.source, target.lineno, name, f"`{name}` is changed here")


def _is_app_config(module: Module, node: ast.expr) -> bool:
    """Tell whether an expression is the configuration of the app, as a handler sees it."""
    return module.dotted(node) in {"app.config", "flask.current_app.config"} or (
        last_name(node) == "config"
        and isinstance(node, ast.Attribute)
        and module.dotted(node.value).endswith(".app")
    )


def _starts_task(module: Module, value: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Call)
        and (
            last_name(part.func) in {"start_background_task", "Thread", "Timer", "spawn"}
            or module.dotted(part.func) == "multiprocessing.Process"
        )
        for part in ast.walk(value)
    )


def _globals_changed(
    project: Project,
) -> Iterator[tuple[Module, Function, str, ast.expr, int]]:
    """Yield the module-level names that served functions give a new value."""
    for function, (module, _) in project.served.items():
        declared = {
            name
            for node in ast.walk(function)
            if isinstance(node, ast.Global)
            for name in node.names
        }
        if not declared:
            continue
        for node in ast.walk(function):
            pairs = list(assignments(node))
            if isinstance(node, ast.AugAssign):
                pairs.append((node.target, node.value))
            for target, value in pairs:
                if isinstance(target, ast.Name) and target.id in declared:
                    yield module, function, target.id, value, target.lineno


@check(
    "FSP302",
    Severity.BREAKS,
    "a global variable is changed while the service runs",
    why="Each process has a variable of its own, so a second worker counts and remembers apart "
    "from the first.",
    fix="Keep the value in Redis or a database, or stay with one worker.",
    evidence=(SCALING,),
)
def global_state(project: Project) -> Iterator[Place]:
    found: dict[tuple[str, str], Kept] = {}
    for module, _, name, value, line in _globals_changed(project):
        if _starts_task(module, value):
            continue
        made = _line_of_global(module, name, line)
        kept = found.setdefault((module.source.path, name), Kept(module, made, name))
        kept.changes.append(f"{module.source.path}:{line}")
    tasks = {
        (module.source.path, name)
        for module, _, name, value, _ in _globals_changed(project)
        if _starts_task(module, value)
    }
    for key, kept in found.items():
        if key not in tasks:
            yield kept.place()


def _line_of_global(module: Module, name: str, fallback: int) -> int:
    for statement in module.tree.body:
        for target, _ in assignments(statement):
            if isinstance(target, ast.Name) and target.id == name:
                return target.lineno
    return fallback


@check(
    "FSP303",
    Severity.BREAKS,
    "an object of the process collects state",
    why="The object is made once in each process, so a second worker does not see what the first "
    "one has collected.",
    fix="Keep the data in Redis or a database, or stay with one worker.",
    evidence=(SCALING,),
)
def singleton_state(project: Project) -> Iterator[Place]:
    for module, one in _singletons(project):
        kept = {name: Kept(module, line, name) for name, line in _attributes(module, one).items()}
        for statement in one.body:
            if not isinstance(statement, Function) or statement.name == "__init__":
                continue
            if statement not in project.served:
                continue
            for name, line in _changed_attributes(statement, one.name):
                if name in kept:
                    kept[name].changes.append(f"{module.source.path}:{line}")
        yield from (one.place() for one in kept.values() if one.changes)


def _singletons(project: Project) -> Iterator[tuple[Module, ast.ClassDef]]:
    """Yield the classes of which a module makes an instance, and namespaces."""
    seen: set[ast.ClassDef] = set()
    for module, node in project.import_time:
        if not isinstance(node, ast.Call):
            continue
        found = project.class_named(module, node.func)
        if found and found[1] not in seen:
            seen.add(found[1])
            yield found
    for handler in project.handlers:
        owner = handler.module.class_of(handler.function)
        if owner is not None and owner not in seen:
            seen.add(owner)
            yield handler.module, owner


def _attributes(module: Module, one: ast.ClassDef) -> dict[str, int]:
    """Return the containers and counters that a class or its ``__init__`` makes, with their lines."""
    found: dict[str, int] = {}
    for statement in one.body:
        for target, value in assignments(statement):
            if isinstance(target, ast.Name) and _can_change(module, value):
                found.setdefault(target.id, target.lineno)
        if isinstance(statement, Function) and statement.name == "__init__":
            for node in ast.walk(statement):
                for target, value in assignments(node):
                    if (
                        isinstance(target, ast.Attribute)
                        and first_name(target) == "self"
                        and isinstance(target.value, ast.Name)
                        and _can_change(module, value)
                    ):
                        found.setdefault(target.attr, target.lineno)
    return found


def _can_change(module: Module, value: ast.expr) -> bool:
    return is_container(module, value) or isinstance(constant(value), int | float)


def _changed_attributes(method: Function, class_name: str) -> Iterator[tuple[str, int]]:
    """Yield the attributes of ``self`` that a method changes in place, or counts up."""
    for expression, line in changed_expressions(method):
        name = _attribute_of_self(expression, class_name)
        if name:
            yield name, line
    for node in ast.walk(method):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            name = _attribute_of_self(node.target, class_name)
            if name:
                yield name, node.lineno


def _attribute_of_self(node: ast.expr, class_name: str) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in {"self", "cls", class_name}
        ):
            return node.attr
        node = node.func if isinstance(node, ast.Call) else node.value
    return ""


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
    for module, _, name, value, line in _globals_changed(project):
        if _starts_task(module, value) and (module.source.path, name) not in seen:
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
        dotted = module.dotted(node.func)
        if dotted.startswith(SPAWNING) or dotted in {
            "multiprocessing.Process",
            "multiprocessing.Pool",
        }:
            yield Place(module.source, node.lineno, dotted)
