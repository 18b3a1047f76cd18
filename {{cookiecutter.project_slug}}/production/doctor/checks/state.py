"""FSP301 and FSP302: what a module keeps to itself while the service runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from production.doctor.model import Place, Severity
from production.doctor.modules import (
    Function,
    Module,
    assignments,
    first_name,
    import_time_statements,
    keyword,
    last_name,
    walk_body,
)
from production.doctor.project import Project
from production.doctor.registry import check

SCALING = "https://flask-socketio.readthedocs.io/en/latest/deployment.html#using-multiple-workers"

CURRENT_APP = "flask.current_app"

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
    :param is_container: whether it can be changed in place.
    :param changes: the files and lines where handlers change it.
    """

    module: Module
    line: int
    name: str
    is_container: bool = True
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
    if not isinstance(node, ast.Call):
        return False
    made = keyword(node, "default_factory") if last_name(node.func) == "field" else None
    return module.dotted(made.value if made else node.func) in CONTAINERS


def _containers(module: Module) -> dict[str, Kept]:
    """Return the containers that a module makes when it is imported, such as ``users`` or ``app.users``."""
    found: dict[str, Kept] = {}
    for statement in import_time_statements(module.tree.body):
        if module.class_of(statement) is not None:
            continue
        for target, value in assignments(statement):
            name = ast.unparse(target)
            if isinstance(target, ast.Name | ast.Attribute) and is_container(module, value):
                found.setdefault(name, Kept(module, target.lineno, name))
    return found


def _enclosed(project: Project, module: Module, function: Function) -> dict[str, Kept]:
    """Return the containers of the functions around one: a factory makes them once in each process."""
    found: dict[str, Kept] = {}
    for outer in module.ancestors(function):
        if not isinstance(outer, Function) or outer in project.served:
            continue
        for node in walk_body(outer):
            for target, value in assignments(node):
                if isinstance(target, ast.Name) and is_container(module, value):
                    found.setdefault(target.id, Kept(module, target.lineno, target.id))
    return found


def own_names(function: Function) -> set[str]:
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
    changed: dict[tuple[str, int, str], Kept] = {}
    for function, (module, _) in project.served.items():
        own = own_names(function)
        enclosed = _enclosed(project, module, function)
        for expression, line in changed_expressions(function):
            name = first_name(expression)
            if not name or name in own:
                continue
            found = enclosed.get(name) or _find(project, containers, module, name, expression)
            if found:
                key = (found.module.source.path, found.line, found.name)
                kept = changed.setdefault(key, found)
                kept.changes.append(f"{module.source.path}:{line}")
    return [changed[key] for key in sorted(changed)]


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
    for attribute in attributes_of(expression):
        # module.name[...] = ...
        imported_from = project.imported_module(module, attribute.value)
        if imported_from is not None and attribute.attr in containers[imported_from]:
            return containers[imported_from][attribute.attr]
        # app.name[...] = ...
        if isinstance(attribute.value, ast.Name):
            kept = containers[owner].get(f"{imported}.{attribute.attr}")
            if kept or module.dotted(attribute.value) != CURRENT_APP:
                return kept
            return _of_any_app(containers, attribute.attr)
    return None


def _of_any_app(containers: dict[Module, dict[str, Kept]], attribute: str) -> Kept | None:
    """Find the container that an attribute of ``current_app`` stands for."""
    found = [
        kept
        for made in containers.values()
        for name, kept in made.items()
        if name.rpartition(".")[::2] == ("app", attribute)
    ]
    return found[0] if found else None


def attributes_of(expression: ast.expr) -> Iterator[ast.Attribute]:
    """Yield the attributes in a chain such as ``game.rooms[name].members``, the last one first."""
    while isinstance(expression, ast.Subscript | ast.Attribute | ast.Call):
        if isinstance(expression, ast.Attribute):
            yield expression
        expression = expression.func if isinstance(expression, ast.Call) else expression.value


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
    return module.dotted(node) in {"app.config", f"{CURRENT_APP}.config"} or (
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
