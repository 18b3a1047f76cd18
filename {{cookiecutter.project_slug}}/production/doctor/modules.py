"""Python files as trees, with what the checks ask of them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath

from production.doctor.sources import Kind, Source

Function = ast.FunctionDef | ast.AsyncFunctionDef
Constant = str | bytes | int | float | bool | None

EXCEPTIONS_OF_WHAT_IS_GONE = frozenset(
    {"AttributeError", "BaseException", "Exception", "ImportError", "ModuleNotFoundError"}
)

MISSING = object()
"""The value of an expression that is not known without running the code."""


class Module:
    """A Python file.

    :param source: the file.
    :raises SyntaxError: if it is not Python 3, or nested deeper than Python itself accepts.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.tree = ast.parse(source.text)
            self.nodes = list(ast.walk(self.tree))
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from None

    @cached_property
    def name(self) -> str:
        """The dotted name, as seen from the project's folder."""
        path = PurePosixPath(self.source.path)
        parts = path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name stands for, as a dotted name; wherever it is imported."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    names[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                origin = self.origin(node)
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{origin}.{alias.name}".lstrip(".")
        return names

    def origin(self, node: ast.ImportFrom) -> str:
        """Return the dotted name of the module that a statement imports from."""
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        if PurePosixPath(self.source.path).name != "__init__.py":
            package = package[:-1]
        package = package[: len(package) - (node.level - 1)]
        return ".".join([*package, *([node.module] if node.module else [])])

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node that each node stands in."""
        return {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call."""
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """Every class."""
        return [node for node in self.nodes if isinstance(node, ast.ClassDef)]

    def dotted(self, node: ast.AST) -> str:
        """Return what an expression names, with imports resolved: ``flask_socketio.SocketIO``.

        :return: empty for anything but names and attributes of names.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imports.get(node.id, node.id), *reversed(parts)])

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, the nearest first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the function that a node is part of, if any."""
        return next((one for one in self.ancestors(node) if isinstance(one, Function)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class whose body a function stands in, if any."""
        parent = self.parents.get(node)
        return parent if isinstance(parent, ast.ClassDef) else None

    def is_guarded(self, node: ast.AST) -> bool:
        """Tell whether code asks first if what it uses is there: ``except ImportError``, ``hasattr``."""
        for ancestor in self.ancestors(node):
            if isinstance(ancestor, ast.Try):
                caught = {
                    part.id
                    for handler in ancestor.handlers
                    for part in ast.walk(handler.type or ast.Name("BaseException"))
                    if isinstance(part, ast.Name)
                }
                if caught & EXCEPTIONS_OF_WHAT_IS_GONE:
                    return True
            elif isinstance(ancestor, ast.If):
                test = ast.unparse(ancestor.test).lower()
                if "hasattr" in test or "version" in test:
                    return True
        return False

    @cached_property
    def is_test(self) -> bool:
        """Whether the file holds tests, which production never runs."""
        *folders, name = self.source.path.split("/")
        return bool({"test", "tests"}.intersection(folders)) or bool(
            re.fullmatch(r"test_.*|.*_tests?\.pyw?|conftest\.py", name)
        )

    def pages(self) -> Iterator[Source]:
        """Yield the pages that stand in the code as strings, their lines where they are in the file."""
        for node in self.nodes:
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            if "<script" not in node.value or isinstance(self.parents.get(node), ast.Expr):
                continue
            text = node.value
            if text.count("\n") != (node.end_lineno or node.lineno) - node.lineno:
                text = text.replace("\n", " ")
            yield Source(self.source.path, Kind.PAGE, "\n" * (node.lineno - 1) + text)

    @cached_property
    def top_level(self) -> dict[str, ast.expr]:
        """The values that names are given once, at the top level of the module."""
        values: dict[str, ast.expr] = {}
        repeated: set[str] = set()
        for statement in import_time_statements(self.tree.body):
            for target, value in assignments(statement):
                if isinstance(target, ast.Name):
                    if target.id in values:
                        repeated.add(target.id)
                    values.setdefault(target.id, value)
        return {name: value for name, value in values.items() if name not in repeated}

    def value(self, node: ast.expr | None) -> object:
        """Return the constant that an expression stands for, or :data:`MISSING`.

        Follows names that are given one constant at the top level, and does arithmetic, for
        ``10 * 1024 * 1024``.
        """
        if isinstance(node, ast.Name):
            node = self.top_level.get(node.id)
        return constant(node)


def assignments(statement: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the targets and values of an assignment; nothing for any other statement."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield target, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield statement.target, statement.value


def constant(node: ast.expr | None) -> object:
    """Return the value of a literal, a list of literals or arithmetic with them."""
    match node:
        case ast.Constant():
            return node.value
        case ast.List() | ast.Tuple() | ast.Set():
            values = [constant(element) for element in node.elts]
            return MISSING if MISSING in values else values
        case ast.UnaryOp(op=ast.USub()):
            value = constant(node.operand)
            return -value if isinstance(value, int | float) else MISSING
        case ast.BinOp(op=ast.Mult()):
            left, right = constant(node.left), constant(node.right)
            if isinstance(left, int | float) and isinstance(right, int | float):
                try:
                    return left * right
                except OverflowError:
                    return MISSING
        case ast.BinOp(op=ast.Pow()):
            left, right = constant(node.left), constant(node.right)
            if (
                isinstance(left, int | float)
                and isinstance(right, int)
                and abs(left) <= 1024
                and 0 <= right <= 64
            ):
                return left**right
    return MISSING


def is_main_guard(node: ast.AST) -> bool:
    """Tell whether a node is ``if __name__ == "__main__"``, or one of its parts."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def import_time_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, those in ``if`` and ``try`` too."""
    waiting = list(reversed(body))
    while waiting:
        statement = waiting.pop()
        if is_main_guard(statement):
            if isinstance(statement, ast.If):
                waiting.extend(reversed(statement.orelse))
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        yield statement
        if isinstance(statement, Function):
            continue
        for name in ("finalbody", "orelse", "handlers", "body"):
            for child in reversed(getattr(statement, name, [])):
                if isinstance(child, ast.ExceptHandler):
                    waiting.extend(reversed(child.body))
                elif isinstance(child, ast.stmt):
                    waiting.append(child)


def walk_here(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a statement without the functions, classes and nested statements in it.

    What :func:`import_time_statements` yields on its own is left out, so that every node comes once.
    """
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        for child in ast.iter_child_nodes(current):
            if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.Lambda):
                waiting.append(child)


def walk_body(function: Function) -> Iterator[ast.AST]:
    """Walk a function's body, without functions and classes that it only defines."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(current, Function | ast.ClassDef | ast.Lambda):
            continue
        waiting.extend(reversed(list(ast.iter_child_nodes(current))))


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """Return a call's keyword argument, if it has it."""
    return next((one for one in call.keywords if one.arg == name), None)


def last_name(node: ast.AST) -> str:
    """Return the last part of a name: ``socketio`` of ``self.socketio``; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def first_name(node: ast.AST) -> str:
    """Return the name that subscripts, attributes and calls of methods start from."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
