"""The production layer: what a Flask-SocketIO app needs around it to be served for good.

An app calls :func:`init_app` once. Updates of the template replace this package; change the
settings, not the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask
    from flask_socketio import SocketIO

    from production.once import once_per_service
    from production.settings import Settings

__all__ = ["init_app", "once_per_service"]


def init_app(app: Flask, socketio: SocketIO, settings: Settings | None = None) -> None:
    """Put the layer around an app.

    :param app: the Flask app, with its routes or without them yet.
    :param socketio: the app's Flask-SocketIO object, made without an app.
    :param settings: what to use instead of the settings of this process.
    :raises ConfigurationError: if the service would not be safe or could not work.
    """
    # Imported here so that the gunicorn master, which must stay unpatched and light, can use the
    # parts of this package that it needs.
    from production import bootstrap
    from production.realtime import attaching
    from production.settings import current_settings

    if settings is None and not bootstrap.is_served():
        _init_for_commands(app, socketio, current_settings())
        return
    settings = settings or current_settings()
    bootstrap.check_releases()
    bootstrap.check_patch(settings.async_mode)
    _configure(app, settings)
    attaching.attach(app, socketio, settings)
    surround(app, socketio, settings)


def _init_for_commands(app: Flask, socketio: SocketIO, settings: Settings) -> None:
    """Put around an app what a process needs that uses it and serves nobody."""
    from production import unserved
    from production.realtime import attaching

    _configure(app, settings)
    manager = unserved.CommandManager(unserved.emitter_for(settings))
    apart = unserved.settings_for_commands(settings)
    attaching.attach(app, socketio, apart, manager)
    surround(app, socketio, apart)
    unserved.be_used_only(app)


def _configure(app: Flask, settings: Settings) -> None:
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=settings.max_request_bytes,
    )


def surround(app: Flask, socketio: SocketIO, settings: Settings, *, adopted: bool = False) -> None:
    """Put around an app what surrounds its Socket.IO server.

    :param app: the app.
    :param socketio: its Flask-SocketIO object, with its server.
    :param settings: the settings of the process.
    :param adopted: whether the app knows nothing of the layer, and may have routes and guards that
        must not reach those of the layer.
    """
    from production.browser import assets, diagnostics, ops
    from production.http import beside, errors, health, proxy, requests
    from production.observe import reports, traces
    from production.observe.lag import LoopLag
    from production.realtime import attaching, contexts
    from production.realtime.channels import open_channels
    from production.realtime.outage import outage_of
    from production.state import ServiceState

    attaching.start(socketio)
    contexts.init_app(app)
    outage = outage_of(socketio.server.manager)
    channels = open_channels(socketio.server, settings, outage)
    state = ServiceState(
        settings, socketio, LoopLag(socketio.server, settings.max_loop_lag), channels, outage
    )
    app.extensions["production"] = state

    if settings.reload:
        # Flask reads a template again in its debug mode only.
        app.jinja_env.auto_reload = True
    traces.init_app(app, socketio.server, settings)
    reports.init(socketio.server, settings)
    errors.init_app(app)
    layer = beside.make(state) if adopted else app
    health.init_app(layer, state)
    assets.init_app(layer)
    diagnostics.init_app(layer, state)
    ops.init_app(layer, state)
    if adopted:
        beside.mount(app, layer)
    requests.init_app(app)
    proxy.init_app(app, settings.trusted_proxies)


def __getattr__(name: str) -> Any:
    # On demand, for the same reason.
    if name == "once_per_service":
        from production.once import once_per_service

        return once_per_service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
