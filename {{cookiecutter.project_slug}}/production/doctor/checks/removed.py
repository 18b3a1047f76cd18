"""FSP6xx: what current releases no longer have."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.project import Project
from production.doctor.registry import check

FLASK_CHANGES = "https://flask.palletsprojects.com/en/stable/changes/"
WERKZEUG_CHANGES = "https://werkzeug.palletsprojects.com/en/stable/changes/"
JINJA_CHANGES = "https://jinja.palletsprojects.com/en/stable/changes/"

FLASK_DECORATORS = {
    "before_first_request": "Flask 2.3",
    "before_app_first_request": "Flask 2.3",
}

FLASK_NAMES = {
    "Markup": "Flask 3.0",
    "escape": "Flask 3.0",
    "_app_ctx_stack": "Flask 3.0",
    "_request_ctx_stack": "Flask 3.0",
    "safe_join": "Flask 2.1",
    "safe_str_cmp": "Flask 2.1",
    "json_available": "Flask 2.1",
}

FLASK_ATTRIBUTES = {"json_encoder": "Flask 2.3", "json_decoder": "Flask 2.3"}

JINJA_NAMES = {
    "Markup": "Jinja 3.1",
    "contextfilter": "Jinja 3.1",
    "contextfunction": "Jinja 3.1",
    "environmentfilter": "Jinja 3.1",
    "environmentfunction": "Jinja 3.1",
    "escape": "Jinja 3.1",
    "evalcontextfilter": "Jinja 3.1",
    "evalcontextfunction": "Jinja 3.1",
}

GEVENT_SOCKETIO = frozenset(
    {
        "socketio.mixins.BroadcastMixin",
        "socketio.mixins.RoomsMixin",
        "socketio.namespace.BaseNamespace",
        "socketio.server.SocketIOServer",
        "socketio.socketio_manage",
    }
)

WERKZEUG_ORIGINS = {
    "werkzeug.BaseResponse": "Werkzeug 1.0",
    "werkzeug.check_password_hash": "Werkzeug 1.0",
    "werkzeug.contrib": "Werkzeug 1.0",
    "werkzeug.generate_password_hash": "Werkzeug 1.0",
    "werkzeug.secure_filename": "Werkzeug 1.0",
    "werkzeug.security.pbkdf2_hex": "Werkzeug 2.1",
    "werkzeug.security.safe_str_cmp": "Werkzeug 2.1",
    "werkzeug.url_encode": "Werkzeug 1.0",
    "werkzeug.urls.Href": "Werkzeug 2.1",
    "werkzeug.urls.url_decode": "Werkzeug 3.0",
    "werkzeug.urls.url_encode": "Werkzeug 3.0",
    "werkzeug.urls.url_join": "Werkzeug 3.0",
    "werkzeug.urls.url_parse": "Werkzeug 3.0",
    "werkzeug.urls.url_quote": "Werkzeug 3.0",
    "werkzeug.urls.url_unquote": "Werkzeug 3.0",
    "werkzeug.wrappers.BaseRequest": "Werkzeug 2.1",
    "werkzeug.wrappers.BaseResponse": "Werkzeug 2.1",
}


def _imported(project: Project, root: str) -> Iterator[tuple[Place, str]]:
    """Yield where something of a package is imported, and its dotted name."""
    for module in project.modules:
        for node in module.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom) and module.is_guarded(node):
                continue
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                if node.module.partition(".")[0] == root:
                    for alias in node.names:
                        name = f"{node.module}.{alias.name}"
                        yield Place(module.source, alias.lineno, alias.name), name
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.partition(".")[0] == root:
                        yield Place(module.source, alias.lineno, alias.name), alias.name


def _used(project: Project, dotted: dict[str, str]) -> Iterator[tuple[Place, str]]:
    """Yield where an attribute of an imported package is used, and when it was removed."""
    for module in project.modules:
        for node in module.nodes:
            if isinstance(node, ast.Attribute) and module.imports:
                name = module.dotted(node)
                if name in dotted and not module.is_guarded(node):
                    yield Place(module.source, node.lineno, node.attr), dotted[name]


def _removed(place: Place, version: str) -> Place:
    return Place(
        place.source, place.line, place.subject, f"`{place.subject}` was removed in {version}"
    )


@check(
    "FSP601",
    Severity.BREAKS,
    "a part of Flask that is gone",
    why="The app does not start, or fails at this line, with the Flask that is installed today.",
    fix="Do once in the app factory what was done before the first request; import `escape` and "
    "`Markup` from markupsafe; set `app.json` instead of the encoder.",
    evidence=(FLASK_CHANGES,),
)
def removed_from_flask(project: Project) -> Iterator[Place]:
    for place, name in _imported(project, "flask"):
        version = FLASK_NAMES.get(name.removeprefix("flask."))
        if name in {"flask.json.JSONEncoder", "flask.json.JSONDecoder"}:
            version = "Flask 2.3"
        if name.startswith("flask.ext"):
            version = "Flask 1.0"
        if version:
            yield _removed(place, version)
    uses = {f"flask.{name}": version for name, version in FLASK_NAMES.items()}
    for place, version in _used(project, uses):
        yield _removed(place, version)
    for module in project.modules:
        for node in module.nodes:
            if not isinstance(node, ast.Attribute) or module.is_guarded(node):
                continue
            if node.attr in FLASK_DECORATORS:
                place = Place(module.source, node.lineno, node.attr)
                yield _removed(place, FLASK_DECORATORS[node.attr])
            elif node.attr in FLASK_ATTRIBUTES and isinstance(node.ctx, ast.Store):
                place = Place(module.source, node.lineno, node.attr)
                yield _removed(place, FLASK_ATTRIBUTES[node.attr])


@check(
    "FSP602",
    Severity.BREAKS,
    "an extension that current Flask breaks",
    why="The extension was given up and fails when it is imported with the Flask of today.",
    fix="Use the `flask` command and `@app.cli.command()` instead.",
    evidence=("https://flask.palletsprojects.com/en/stable/cli/",),
)
def abandoned_extension(project: Project) -> Iterator[Place]:
    for place, _ in _imported(project, "flask_script"):
        detail = "`flask_script` imports what was removed in Flask 2.0"
        yield Place(place.source, place.line, "flask_script", detail)


@check(
    "FSP603",
    Severity.BREAKS,
    "a part of Jinja that is gone",
    why="The import fails with the Jinja that is installed today.",
    fix="Import `escape` and `Markup` from markupsafe, and `pass_context` and its kin from jinja2.",
    evidence=(JINJA_CHANGES,),
)
def removed_from_jinja(project: Project) -> Iterator[Place]:
    for place, name in _imported(project, "jinja2"):
        version = JINJA_NAMES.get(name.rpartition(".")[2])
        if version and name.count(".") == 1:
            yield _removed(place, version)
    uses = {f"jinja2.{name}": version for name, version in JINJA_NAMES.items()}
    for place, version in _used(project, uses):
        yield _removed(place, version)


@check(
    "FSP604",
    Severity.BREAKS,
    "a part of Werkzeug that is gone",
    why="The import fails with the Werkzeug that is installed today.",
    fix="Import it from where it is now: `werkzeug.utils`, `werkzeug.security`, `urllib.parse`, "
    "`hmac.compare_digest`.",
    evidence=(WERKZEUG_CHANGES,),
)
def removed_from_werkzeug(project: Project) -> Iterator[Place]:
    for place, name in _imported(project, "werkzeug"):
        for origin, version in WERKZEUG_ORIGINS.items():
            if name == origin or name.startswith(f"{origin}."):
                yield _removed(place, version)


@check(
    "FSP605",
    Severity.BREAKS,
    "an async mode that does not exist",
    why="SocketIO refuses an async mode that it does not know: `Invalid async_mode specified`.",
    fix='Write "threading", "gevent" or "eventlet".',
    evidence=("https://github.com/miguelgrinberg/python-socketio/issues/35",),
)
def unknown_mode(project: Project) -> Iterator[Place]:
    known = {"threading", "gevent", "gevent_uwsgi", "eventlet", None}
    for option in project.options_named("async_mode"):
        value = option.constant
        if (isinstance(value, str) or value is None) and value not in known:
            yield Place(option.module.source, option.line, "async_mode", f"`{value}`")


@check(
    "FSP606",
    Severity.BREAKS,
    "a part of Socket.IO's server that is gone",
    why="The app was written for a Flask-SocketIO before 5.0, and fails at this line with the one that "
    "is installed today.",
    fix="Call `socketio.server.get_environ(sid)`; leave namespaces, rooms and the server to "
    "`flask_socketio`.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/upgrading.html",),
)
def removed_from_socketio(project: Project) -> Iterator[Place]:
    for place, name in _imported(project, "socketio"):
        if name in GEVENT_SOCKETIO and project.module_named("socketio") is None:
            yield Place(
                place.source,
                place.line,
                place.subject,
                f"`{place.subject}` is of gevent-socketio, which Flask-SocketIO 1.0 gave up",
            )
    for module in project.modules:
        for node in module.nodes:
            match node:
                case ast.Subscript(
                    value=ast.Attribute(
                        attr="environ", value=ast.Attribute(attr="server", value=owner)
                    )
                ) if project.is_server(module, owner):
                    detail = (
                        "`environ` has had other keys than `request.sid` since Flask-SocketIO 5.0"
                    )
                    yield Place(module.source, node.lineno, "environ", detail)
