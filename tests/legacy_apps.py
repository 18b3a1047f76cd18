"""The apps of the write-ups: where they are, how their owners start them, and how they migrate."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from baking import BakedProject, adopt

LEGACY = Path(__file__).resolve().parent / "legacy"

# The fifth write-up is about Django; two_ports_flask has its ports and its page on Flask-SocketIO.
STARTS = {
    "audio_monitor": "python run.py",
    "whisper_panel": "python main.py",
    "desktop_app": "python backend/simple_app.py",
    "trading_push": "python app.py",
    "two_ports_flask": "python run_socket_server.py",
}

# What their owners set for production.
SECRET = "kD83h-sPq20vXz91mLw7Tb45nRy6Ua3CeF"


def migrate(name: str, directory: Path) -> BakedProject:
    """Copy an app and put the layer around it with the one command.

    :param name: its folder's name.
    :param directory: where to put the copy.
    """
    folder = directory / name
    shutil.copytree(LEGACY / name, folder)
    return adopt(folder, STARTS[name])


def changed_files(name: str, project: BakedProject) -> list[str]:
    """List the files of an app that are not in its migrated copy as they were."""
    names = [
        str(path.relative_to(LEGACY / name))
        for path in (LEGACY / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    _, different, missing = filecmp.cmpfiles(LEGACY / name, project.path, names, shallow=False)
    return sorted(different + missing)
