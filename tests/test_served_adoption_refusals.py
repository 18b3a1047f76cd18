"""Apps that cannot be served as they are started: one sentence each, and nothing listens."""

from __future__ import annotations

import re
from pathlib import Path
from secrets import token_urlsafe

import pytest

from baking import BakedProject, adopt
from served import ServedProject

APP = """\
import sys, time, threading
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
app.secret_key = 'key'
socketio = SocketIO(app)
plain = Flask('plain')
keyless = Flask('keyless')
SocketIO(keyless)
number = 5
def failing(): raise LookupError('no database')
def serve(what): what.run()
if __name__ == '__main__':
    {main}
"""

SCRIPTS = {
    "a script that ends": ("pass", "python run.py ended without serving its app"),
    "a script that fails": (
        "failing()",
        "failed before it served its app: LookupError: no database",
    ),
    "a script that exits": ("sys.exit(3)", "python run.py exited with 3 before it served its app"),
    "a script that never serves": ("time.sleep(60)", "did not serve its app within 3.2 s"),
    "an app without Flask-SocketIO": ("plain.run()", "serves an app without Flask-SocketIO"),
    "an app without a secret": ("keyless.run()", "The app has no SECRET_KEY, and none is set"),
}

IMPORTS = {
    "no such module": ("missing:app", "failed before it served its app: ModuleNotFoundError"),
    "no such name": ("run:application", "the module run has no application"),
    "what is no app": ("run:number", "is of type int, which is no WSGI application"),
    "a factory that fails": ("run:failing()", "LookupError: no database"),
    "an unknown start": ("make run", "EXISTING_APP does not begin with a program"),
}


@pytest.fixture
def project(tmp_path: Path) -> BakedProject:
    """An adopted app whose main part a test writes."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "run.py").write_text(APP.format(main="app.run()"))
    return adopt(folder, "python run.py")


def refused(project: BakedProject, *arguments: str, **environment: str) -> str:
    """Start a service that must not start, and return its log."""
    log_path = project.path / "service.log"
    log_path.unlink(missing_ok=True)
    served = ServedProject(project, log_path, environment, arguments)
    try:
        assert served.wait() != 0
    finally:
        served.stop()
    assert len(re.findall(r"Refusing to start\.", served.log_text())) == 1
    return served.log_text()


@pytest.mark.parametrize(("main", "sentence"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_start_that_serves_nothing_is_refused(
    project: BakedProject, main: str, sentence: str
) -> None:
    (project.path / "run.py").write_text(APP.format(main=main))
    assert sentence in refused(project, WORKER_TIMEOUT="4")


@pytest.mark.parametrize(("existing_app", "sentence"), IMPORTS.values(), ids=IMPORTS)
def test_an_import_that_yields_no_app_is_refused(
    project: BakedProject, existing_app: str, sentence: str
) -> None:
    assert sentence in refused(project, EXISTING_APP=existing_app)


@pytest.mark.parametrize(
    ("arguments", "environment"), [(("-w", "2"), {}), ((), {"WEB_CONCURRENCY": "2"})]
)
def test_several_workers_are_refused_to_an_app_that_keeps_state(
    project: BakedProject, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Or, if there is nothing against it but the queue, with the reason why they are allowed."""
    script = project.path / "run.py"
    stateless = script.read_text()
    script.write_text(
        stateless.replace("number = 5", "users = {}\n@app.route('/')\ndef add(): users[1] = 2")
    )
    refusal = refused(project, *arguments, **environment)
    assert "users at run.py:10" in refusal
    assert "SEVERAL_WORKERS=true" in refusal
    without_queue = refused(project, *arguments, **environment, SEVERAL_WORKERS="true")
    assert "2 workers: SEVERAL_WORKERS says that the app may have them" in without_queue
    assert "set REDIS_URL" in without_queue
    script.write_text(stateless)
    assert "2 workers: the checker finds nothing" in refused(project, *arguments, **environment)


def test_several_workers_are_refused_where_each_would_draw_its_own_secret(
    project: BakedProject,
) -> None:
    script = project.path / "run.py"
    script.write_text("import os\n" + script.read_text().replace("'key'", "os.urandom(16)"))
    for environment in ({}, {"SEVERAL_WORKERS": "true"}):
        refusal = refused(project, "-w", "2", **environment)
        assert "draws a SECRET_KEY of its own in each, at run.py:6" in refusal
    allowed = refused(project, "-w", "2", SECRET_KEY=token_urlsafe(48))
    assert "SECRET_KEY" not in allowed


def test_a_secret_that_is_drawn_out_of_sight_is_noticed_by_the_second_worker(
    project: BakedProject, message_queue: str
) -> None:
    (project.path / "hidden.py").write_text("import os\ndef draw(): return os.urandom(16)\n")
    script = project.path / "run.py"
    drawn = "from hidden import draw\n" + script.read_text().replace("'key'", "draw()")
    script.write_text(drawn)
    assert "SECRET_KEY is another one in each" in refused(
        project, "-w", "2", REDIS_URL=message_queue
    )


def test_several_workers_are_refused_where_a_file_cannot_be_read(project: BakedProject) -> None:
    (project.path / "more.py").write_text("print 'two'")
    assert "more.py (not checked: not Python 3" in refused(project, "-w", "2")


@pytest.mark.parametrize("mode", ["gevent", "threading"])
def test_an_app_that_calls_the_library_of_another_mode_is_refused(
    project: BakedProject, mode: str
) -> None:
    script = project.path / "run.py"
    script.write_text("import eventlet\n" + script.read_text().format())
    main = "eventlet.spawn(failing); app.run()"
    script.write_text(script.read_text().replace("app.run()", main))
    assert "The app calls eventlet.spawn in run.py:15" in refused(project, ASYNC_MODE=mode)


def test_a_secret_of_the_environment_is_held_to_the_same_standard(project: BakedProject) -> None:
    assert "SECRET_KEY is a well-known default" in refused(project, SECRET_KEY="secret")
