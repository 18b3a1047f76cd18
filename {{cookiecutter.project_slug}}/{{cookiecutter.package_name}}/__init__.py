"""The service: a live board whose channels anyone can watch and write to."""

from __future__ import annotations

from flask import Flask

import production
from production.settings import Settings

from . import api, events, pages
from .extensions import socketio
from .settings import OwnSettings


def create_app(settings: Settings | None = None) -> Flask:
    """Make the app.

    :param settings: what to use instead of the environment, in tests.
    """
    app = Flask(__name__)
    own = OwnSettings.load()
    app.config.update(
        TITLE={{ cookiecutter.project_name | python_string }},
        DESCRIPTION={{ cookiecutter.description | python_string }},
        # Where Flask-SQLAlchemy looks for it.
        SQLALCHEMY_DATABASE_URI=own.database_url.get_secret_value(),
    )
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(api.blueprint)
    events.register(socketio)
    production.init_app(app, socketio, settings)
    return app
