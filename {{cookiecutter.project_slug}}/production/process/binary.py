"""What the single-file binary runs: gunicorn with the service's configuration.

It understands ``-m`` as Python does, since the layer starts some of its parts as ``python -m ...``
with whatever runs it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the module that is named on the command line, or else gunicorn."""
    if sys.argv[1:2] == ["-m"] and len(sys.argv) > 2:
        module = sys.argv[2]
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        serve()


def serve() -> None:
    """Run gunicorn with what the binary holds, and the options of the command line."""
    from gunicorn.app.wsgiapp import run

    inside = Path(sys._MEIPASS)  # type: ignore[attr-defined]  # where PyInstaller unpacks
    sys.argv[1:1] = ["--config", str(inside / "gunicorn.conf.py")]
    run()


if __name__ == "__main__":
    main()
