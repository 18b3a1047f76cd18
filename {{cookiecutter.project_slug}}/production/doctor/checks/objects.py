"""FSP303: what objects collect of which a process has one of its own while it serves."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from production.doctor.checks.state import (
    SCALING,
    Kept,
    attributes_of,
    changed_expressions,
    is_container,
    own_names,
)
from production.doctor.model import Place, Severity
from production.doctor.modules import (
    MISSING,
    Function,
    Module,
    assignments,
    constant,
    first_name,
    last_name,
)
from production.doctor.project import Project
from production.doctor.registry import check


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
    objects = Objects(project)
    for function, (module, _) in project.served.items():
        if function.name == "__init__":
            continue
        for attribute, line in _changed(function):
            kept = objects.find(module, function, attribute)
            if kept:
                kept.changes.append(f"{module.source.path}:{line}")
    for attributes in objects.attributes.values():
        yield from (kept.place() for kept in attributes.values() if kept.changes)


class Objects:
    """The project's classes, and those of them whose objects outlive a request.

    :param project: the project.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.attributes = {
            one: _attributes(module, one) for module in project.modules for one in module.classes
        }
        self._lasting = set(self._made_by_the_start()) | {
            owner
            for handler in project.handlers
            if (owner := handler.module.class_of(handler.function)) is not None
        }

    def _made_by_the_start(self) -> Iterator[ast.ClassDef]:
        for module, call in _calls_of_the_start(self._project):
            made = self._project.class_named(module, call.func)
            if made:
                yield made[1]

    def find(self, module: Module, function: Function, attribute: ast.Attribute) -> Kept | None:
        """Find what an attribute of a class or of a lasting object stands for, as far as names tell.

        :param module: where it is changed.
        :param function: in which it is changed.
        :param attribute: the attribute.
        """
        owner = attribute.value
        if isinstance(owner, ast.Name) and owner.id in {"self", "cls"}:
            around = (one for one in module.ancestors(function) if isinstance(one, ast.ClassDef))
            return self._of_lasting(next(around, None), attribute.attr)
        if first_name(owner) in own_names(function) - {"self", "cls"}:
            return None
        if named := self._project.class_named(module, owner):
            return self.attributes[named[1]].get(attribute.attr)
        if isinstance(owner, ast.Name):
            return self._of_lasting(self._class_of(module, owner.id), attribute.attr)
        return self._of_that_name(attribute.attr)

    def _of_lasting(self, one: ast.ClassDef | None, name: str) -> Kept | None:
        return self.attributes[one].get(name) if one in self._lasting else None

    def _class_of(self, module: Module, name: str) -> ast.ClassDef | None:
        """Return the class of an object that a module, or a function for it, gives a name."""
        owner, name = self._project.definition(module, name)
        for node in owner.nodes:
            for target, value in assignments(node):
                if isinstance(value, ast.Call) and _is_global(owner, target, name):
                    made = self._project.class_named(owner, value.func)
                    if made:
                        return made[1]
        return None

    def _of_that_name(self, name: str) -> Kept | None:
        """Find the container that one class alone has, where nothing tells whose object it is."""
        found = [
            kept
            for one in self._lasting
            if (kept := self.attributes[one].get(name)) and kept.is_container
        ]
        return found[0] if len(found) == 1 else None


def _is_global(module: Module, target: ast.expr, name: str) -> bool:
    """Tell whether an assignment is to a name of the module."""
    if not isinstance(target, ast.Name) or target.id != name:
        return False
    function = module.function_of(target)
    return function is None or name not in own_names(function)


def _calls_of_the_start(project: Project) -> Iterator[tuple[Module, ast.Call]]:
    """Yield the calls that run when the app is imported or started as a script."""
    for module, node in project.import_time:
        if isinstance(node, ast.Call):
            yield module, node
    outside = [
        (module, call)
        for module in project.modules
        for call in module.calls
        if module.function_of(call) is None
    ]
    yield from outside
    called = [
        found for module, call in outside if (found := project.resolve(module, call.func, call))
    ]
    for function, (module, _) in project.reach(called).items():
        if function not in project.served:
            yield from ((module, one) for one in ast.walk(function) if isinstance(one, ast.Call))


def _attributes(module: Module, one: ast.ClassDef) -> dict[str, Kept]:
    """Return the containers and constants that a class or its ``__init__`` makes."""
    found: dict[str, Kept] = {}
    for name, line, value in _first_values(one):
        collects = is_container(module, value)
        if collects or constant(value) is not MISSING:
            found.setdefault(name, Kept(module, line, name, is_container=collects))
    return found


def _first_values(one: ast.ClassDef) -> Iterator[tuple[str, int, ast.expr]]:
    """Yield the attributes that a class or its ``__init__`` makes: name, line, value."""
    for statement in one.body:
        for target, value in assignments(statement):
            if isinstance(target, ast.Name):
                yield target.id, target.lineno, value
        if isinstance(statement, Function) and statement.name == "__init__":
            for node in ast.walk(statement):
                for target, value in assignments(node):
                    if isinstance(target, ast.Attribute) and last_name(target.value) == "self":
                        yield target.attr, target.lineno, value


def _changed(function: Function) -> Iterator[tuple[ast.Attribute, int]]:
    """Yield the attributes that a function changes in place, counts up or gives another value.

    One that is given what a call returns is not counted: most of those are connections and the
    like, which every process opens for itself.
    """
    for expression, line in changed_expressions(function):
        for attribute in attributes_of(expression):
            yield attribute, line
    for node in ast.walk(function):
        pairs = list(assignments(node))
        if isinstance(node, ast.AugAssign):
            pairs.append((node.target, node.value))
        for target, value in pairs:
            if isinstance(target, ast.Attribute) and not isinstance(value, ast.Call):
                yield target, target.lineno
