"""Runs a script as its owner does, but on a free port of the loopback interface.

``python legacy_launch.py run.py``: the host and the port of an old app stand in its code, and
several of them have to run beside each other. This file is run by the old stack's own Python.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import werkzeug.serving

run_simple = werkzeug.serving.run_simple


def run_somewhere(_host: str, _port: int, application: Any, **options: Any) -> None:
    """Serve as the development server does, wherever there is room."""
    run_simple("127.0.0.1", 0, application, **options)


werkzeug.serving.run_simple = run_somewhere  # type: ignore[assignment]
del sys.argv[0]
sys.path[0] = str(Path(sys.argv[0]).parent.resolve())
runpy.run_path(sys.argv[0], run_name="__main__")
