"""FSP0xx: whether the project is one that this tool, and the layer, can help."""

from __future__ import annotations

from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.project import Project
from production.doctor.registry import check


@check(
    "FSP001",
    Severity.BREAKS,
    "no Flask-SocketIO",
    why="This is an app for another server (Django Channels, ASGI), which Flask-SocketIO's layer "
    "cannot serve.",
    fix="Serve it with an ASGI server, and put page and WebSockets behind one proxy on one port.",
    evidence=("https://channels.readthedocs.io/en/stable/deploying.html",),
)
def not_flask(project: Project) -> Iterator[Place]:
    if project.uses_flask_socketio:
        return
    for module in project.modules:
        for node in module.nodes:
            line = getattr(node, "lineno", 0)
            names = [name.name for name in getattr(node, "names", []) if hasattr(name, "name")]
            origin = getattr(node, "module", None)
            if any(
                str(name).partition(".")[0] in {"channels", "daphne"} for name in (*names, origin)
            ):
                yield Place(module.source, line, "channels")
                return
