"""What the generator looks at in a folder before it puts the layer around the app there.

Nothing of it is run or imported: an app may do anything when it is.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

STAGING_PREFIX = ".adopting-"

# What the layer is generated from; its static parts run from here, with the standard library only.
TEMPLATE = Path(__file__).parent / "{{cookiecutter.project_slug}}"

# Where packages of other origin live, or what is no source.
NOT_THE_APP = frozenset(
    {"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"}
)

# How the layer's own package begins, so that it is told from one of the same name.
LAYER = '"""The production layer:'

# Its own name, and the one under which the extensions of Flask 0.x were imported.
FLASK_SOCKETIO = re.compile(rb"\bflask(_|\.ext\.)socketio\b")

# Where Flask's command looks for the app if it is told nothing else, and what else may tell it.
FLASK_DEFAULTS = ("wsgi.py", "app.py")
FLASK_ENVIRONMENT = (".flaskenv", ".env")

# Files that would not be read, or whose names would hide the layer's, and cannot be given another.
NAMES_THAT_ARE_NEEDED = ("production.py", "production.toml")


def load_start() -> ModuleType:
    """Load the layer's reader of start commands, which needs the standard library only.

    Without byte code: cookiecutter would copy it into every project.
    """
    path = TEMPLATE / "production/adopt/start.py"
    name = "existing_project_start"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def fault_of_start(existing_app: str) -> str | None:
    """Say what is wrong with the answer that names the app, if anything is."""
    start = load_start()
    try:
        start.parse(existing_app)
    except start.UnknownStart as fault:
        return str(fault)
    return None


def fault_of_folder(folder: Path, name: str, existing_app: str) -> str | None:
    """Say in one sentence why the app of a folder cannot be adopted, if it cannot.

    :param folder: the folder.
    :param name: what the answers call it.
    :param existing_app: how the app is started.
    """
    if not folder.is_dir():
        return (
            f"project_slug {_quoted(name)} names no folder in {folder.parent}: run cookiecutter in "
            "the folder that holds your project, or name that one with --output-dir."
        )
    sources = list(python_files(folder))
    if not sources:
        return f"{_quoted(name)} holds no Python file: existing_app adopts a Python project."
    if fault := _taken_name(folder, name):
        return fault
    if fault := _missing_start(folder, existing_app):
        return f"existing_app {_quoted(existing_app)} {fault}."
    if not any(_mentions_flask_socketio(path) for path in sources):
        return (
            f"no file in {_quoted(name)} imports flask_socketio: only a Flask-SocketIO app can be "
            "adopted, any WSGI server serves another one."
        )
    return _fault_of_releases(folder, existing_app)


def _fault_of_releases(folder: Path, existing_app: str) -> str | None:
    """Say what of an app cannot run on the releases that the layer installs."""
    reader = load_start()
    start = reader.parse(existing_app)
    command = [sys.executable, "-B", "-m", "production.adopt.outdated", str(folder.resolve())]
    if entry := _entry(folder, start):
        command += ["--entry", Path(os.path.relpath(entry, folder)).as_posix()]
    if start.way is not reader.Way.IMPORT and not start.by_flask:
        command.append("--script")
    if start.attribute:
        command.append(f"--factory={start.attribute}")
    checked = subprocess.run(  # noqa: S603  this very template
        command, cwd=TEMPLATE, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    return checked.stdout.strip() or None


def holds_the_layer(folder: Path) -> bool:
    """Tell whether a folder has the layer already."""
    try:
        return (folder / "production" / "__init__.py").read_text(encoding="utf-8").startswith(LAYER)
    except (OSError, UnicodeDecodeError):
        return False


def _taken_name(folder: Path, name: str) -> str | None:
    if holds_the_layer(folder):
        return None
    if os.path.lexists(folder / "production"):
        return (
            f"{_quoted(name)} has a production of its own, and the layer is a package of that name: "
            "rename yours first."
        )
    for needed in NAMES_THAT_ARE_NEEDED:
        if os.path.lexists(folder / needed):
            return (
                f"{_quoted(name)} has a {needed} of its own, and the layer needs that name: rename "
                "yours first."
            )
    return None


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a project, but not those of its environments."""
    for root, directories, files in os.walk(folder):
        directories[:] = [
            directory
            for directory in directories
            if directory not in NOT_THE_APP
            and not directory.startswith(".")
            and not (Path(root) / directory / "pyvenv.cfg").exists()
        ]
        yield from (Path(root, file) for file in files if file.endswith(".py"))


def _mentions_flask_socketio(path: Path) -> bool:
    try:
        return FLASK_SOCKETIO.search(path.read_bytes()) is not None
    except OSError:
        return False


def _missing_start(folder: Path, existing_app: str) -> str | None:
    """Say what of a start command is not there."""
    reader = load_start()
    start = reader.parse(existing_app)
    if not (folder / start.directory).is_dir():
        return f"changes to {start.directory}, which does not exist"
    entry = _entry(folder, start)
    if start.way is reader.Way.SCRIPT:
        return None if entry else f"runs {start.target}, which does not exist"
    if start.by_flask:
        return None if entry else _nothing_for_flask(folder, start)
    if start.way is reader.Way.MODULE:
        return None if entry else f"runs the module {start.target}, which does not exist"
    if entry is None:
        return f"names the module {start.target}, which does not exist"
    if _may_define(entry, start.attribute):
        return None
    return f"names {start.attribute}, which {os.path.relpath(entry, folder)} does not define"


def _entry(folder: Path, start: Any) -> Path | None:
    """Return the file that starts the app, if it is there."""
    reader = load_start()
    directory = folder / start.directory
    if start.way is reader.Way.SCRIPT:
        script = directory / start.target
        return next((path for path in (script, script / "__main__.py") if path.is_file()), None)
    roots = [directory, directory / "src"]
    if start.by_flask:
        if not start.flask_app:
            found = (directory / name for name in FLASK_DEFAULTS)
            return next((path for path in found if path.is_file() and not _is_layers(path)), None)
        named = start.flask_app.partition(":")[0]
        if named.endswith(".py"):
            return directory / named if (directory / named).is_file() else None
        return _find_module(roots, named, inside_package="__init__.py")
    roots += [
        directory / entry for entry in start.environment.get("PYTHONPATH", "").split(os.pathsep)
    ]
    inside_package = "__main__.py" if start.way is reader.Way.MODULE else "__init__.py"
    return _find_module(roots, start.target, inside_package=inside_package)


def _nothing_for_flask(folder: Path, start: Any) -> str | None:
    """Say that Flask's command finds no app, unless a file names one that only it can know."""
    if start.flask_app:
        return f"names {start.flask_app.partition(':')[0]}, which does not exist"
    for name in FLASK_ENVIRONMENT:
        path = folder / start.directory / name
        if path.is_file() and b"FLASK_APP" in path.read_bytes():
            return None
    return (
        "names no app, and there is no app.py, wsgi.py or .flaskenv that does: write for example "
        "flask --app server run"
    )


def _is_layers(path: Path) -> bool:
    return b"from production.adopt import adopt" in path.read_bytes()


def _find_module(roots: list[Path], name: str, *, inside_package: str) -> Path | None:
    """Return the file of a module, or the one inside a package that stands for it."""
    for root in roots:
        path = root.joinpath(*name.split("."))
        for candidate in (path / inside_package, path.with_name(f"{path.name}.py")):
            if candidate.is_file():
                return candidate
    return None


def _may_define(module: Path, name: str) -> bool:
    """Tell whether a module may have a name; what cannot be read, or imports all, may have any."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(module.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    return any(_binds(node, name) for node in ast.walk(tree))


def _binds(node: Any, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return node.name in {name, "__getattr__"}
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return node.name == "*" or (node.asname or node.name.partition(".")[0]) == name
    return False


def _quoted(value: str) -> str:
    return json.dumps(value)
