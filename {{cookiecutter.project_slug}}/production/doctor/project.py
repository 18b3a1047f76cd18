"""What the checks know of a project: its files, its SocketIO objects, its handlers."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from production.doctor.model import Note
from production.doctor.modules import (
    Function,
    Module,
    assignments,
    first_name,
    import_time_statements,
    keyword,
    last_name,
    walk_body,
    walk_here,
)
from production.doctor.sources import LAYER, Kind, Reader, Source, is_layer

MOST_HOPS = 10
"""Modules through which a name is followed to its definition; imports may go in circles."""

GREEN_MODES = ("eventlet", "gevent", "gevent_uwsgi")

FACTORY_NAMES = ("create_app", "make_app", "build_app", "app_factory")

VIEW_DECORATORS = frozenset(
    {
        "after_app_request",
        "after_request",
        "app_errorhandler",
        "before_app_request",
        "before_request",
        "context_processor",
        "delete",
        "errorhandler",
        "get",
        "patch",
        "post",
        "put",
        "route",
        "teardown_request",
    }
)

# Methods of the built-in containers: a call of one says nothing about a class of the project.
COMMON_METHODS = frozenset(name for kind in (dict, list, set, str, bytes) for name in dir(kind)) | {
    "put",
    "start",
    "run",
    "stop",
    "close",
    "emit",
    "send",
    "write",
    "read",
    "open",
    "init_app",
}


@dataclass(frozen=True)
class Handler:
    """A function that serves an event of Socket.IO.

    :param module: where it is.
    :param event: the event's name.
    :param function: the function.
    :param is_method: whether its first parameter is ``self``.
    """

    module: Module
    event: str
    function: Function
    is_method: bool


@dataclass(frozen=True)
class Option:
    """An option given to ``SocketIO(...)`` or ``init_app(...)``.

    :param module: where it is given.
    :param name: its name.
    :param value: the expression.
    :param line: where the option stands.
    """

    module: Module
    name: str
    value: ast.expr
    line: int

    @property
    def constant(self) -> object:
        """Its value, as far as it is known without running the code."""
        return self.module.value(self.value)


@dataclass(frozen=True)
class Server:
    """A SocketIO object that is made.

    :param module: where.
    :param call: of ``SocketIO(...)``.
    :param writes_only: whether it is an emitter for other processes: a queue and no app.
    """

    module: Module
    call: ast.Call
    writes_only: bool


class Project:
    """A folder that is checked.

    :param root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        reader = Reader(root)
        self.sources = reader.read()
        self.notes = reader.notes
        parsed = [module for source in self.of(Kind.PYTHON) if (module := self._parse(source))]
        self.modules = [module for module in parsed if not module.is_test]
        self.sources += [page for module in self.modules for page in module.pages()]

    def of(self, *kinds: Kind) -> list[Source]:
        """Return the files that are read in one of the ways."""
        return [source for source in self.sources if source.kind in kinds]

    def _parse(self, source: Source) -> Module | None:
        try:
            return Module(source)
        except SyntaxError as error:
            line = f", line {error.lineno}" if error.lineno else ""
            self.notes.append(Note(source.path, f"not checked: not Python 3{line}: {error.msg}"))
            return None

    @cached_property
    def has_layer(self) -> bool:
        """Whether this layer serves the project, and decides workers and options by its settings."""
        return is_layer(self.root / LAYER.name) or any(
            source.path.rpartition("/")[2] == "gunicorn.conf.py" and "production." in source.text
            for source in self.of(Kind.PYTHON)
        )

    @cached_property
    def uses_flask_socketio(self) -> bool:
        """Whether any file imports Flask-SocketIO, or requires it."""
        imports = re.compile(
            r"^\s*(?:from|import)\s+(?:flask_socketio|flask\.ext\.socketio)\b", re.M
        )
        requires = re.compile(r"^\W*(?:[\w-]+\s*=\s*\[\W*)?flask[-_.]socketio\b", re.M | re.I)
        return any(imports.search(source.text) for source in self.of(Kind.PYTHON)) or any(
            requires.search(source.text)
            for source in self.of(Kind.REQUIREMENTS, Kind.PYPROJECT, Kind.PIPFILE)
        )

    # The SocketIO objects and their options

    @cached_property
    def servers(self) -> list[Server]:
        """Every SocketIO object that is made."""
        return [
            Server(module, call, writes_only=_writes_only(call))
            for module in self.modules
            for call in module.calls
            if module.dotted(call.func)
            in {"flask_socketio.SocketIO", "flask.ext.socketio.SocketIO"}
        ]

    @cached_property
    def server_names(self) -> frozenset[str]:
        """The names and attributes that hold a SocketIO object anywhere in the project."""
        names = {"socketio"}
        for server in self.servers:
            for target, value in assignments(server.module.parents.get(server.call, server.call)):
                if value is server.call and not server.writes_only:
                    names.add(last_name(target))
        return frozenset(names - {""})

    def is_server(self, module: Module, node: ast.AST) -> bool:
        """Tell whether an expression is a SocketIO object, and not the package ``socketio``."""
        name = last_name(node)
        if name not in self.server_names:
            return False
        return module.dotted(node) != "socketio" or "socketio" not in module.imports

    def server_calls(self, method: str) -> Iterator[tuple[Module, ast.Call]]:
        """Yield the calls of a method of a SocketIO object."""
        for module in self.modules:
            for call in module.calls:
                if (
                    isinstance(call.func, ast.Attribute)
                    and call.func.attr == method
                    and self.is_server(module, call.func.value)
                ):
                    yield module, call

    @cached_property
    def options(self) -> list[Option]:
        """Every option given to a SocketIO object that serves."""
        calls = [(server.module, server.call) for server in self.servers if not server.writes_only]
        calls += self.server_calls("init_app")
        return [option for module, call in calls for option in _options(module, call)]

    def options_named(self, name: str) -> list[Option]:
        """Return where an option is given."""
        return [option for option in self.options if option.name == name]

    @cached_property
    def async_modes(self) -> set[str]:
        """The async modes that the code names."""
        modes = {option.constant for option in self.options_named("async_mode")}
        return {mode for mode in modes if isinstance(mode, str)}

    @cached_property
    def is_green(self) -> bool:
        """Whether the code, or the settings of the layer, name a mode of green threads."""
        return bool(self.async_modes.union(self._layers_mode).intersection(GREEN_MODES))

    @cached_property
    def _layers_mode(self) -> set[str]:
        if not self.has_layer:
            return set()
        try:
            settings = tomllib.loads((self.root / "production.toml").read_text("utf-8"))
        except (OSError, ValueError):
            return set()
        return {str(settings.get("async_mode", "eventlet"))}

    @cached_property
    def queue_options(self) -> list[Option]:
        """Where a message queue is given."""
        return [
            option
            for name in ("message_queue", "client_manager")
            for option in self.options_named(name)
            if option.constant is not None
        ]

    @cached_property
    def patches(self) -> list[tuple[Module, ast.Call]]:
        """The calls that make the standard library cooperative."""
        return [
            (module, call)
            for module in self.modules
            for call in module.calls
            if module.dotted(call.func)
            in {"eventlet.monkey_patch", "eventlet.patcher.monkey_patch", "gevent.monkey.patch_all"}
        ]

    # The handlers

    @cached_property
    def handlers(self) -> list[Handler]:
        """Every handler of an event, decorated, registered by a call, or a namespace's method."""
        return [
            handler
            for module in self.modules
            for handler in (
                *self._decorated(module),
                *self._registered(module),
                *self._namespaced(module),
            )
        ]

    def _decorated(self, module: Module) -> Iterator[Handler]:
        for function in module.functions:
            for decorator in function.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                if not isinstance(target, ast.Attribute) or not self.is_server(
                    module, target.value
                ):
                    continue
                if target.attr == "event":
                    yield Handler(module, function.name, function, is_method=False)
                elif target.attr == "on" and isinstance(decorator, ast.Call) and decorator.args:
                    event = module.value(decorator.args[0])
                    name = event if isinstance(event, str) else ""
                    yield Handler(module, name, function, is_method=False)

    def _registered(self, module: Module) -> Iterator[Handler]:
        for call in module.calls:
            given: ast.expr | None = None
            event: ast.expr | None = None
            match call:
                case ast.Call(
                    func=ast.Attribute(attr="on_event", value=server), args=[event, given, *_]
                ) if self.is_server(module, server):
                    pass
                case ast.Call(
                    func=ast.Call(func=ast.Attribute(attr="on", value=server), args=[event, *_]),
                    args=[given],
                ) if self.is_server(module, server):
                    pass
                case _:
                    continue
            found = self.resolve(module, given, call) if given is not None else None
            name = module.value(event)
            if found:
                owner, function = found
                is_method = owner.class_of(function) is not None
                yield Handler(owner, name if isinstance(name, str) else "", function, is_method)

    def _namespaced(self, module: Module) -> Iterator[Handler]:
        for one in module.classes:
            if not any(
                module.dotted(base).endswith("Namespace")
                and module.dotted(base).startswith("flask_socketio")
                for base in one.bases
            ):
                continue
            for statement in one.body:
                if isinstance(statement, Function) and statement.name.startswith("on_"):
                    yield Handler(module, statement.name[3:], statement, is_method=True)

    @cached_property
    def has_error_handler(self) -> bool:
        """Whether an error handler of Socket.IO is registered anywhere."""
        for module in self.modules:
            for node in module.nodes:
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in {"on_error", "on_error_default"}
                    and self.is_server(module, node.value)
                ):
                    return True
        return False

    @cached_property
    def views(self) -> list[tuple[Module, Function]]:
        """The functions that Flask calls for a request."""
        return [
            (module, function)
            for module in self.modules
            for function in module.functions
            if any(
                last_name(one.func if isinstance(one, ast.Call) else one) in VIEW_DECORATORS
                and isinstance(one.func if isinstance(one, ast.Call) else one, ast.Attribute)
                for one in function.decorator_list
            )
        ]

    @cached_property
    def tasks(self) -> list[tuple[Module, ast.Call, ast.expr | None]]:
        """Where threads and background tasks are made: the module, the call, and what they run."""
        found: list[tuple[Module, ast.Call, ast.expr | None]] = []
        for module in self.modules:
            for call in module.calls:
                dotted = module.dotted(call.func)
                if dotted in {"threading.Thread", "threading.Timer", "multiprocessing.Process"}:
                    target = keyword(call, "target") or keyword(call, "function")
                    positional = call.args[1] if len(call.args) > 1 else None
                    found.append((module, call, target.value if target else positional))
                elif dotted in {"eventlet.spawn", "eventlet.spawn_n", "gevent.spawn"} or (
                    isinstance(call.func, ast.Attribute)
                    and call.func.attr == "start_background_task"
                ):
                    target = keyword(call, "target")
                    positional = call.args[0] if call.args else None
                    found.append((module, call, target.value if target else positional))
        return found

    # Who calls whom

    @cached_property
    def _modules_by_name(self) -> dict[str, Module]:
        """Modules by dotted name, and by its ends: a source folder may be on the path."""
        names: dict[str, Module] = {}
        for module in self.modules:
            parts = module.name.split(".")
            for start in range(len(parts)):
                names.setdefault(".".join(parts[start:]), module)
        for module in self.modules:
            names[module.name] = module
        return names

    def module_named(self, dotted: str) -> Module | None:
        """Return the project's module of a dotted name, if it has one."""
        return self._modules_by_name.get(dotted)

    def imported_module(self, module: Module, node: ast.expr) -> Module | None:
        """Return the project's module that an expression names by way of an import."""
        if first_name(node) not in module.imports:
            return None
        return self.module_named(module.dotted(node))

    @cached_property
    def _methods(self) -> dict[str, list[tuple[Module, Function]]]:
        methods: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules:
            for function in module.functions:
                if module.class_of(function) is not None:
                    methods.setdefault(function.name, []).append((module, function))
        return methods

    def resolve(
        self, module: Module, node: ast.expr, where: ast.AST
    ) -> tuple[Module, Function] | None:
        """Return the project's function that an expression names, as far as names tell.

        :param module: where the expression is.
        :param node: the expression: ``f``, ``module.f``, ``self.f`` or ``thing.f``.
        :param where: a node inside the function that uses it.
        """
        if isinstance(node, ast.Name):
            return self._function_named(module, node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}:
            for ancestor in module.ancestors(where):
                if isinstance(ancestor, ast.ClassDef):
                    return _method(module, ancestor, node.attr)
        imported = self.imported_module(module, node.value)
        if imported is not None:
            return self._function_named(imported, node.attr)
        if node.attr in COMMON_METHODS:
            return self._method_of_instance(module, node)
        candidates = self._methods.get(node.attr, [])
        return candidates[0] if len(candidates) == 1 else self._method_of_instance(module, node)

    def definition(self, module: Module, name: str) -> tuple[Module, str]:
        """Follow a name through the project's imports to the module that defines it.

        :return: that module and the name there; the module itself if it imports no such name.
        """
        for _ in range(MOST_HOPS):
            origin, _, imported = module.imports.get(name, "").rpartition(".")
            other = self.module_named(origin)
            if other is None or other is module:
                break
            module, name = other, imported
        return module, name

    def _function_named(self, module: Module, name: str) -> tuple[Module, Function] | None:
        for owner, called in ((module, name), self.definition(module, name)):
            for function in owner.functions:
                if function.name == called and owner.class_of(function) is None:
                    return owner, function
        return None

    def _method_of_instance(
        self, module: Module, node: ast.Attribute
    ) -> tuple[Module, Function] | None:
        """Resolve ``thing.method`` where ``thing = Thing()`` stands at the top level of a module."""
        owner, instance = self.definition(module, last_name(node.value))
        made = owner.top_level.get(instance)
        found = self.class_named(owner, made.func) if isinstance(made, ast.Call) else None
        return _method(*found, node.attr) if found else None

    def class_named(self, module: Module, node: ast.expr) -> tuple[Module, ast.ClassDef] | None:
        """Return the project's class that an expression names, as far as names tell."""
        if isinstance(node, ast.Attribute):
            owner, name = self.imported_module(module, node.value), node.attr
        else:
            owner, name = self.definition(module, last_name(node))
        if owner is not None:
            owner, name = self.definition(owner, name)
            for one in owner.classes:
                if one.name == name:
                    return owner, one
        return None

    def reach(
        self, start: list[tuple[Module, Function]]
    ) -> dict[Function, tuple[Module, Function]]:
        """Follow the calls from some functions.

        :return: each function that they come to, with the one of ``start`` from which.
        """
        reached: dict[Function, tuple[Module, Function]] = {}
        waiting = [(module, function, function) for module, function in reversed(start)]
        while waiting:
            module, function, origin = waiting.pop()
            if function in reached:
                continue
            reached[function] = (module, origin)
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    found = self.resolve(module, node.func, node)
                    if found:
                        waiting.append((*found, origin))
        return reached

    @cached_property
    def served(self) -> dict[Function, tuple[Module, Function]]:
        """The functions that run while the service does: for events, requests and in tasks."""
        start = [(handler.module, handler.function) for handler in self.handlers]
        start += self.views
        for module, call, target in self.tasks:
            found = self.resolve(module, target, call) if target is not None else None
            if found:
                start.append(found)
        return self.reach(start)

    @cached_property
    def import_time(self) -> list[tuple[Module, ast.AST]]:
        """Every node that runs when the app is imported, in the functions it calls then too."""
        found: list[tuple[Module, ast.AST]] = []
        called: list[tuple[Module, Function]] = []
        for module in self.modules:
            if module.name.rpartition(".")[2] == "__main__":
                continue  # a script by nature
            for statement in import_time_statements(module.tree.body):
                if isinstance(statement, Function | ast.ClassDef):
                    if isinstance(statement, Function) and statement.name in FACTORY_NAMES:
                        called.append((module, statement))
                    continue
                for node in walk_here(statement):
                    found.append((module, node))
                    if isinstance(node, ast.Call):
                        target = self.resolve(module, node.func, node)
                        if target:
                            called.append(target)
        seen: set[Function] = set()
        while called:
            module, function = called.pop()
            if function in seen:
                continue
            seen.add(function)
            for node in walk_body(function):
                found.append((module, node))
                if isinstance(node, ast.Call):
                    target = self.resolve(module, node.func, node)
                    if target:
                        called.append(target)
        return found


def _method(module: Module, owner: ast.ClassDef, name: str) -> tuple[Module, Function] | None:
    for statement in owner.body:
        if isinstance(statement, Function) and statement.name == name:
            return module, statement
    return None


def _writes_only(call: ast.Call) -> bool:
    """Tell whether a call of ``SocketIO`` makes an emitter for processes that serve nobody."""
    app = call.args[0] if call.args else getattr(keyword(call, "app"), "value", None)
    without_app = app is None or (isinstance(app, ast.Constant) and app.value is None)
    return without_app and keyword(call, "message_queue") is not None


def _options(module: Module, call: ast.Call) -> Iterator[Option]:
    """Yield a call's options, those of a literal dictionary behind ``**`` included."""
    for one in call.keywords:
        if one.arg is not None:
            yield Option(module, one.arg, one.value, one.lineno)
            continue
        literal: ast.expr | None = one.value
        if isinstance(literal, ast.Name):
            literal = module.top_level.get(literal.id)
        if isinstance(literal, ast.Dict):
            for key, value in zip(literal.keys, literal.values, strict=True):
                if key is not None and isinstance(name := module.value(key), str):
                    yield Option(module, name, value, key.lineno)
        elif isinstance(literal, ast.Call) and module.dotted(literal.func) == "dict":
            for inner in literal.keywords:
                if inner.arg is not None:
                    yield Option(module, inner.arg, inner.value, inner.lineno)
