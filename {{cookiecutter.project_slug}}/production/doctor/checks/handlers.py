"""FSP4xx: handlers of events, requests and errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.modules import Function, Module, constant, first_name, keyword, last_name
from production.doctor.project import Handler, Project
from production.doctor.registry import check

API = "https://flask-socketio.readthedocs.io/en/latest/api.html"
GETTING_STARTED = "https://flask-socketio.readthedocs.io/en/latest/getting_started.html"
FLASK_ERRORS = "https://flask.palletsprojects.com/en/stable/errorhandling/"
FAILURES = "docs/failures.md#"

TRANSPORT_TEXTS = re.compile(
    r"before start_response|broken pipe|connection reset|reset by peer|bad file descriptor"
    r"|connection aborted|^\s*(?:http\s*)?5\d\d\b",
    re.IGNORECASE,
)
"""Texts of errors of the connection, which no handler ever sees."""

HEALTH_NAME = re.compile(r"(diagnos|health|check|smoke|probe|verify)", re.IGNORECASE)


def positional_room(handler: Handler) -> int | None:
    """Return how many arguments a handler takes, or ``None`` for any number."""
    arguments = handler.function.args
    if arguments.vararg:
        return None
    return len(arguments.posonlyargs) + len(arguments.args) - handler.is_method


def _is_wrapped(handler: Handler) -> bool:
    """Tell whether decorators below the registration may change the parameters."""
    decorators = handler.function.decorator_list
    registering = ("on", "event")
    return any(
        last_name(one.func if isinstance(one, ast.Call) else one) not in registering
        for one in decorators
    )


def _disconnects_without_reason(project: Project) -> Iterator[Place]:
    for handler in project.handlers:
        if (
            handler.event == "disconnect"
            and positional_room(handler) == 0
            and not _is_wrapped(handler)
        ):
            yield Place(handler.module.source, handler.function.lineno, handler.function.name)


@check(
    "FSP401",
    Severity.STYLE,
    "a disconnect handler without a parameter",
    why="Since Flask-SocketIO 5.5 the handler gets the reason; without a parameter it only runs "
    "through a fallback that also hides TypeErrors.",
    fix="Give it a parameter: `def handle_disconnect(reason=None)`.",
    evidence=(API,),
)
def disconnect_without_reason(project: Project) -> Iterator[Place]:
    if not project.has_error_handler:
        yield from _disconnects_without_reason(project)


@check(
    "FSP402",
    Severity.BREAKS,
    "a disconnect handler that never runs",
    why="Since Flask-SocketIO 5.5 the handler gets the reason; where an error handler is "
    "registered, it swallows the TypeError and the disconnect handler never runs.",
    fix="Give it a parameter: `def handle_disconnect(reason=None)`.",
    evidence=(API, "https://github.com/open-webui/open-webui/issues/25271"),
)
def disconnect_that_never_runs(project: Project) -> Iterator[Place]:
    if project.has_error_handler:
        yield from _disconnects_without_reason(project)


AUTH_WORDS = re.compile(
    r"auth|login|logged|token|user|session|permission|allowed|jwt|identity|credential",
    re.IGNORECASE,
)


@check(
    "FSP403",
    Severity.UNSAFE,
    "a connect handler that lets the refused in",
    why="A connect handler that returns nothing accepts the client.",
    fix="Return False, or raise `ConnectionRefusedError` with a reason.",
    evidence=(GETTING_STARTED,),
)
def refused_but_accepted(project: Project) -> Iterator[Place]:
    for handler in project.handlers:
        if handler.event != "connect":
            continue
        for node in ast.walk(handler.function):
            if not isinstance(node, ast.If) or not _is_negative(node.test):
                continue
            last = node.body[-1]
            if isinstance(last, ast.Return) and (
                last.value is None or constant(last.value) is None
            ):
                yield Place(handler.module.source, last.lineno, "connect")


def _is_negative(test: ast.expr) -> bool:
    """Tell whether a condition says that somebody is not who they should be."""
    if not AUTH_WORDS.search(ast.unparse(test)):
        return False
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(ops=[ast.NotIn()]):
            return True
        case ast.Compare(ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None)]):
            return True
        case ast.Attribute(attr="is_anonymous"):
            return True
    return False


@check(
    "FSP404",
    Severity.MISLEADING,
    "an error handler whose return value reaches the client",
    why="What an error handler returns is sent as the acknowledgement: the client is told "
    "`false`, or `true`, and cannot tell it from an answer.",
    fix='Return an object that says so: `{"ok": False, "error": ...}`.',
    evidence=(f"{FAILURES}2-a-500-on-every-refresh",),
)
def bare_answer(project: Project) -> Iterator[Place]:
    for module, function in _error_handlers(project):
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and isinstance(constant(node.value), bool):
                yield Place(module.source, node.lineno, function.name)


def _error_handlers(project: Project) -> Iterator[tuple[Module, Function]]:
    for module in project.modules:
        for function in module.functions:
            for decorator in function.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                if (
                    isinstance(target, ast.Attribute)
                    and target.attr in {"on_error", "on_error_default"}
                    and project.is_server(module, target.value)
                ):
                    yield module, function


def _flask_hooks(project: Project, *names: str) -> Iterator[tuple[Module, Function, ast.expr]]:
    """Yield the functions that are decorated with one of some hooks of Flask."""
    for module in project.modules:
        for function in module.functions:
            for decorator in function.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(target, ast.Attribute) and target.attr in names:
                    yield module, function, decorator


@check(
    "FSP405",
    Severity.MISLEADING,
    "a handler for every exception",
    why="It is never called for Socket.IO, answers HTTP errors without their headers, and keeps "
    "every error from Flask's log and from error trackers.",
    fix="Handle `HTTPException` or your own exceptions, and leave the rest to Flask.",
    evidence=(FLASK_ERRORS, f"{FAILURES}1-write-before-start_response"),
)
def catch_all(project: Project) -> Iterator[Place]:
    for module, function, decorator in _flask_hooks(project, "errorhandler", "app_errorhandler"):
        if not (isinstance(decorator, ast.Call) and decorator.args):
            continue
        if module.dotted(decorator.args[0]) in {"Exception", "BaseException"} and not (
            _passes_http_errors(function)
        ):
            yield Place(module.source, decorator.lineno, function.name)


def _passes_http_errors(function: Function) -> bool:
    """Tell whether ``if isinstance(e, HTTPException): return e`` is in a handler, as Flask advises."""
    arguments = function.args.args
    name = arguments[0].arg if arguments else ""
    for node in ast.walk(function):
        if isinstance(node, ast.If) and "HTTPException" in ast.dump(node.test):
            for part in node.body:
                if isinstance(part, ast.Return | ast.Raise) and (
                    (isinstance(part, ast.Raise) and part.exc is None)
                    or (
                        isinstance(part, ast.Return)
                        and part.value is not None
                        and first_name(part.value) == name
                    )
                ):
                    return True
    return False


@check(
    "FSP406",
    Severity.BREAKS,
    "a content type that depends on the status",
    why="Error pages in HTML are labelled as something else, and Socket.IO's answers never pass "
    "through here.",
    fix="Delete it; set the content type where the body is made.",
    evidence=(f"{FAILURES}1-write-before-start_response",),
)
def content_type_by_status(project: Project) -> Iterator[Place]:
    for module, function, _ in _flask_hooks(project, "after_request", "after_app_request"):
        for node in ast.walk(function):
            if not (isinstance(node, ast.If) and "status" in ast.dump(node.test)):
                continue
            for part in ast.walk(node):
                if not isinstance(part, ast.Assign):
                    continue
                for target in part.targets:
                    header = (
                        isinstance(target, ast.Subscript)
                        and str(constant(target.slice)).lower() == "content-type"
                    )
                    if header or last_name(target) in {"content_type", "mimetype"}:
                        yield Place(module.source, part.lineno, function.name)


@check(
    "FSP407",
    Severity.MISLEADING,
    "a request hook for Socket.IO's path",
    why="Socket.IO's requests are answered before Flask sees them, so this never runs.",
    fix="Delete it; check clients in the connect handler.",
    evidence=(f"{FAILURES}2-a-500-on-every-refresh",),
)
def hook_for_socketio(project: Project) -> Iterator[Place]:
    names = ("before_request", "after_request", "before_app_request", "after_app_request")
    for module, function, _ in _flask_hooks(project, *names):
        for node in ast.walk(function):
            if isinstance(node, ast.If) and any(
                isinstance(part, ast.Constant)
                and isinstance(part.value, str)
                and "/socket.io" in part.value
                for part in ast.walk(node.test)
            ):
                yield Place(module.source, node.lineno, function.name)


@check(
    "FSP408",
    Severity.MISLEADING,
    "an error of the connection, recognised by its text",
    why="Emitting only queues a message, so errors of the connection never arrive here; any other "
    "error that happens to contain the text is hidden.",
    fix="Delete the comparison, and the `try` around it if nothing else is left.",
    evidence=(f"{FAILURES}4-noise-whenever-a-client-leaves",),
)
def matched_text(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for node in module.nodes:
            if (
                isinstance(node, ast.Compare)
                and isinstance(node.ops[0], ast.In | ast.NotIn | ast.Eq | ast.NotEq)
                and isinstance(text := constant(node.left), str)
                and TRANSPORT_TEXTS.search(text)
                and _is_text_of_exception(module, node, node.comparators[0])
            ):
                yield Place(module.source, node.lineno, "text")


def _is_text_of_exception(module: Module, node: ast.AST, text: ast.expr) -> bool:
    caught = {
        ancestor.name
        for ancestor in module.ancestors(node)
        if isinstance(ancestor, ast.ExceptHandler) and ancestor.name
    }
    named = {part.id for part in ast.walk(text) if isinstance(part, ast.Name)}
    return bool(named & caught) or bool(named & {"e", "err", "error", "exc", "exception"})


@check(
    "FSP409",
    Severity.MISLEADING,
    "an exception that is swallowed",
    why="The error of the handler, whatever it is, leaves no traceback in any log and reaches "
    "no client.",
    fix="Delete the `try`, or catch the one exception that is expected; `on_error_default` is the "
    "place to log the rest.",
    evidence=(f"{FAILURES}4-noise-whenever-a-client-leaves", GETTING_STARTED),
)
def swallowed(project: Project) -> Iterator[Place]:
    handlers = {handler.function for handler in project.handlers}
    for module in project.modules:
        for node in module.nodes:
            if not isinstance(node, ast.Try | ast.TryStar):
                continue
            inside = any(one in handlers for one in module.ancestors(node))
            if not inside and not _emits(project, module, node):
                continue
            for handler in node.handlers:
                if _catches_everything(module, handler) and _is_silent(handler):
                    yield Place(module.source, handler.lineno, "except")


def _emits(project: Project, module: Module, node: ast.Try | ast.TryStar) -> bool:
    for statement in node.body:
        for part in ast.walk(statement):
            if isinstance(part, ast.Call) and last_name(part.func) in {"emit", "send"}:
                if isinstance(part.func, ast.Attribute):
                    if project.is_server(module, part.func.value):
                        return True
                elif module.dotted(part.func).startswith("flask_socketio."):
                    return True
    return False


def _catches_everything(module: Module, handler: ast.ExceptHandler) -> bool:
    return handler.type is None or module.dotted(handler.type) in {"Exception", "BaseException"}


def _is_silent(handler: ast.ExceptHandler) -> bool:
    """Tell whether nothing is left of an exception but perhaps a line on standard output."""
    for statement in handler.body:
        match statement:
            case ast.Pass() | ast.Continue() | ast.Break():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
                pass
            case ast.Return(value=value) if value is None or isinstance(value, ast.Constant):
                pass
            case _:
                return False
    return True


@check(
    "FSP410",
    Severity.BREAKS,
    "a log handler that emits",
    why="Emitting logs, and what it logs is emitted: with the library's logger on, one line "
    "becomes a recursion.",
    fix="Let the handler put records into a queue that one background task emits, and leave out the "
    "loggers engineio, socketio and werkzeug.",
    evidence=(f"{FAILURES}2-a-500-on-every-refresh",),
)
def emitting_log_handler(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for one in module.classes:
            if not any(
                module.dotted(base) in {"logging.Handler", "logging.StreamHandler"}
                for base in one.bases
            ):
                continue
            for method in one.body:
                if not isinstance(method, Function) or method.name not in {"emit", "handle"}:
                    continue
                for call in ast.walk(method):
                    if (
                        isinstance(call, ast.Call)
                        and last_name(call.func) in {"emit", "send"}
                        and (
                            module.dotted(call.func).startswith("flask_socketio.")
                            or (
                                isinstance(call.func, ast.Attribute)
                                and project.is_server(module, call.func.value)
                            )
                        )
                    ):
                        yield Place(module.source, call.lineno, one.name)


@check(
    "FSP411",
    Severity.BREAKS,
    "emit() without a client",
    why="Flask-SocketIO's `emit` and `send` answer the current event; a background task has none: "
    "`Working outside of request context`.",
    fix="Call the method of the SocketIO object: `socketio.emit(...)`.",
    evidence=(GETTING_STARTED,),
)
def emit_without_request(project: Project) -> Iterator[Place]:
    seen: set[tuple[str, int]] = set()
    for module, call, target in project.tasks:
        found = project.resolve(module, target, call) if target is not None else None
        if not found:
            continue
        owner, function = found
        if function.decorator_list:  # copy_current_request_context brings the context along
            continue
        for part in ast.walk(function):
            if (
                isinstance(part, ast.Call)
                and owner.dotted(part.func) in {"flask_socketio.emit", "flask_socketio.send"}
                and keyword(part, "namespace") is None
                and (owner.source.path, part.lineno) not in seen
            ):
                seen.add((owner.source.path, part.lineno))
                yield Place(owner.source, part.lineno, last_name(part.func))


@check(
    "FSP412",
    Severity.BREAKS,
    "socketio.emit() with broadcast",
    why="The method of the SocketIO object has no `broadcast` since Flask-SocketIO 5: it raises "
    "`TypeError: unexpected keyword argument`.",
    fix="Delete it: without `to` the method sends to everyone.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/upgrading.html",),
)
def broadcast(project: Project) -> Iterator[Place]:
    for method in ("emit", "send"):
        for module, call in project.server_calls(method):
            option = keyword(call, "broadcast")
            if option:
                yield Place(module.source, option.lineno, "broadcast")


@check(
    "FSP413",
    Severity.STYLE,
    "room= for to=",
    why="`room` is an old name that the documentation no longer has.",
    fix="Write `to=`.",
    evidence=(API,),
)
def room(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for call in module.calls:
            if last_name(call.func) not in {"emit", "send"}:
                continue
            option = keyword(call, "room")
            ours = (
                project.is_server(module, call.func.value)
                if isinstance(call.func, ast.Attribute)
                else module.dotted(call.func).startswith("flask_socketio.")
            )
            if option and keyword(call, "to") is None and ours:
                yield Place(module.source, option.lineno, "room")


@check(
    "FSP414",
    Severity.BREAKS,
    "closing a client's own room",
    why="Since python-socketio 5.17 the room of a session id cannot be closed: `ValueError: cannot "
    "close a sid room`.",
    fix="Call `disconnect()` to end the session.",
    evidence=("https://github.com/miguelgrinberg/python-socketio/blob/main/CHANGES.md",),
)
def close_own_room(project: Project) -> Iterator[Place]:
    for module in project.modules:
        for call in module.calls:
            ours = module.dotted(call.func) == "flask_socketio.close_room" or (
                isinstance(call.func, ast.Attribute)
                and call.func.attr == "close_room"
                and project.is_server(module, call.func.value)
            )
            if ours and call.args and module.dotted(call.args[0]) == "flask.request.sid":
                yield Place(module.source, call.lineno, "close_room")


@check(
    "FSP415",
    Severity.MISLEADING,
    "a health check that does not try the socket",
    why="It passes while no client can open a session: it asks for a page, and the page works.",
    fix="Open a session with python-socketio's client, send an event and wait for its answer.",
    evidence=("https://python-socketio.readthedocs.io/en/latest/client.html",),
)
def blind_diagnosis(project: Project) -> Iterator[Place]:
    for module in project.modules:
        if not HEALTH_NAME.search(module.source.path.rpartition("/")[2]):
            continue
        roots = {origin.partition(".")[0] for origin in module.imports.values()}
        if roots & {"socketio", "websocket", "websockets", "simple_websocket", "flask_socketio"}:
            continue
        if "socket" not in module.source.text.lower() or "transport=" in module.source.text:
            continue
        for call in module.calls:
            if module.dotted(call.func) in {
                "requests.get",
                "httpx.get",
                "urllib.request.urlopen",
            }:
                yield Place(module.source, call.lineno, "request")
                break
