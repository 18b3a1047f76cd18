"""FSP301 to FSP303: what a process keeps to itself while it serves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from production.doctor.model import Place, Severity
from production.doctor.modules import (
    Function,
    Module,
    assignments,
    constant,
    first_name,
    import_time_statements,
    last_name,
)
from production.doctor.project import Project
from production.doctor.registry import check

SCALING = "https://flask-socketio.readthedocs.io/en/latest/deployment.html#using-multiple-workers"

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

IN_PROCESS = frozenset({"FSP301", "FSP302", "FSP303", "FSP308", "FSP309", "FSP310", "FSP311"})
"""The codes that mean: a second process would have a state, a loop or a resource of its own, or take
from the first what they share. Threads that start at import are none: the layer runs those once."""


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


def starts_task(module: Module, value: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Call)
        and (
            last_name(part.func) in {"start_background_task", "Thread", "Timer", "spawn"}
            or module.dotted(part.func) == "multiprocessing.Process"
        )
        for part in ast.walk(value)
    )


def globals_changed(
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
    for module, _, name, value, line in globals_changed(project):
        if starts_task(module, value):
            continue
        made = _line_of_global(module, name, line)
        kept = found.setdefault((module.source.path, name), Kept(module, made, name))
        kept.changes.append(f"{module.source.path}:{line}")
    tasks = {
        (module.source.path, name)
        for module, _, name, value, _ in globals_changed(project)
        if starts_task(module, value)
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
