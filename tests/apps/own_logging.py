"""The generated service, with logging configured as Flask's documentation has it, and a file beside it."""

from __future__ import annotations

import logging
import os
from logging.config import dictConfig

dictConfig(
    {
        "version": 1,
        "formatters": {
            "default": {"format": "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"}
        },
        "handlers": {
            "wsgi": {
                "class": "logging.StreamHandler",
                "stream": "ext://flask.logging.wsgi_errors_stream",
                "formatter": "default",
            },
            "file": {
                "class": "logging.FileHandler",
                "filename": os.environ["LOG_FILE"],
                "formatter": "default",
            },
        },
        "root": {"level": "WARNING", "handlers": ["wsgi", "file"]},
    }
)

from live_board import create_app  # noqa: E402
from live_board.extensions import socketio  # noqa: E402

theirs = logging.getLogger("theirs")
theirs.addHandler(logging.StreamHandler())


@socketio.on("fail")
def fail() -> None:
    raise RuntimeError("as ever")


@socketio.on("say")
def say(text: str) -> None:
    theirs.warning("said %s", text)
    theirs.info("whispered %s", text)


app = create_app()
