"""FSP7xx: releases of libraries that have known faults, or do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.project import Project
from production.doctor.registry import FLASK_SOCKETIO, check
from production.doctor.requirements import Required, required, requirements


def at(one: Required, detail: str = "") -> Place:
    """Return the place of a requirement."""
    return Place(one.source, one.line, one.name, detail)


@check(
    "FSP701",
    Severity.BREAKS,
    "a Flask-SocketIO from before 5.0",
    why="Releases before 5.0 speak an old protocol, to clients before 3.0 only, and the code "
    "around them may use what 5.0 removed.",
    fix="Require Flask-SocketIO 5.5 or newer, and a 3.x or 4.x client in the pages.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/upgrading.html",),
)
def old_flask_socketio(project: Project) -> Iterator[Place]:
    for one in required(project, "flask-socketio"):
        if not one.accepts_any(("5.0.0", "5.5.1", "5.6.1", "5.7.0")):
            yield at(one)


@check(
    "FSP702",
    Severity.MISLEADING,
    "a python-engineio that reports errors where none are",
    why="Up to 4.13.3 each WebSocket that closes on the development server leaves `write() before "
    "start_response` and a 500 in the log.",
    fix="Require `python-engineio>=4.15.1`.",
    evidence=(
        "https://github.com/miguelgrinberg/python-engineio/issues/457",
        "docs/failures.md#1-write-before-start_response",
    ),
)
def noisy_engineio(project: Project) -> Iterator[Place]:
    for one in required(project, "python-engineio"):
        if not one.accepts_any(("4.13.4", "4.15.1", "4.16.0")):
            yield at(one)


@check(
    "FSP703",
    Severity.STYLE,
    "a python-engineio of any age",
    why="Upgrading Flask-SocketIO alone keeps an old python-engineio and its faults.",
    fix="Add `python-engineio>=4.15.1`.",
    evidence=("https://github.com/miguelgrinberg/python-engineio/issues/457",),
)
def unbounded_engineio(project: Project) -> Iterator[Place]:
    engineio = required(project, "python-engineio")
    for one in engineio:
        if not one.releases:
            yield at(one)
    if not engineio:
        for one in required(project, "flask-socketio"):
            yield at(one)


@check(
    "FSP704",
    Severity.BREAKS,
    "redis 8.0.0",
    why="This release's read time-out kills the message queue's listener every few seconds, and "
    "messages between processes are lost.",
    fix="Require `redis>=8.1`, or `redis!=8.0.0`.",
    evidence=("https://github.com/open-webui/open-webui/pull/26462",),
)
def deaf_redis(project: Project) -> Iterator[Place]:
    for one in required(project, "redis"):
        pinned = any(
            part.operator in {"==", "~=", "==="} and part.version.startswith("8.0")
            for part in one.releases
        )
        if pinned and one.releases.contains("8.0.0") and not one.releases.contains("8.0.1"):
            yield at(one)


@check(
    "FSP705",
    Severity.UNSAFE,
    "a python-socketio that unpickles what the queue holds",
    why="Before 5.14 whoever can write to the message queue can run code in every worker "
    "(CVE-2025-61765).",
    fix="Require `python-socketio>=5.18`.",
    evidence=("https://nvd.nist.gov/vuln/detail/CVE-2025-61765",),
)
def unpickling_queue(project: Project) -> Iterator[Place]:
    for one in required(project, "python-socketio"):
        if not one.accepts_any(("5.14.0", "5.14.3", "5.16.1", "5.18.1", "5.19.0")):
            yield at(one)


@check(
    "FSP706",
    Severity.BREAKS,
    "gunicorn's gevent worker without what it imports",
    why="Since gunicorn 26.1 the gevent worker needs a package that only the extra brings: "
    "`No module named 'packaging'`.",
    fix="Require `gunicorn[gevent]`.",
    evidence=("https://docs.gunicorn.org/en/stable/news.html",),
)
def gevent_without_extra(project: Project) -> Iterator[Place]:
    if not required(project, "gevent") or required(project, "packaging"):
        return
    for one in required(project, "gunicorn"):
        if "gevent" not in one.extras and one.accepts_any(("26.1.0", "27.0.1")):
            yield at(one)


@check(
    "FSP707",
    Severity.BREAKS,
    "gevent-websocket",
    why="Where it is installed and gunicorn runs its plain gevent worker, every WebSocket is answered "
    "500: `gevent-websocket server is not configured appropriately`.",
    fix="Remove it: simple-websocket serves WebSockets with gevent.",
    evidence=("https://flask-socketio.readthedocs.io/en/latest/deployment.html",),
)
def gevent_websocket(project: Project) -> Iterator[Place]:
    from production.doctor.commands import worker_classes

    if any("geventwebsocket" in name for name in worker_classes(project)):
        return
    for one in required(project, "gevent-websocket"):
        yield at(one)


@check(
    "FSP708",
    Severity.BREAKS,
    "Flask 3.1.3 with an older Flask-SocketIO",
    why="Flask 3.1.3 moved where the session lives; event handlers of Flask-SocketIO before 5.6.1 "
    "cannot set it there.",
    fix="Require Flask-SocketIO 5.6.1 or newer.",
    evidence=(f"{FLASK_SOCKETIO}2153",),
)
def session_moved(project: Project) -> Iterator[Place]:
    flask = required(project, "flask")
    if not flask or any(not one.accepts_any(("3.1.3",)) or _accepts_older(one) for one in flask):
        return
    for one in required(project, "flask-socketio"):
        if not one.accepts_any(("5.6.1", "5.7.0")) and one.accepts_any(("5.0.0", "5.5.1", "5.6.0")):
            yield at(one)


def _accepts_older(one: Required) -> bool:
    older = ("2.3.3", "3.0.3", "3.1.0", "3.1.2")
    return any(one.releases.contains(release) for release in older)


@check(
    "FSP709",
    Severity.BREAKS,
    "Flask-Script",
    why="It was given up in 2017 and fails when it is imported with the Flask of today.",
    fix="Remove it, and use the `flask` command.",
    evidence=("https://flask.palletsprojects.com/en/stable/cli/",),
)
def flask_script(project: Project) -> Iterator[Place]:
    for one in requirements(project):
        if one.name == "flask-script":
            yield at(one)
