"""The generator over a repository: what it adds, what it leaves alone, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import (
    ASYNC_MODES,
    ODD_TEXT,
    PROJECT_TEMPLATE,
    TEMPLATE,
    BakedProject,
    adopt,
    clean_environment,
    cookiecutter_config,
)
from existing_project import fault_of_folder
from waiting import PATIENCE, WHOLE_PROGRAM

APP = """\
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
socketio = SocketIO(app)
if __name__ == '__main__':
    socketio.run(app)
"""

ADDED = {
    "production",
    "wsgi.py",
    "gunicorn.conf.py",
    "production.toml",
    ".env.example",
    "Makefile",
    "requirements-production.txt",
    "deploy",
    "Dockerfile",
    ".dockerignore",
    "compose.yaml",
    "compose.dev.yaml",
    "Procfile",
    "MIGRATION.md",
}

DIRECTORIES = {"production", "deploy"}

# What a new service gets and an app has of its own, under the names that the template gives them.
THEIRS = (
    "README.md",
    "pyproject.toml",
    ".gitignore",
    ".env",
    "tests/conftest.py",
    "tests/test_board.py",
    "live_board/__init__.py",
    "live_board/templates/index.html",
    "live_board/static/board.js",
    "my_app/templates/index.html",
    "deploy/nginx.conf",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with an app that is started by ``python run.py``."""
    path = tmp_path / "My App.v2"
    path.mkdir()
    (path / "run.py").write_text(APP)
    return path


def cookiecutter(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the one command that the documentation gives."""
    return subprocess.run(
        [
            sys.executable,
            "-B",
            "-m",
            "cookiecutter",
            f"--config-file={cookiecutter_config(folder.parent)}",
            "--no-input",
            "--overwrite-if-exists",
            "--skip-if-file-exists",
            str(TEMPLATE),
            f"project_slug={folder.name}",
            *arguments,
        ],
        cwd=folder.parent,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below a folder with its mode and content; a link is where it points to."""
    found = {}
    for path in folder.rglob("*"):
        content = str(path.readlink()).encode() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def refusal(folder: Path, *arguments: str) -> str:
    """Adopt what cannot be adopted, make sure that nothing is written, and return the sentence."""
    before = snapshot(folder) if folder.exists() else None
    outcome = cookiecutter(folder, *arguments)
    assert outcome.returncode == 1
    assert outcome.stderr == ""
    assert len(outcome.stdout.splitlines()) == 1
    assert (snapshot(folder) if folder.exists() else None) == before
    return outcome.stdout.strip()


class TestWhatIsAdded:
    def test_one_command_adds_the_layer_and_says_what_to_do_next(self, folder: Path) -> None:
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert outcome.returncode == 0, outcome.stdout
        added, enter, run, read = outcome.stdout.splitlines()
        assert set(added.partition(": ")[2].replace("/", "").split(", ")) == ADDED
        assert enter == f"cd '{folder.name}'"
        assert run.startswith("make run ")
        assert read.startswith("MIGRATION.md says")
        assert {path.name for path in folder.iterdir()} == {"run.py"} | ADDED

    def test_the_guide_and_the_report_name_it(self, folder: Path) -> None:
        guide = (TEMPLATE / "docs" / "migrating.md").read_text()
        report = adopt(folder, "python run.py").text("MIGRATION.md").partition("## Going back")[2]
        for name in ADDED:
            assert f"`{name}" in guide
            assert name in report

    def test_the_layer_is_the_template_s(self, folder: Path) -> None:
        adopt(folder, "python run.py")
        ours = snapshot(PROJECT_TEMPLATE / "production")
        found = snapshot(folder / "production")
        assert found.pop(".cruft.json")
        assert {name: content for name, (_, content) in found.items()} == {
            name: content for name, (_, content) in ours.items()
        }

    @pytest.mark.parametrize("mode", ASYNC_MODES)
    def test_the_settings_name_the_app_and_the_mode(self, folder: Path, mode: str) -> None:
        project = adopt(folder, f'python run.py "{ODD_TEXT[0]}" \\\\', async_mode=mode)
        settings = tomllib.loads(project.text("production.toml"))
        assert settings == {
            "service_name": "my-app-v2",
            "async_mode": mode,
            "existing_app": f'python run.py "{ODD_TEXT[0]}" \\\\',
        }

    @pytest.mark.parametrize("mode", ASYNC_MODES)
    def test_the_layer_s_requirements_are_those_of_a_new_service(
        self, folder: Path, mode: str, tmp_path: Path
    ) -> None:
        project = adopt(folder, "python run.py", async_mode=mode)
        lines = project.text("requirements-production.txt").splitlines()
        assert lines[0].startswith("# ")
        names = {line.partition(">")[0] for line in lines[1:]}
        assert {"flask-socketio", "pydantic", "structlog"} < names
        assert ("eventlet" in names) == (mode == "eventlet")
        assert ("gunicorn[gevent]" in names) == (mode == "gevent")

    def test_no_secret_is_written(self, folder: Path) -> None:
        adopt(folder, "python run.py")
        assert not (folder / ".env").exists()

    def test_no_jinja_is_left(self, folder: Path) -> None:
        project = adopt(folder, "python run.py")
        for name in project.files():
            if name.parts[0] == "production":
                continue
            assert "cookiecutter" not in project.text(name)
            assert "{%" not in project.text(name)
            assert "<!--" not in project.text(name)

    @pytest.mark.parametrize("path", ["wsgi.py", "gunicorn.conf.py"])
    def test_the_linter_has_nothing_to_say(self, folder: Path, path: str) -> None:
        project = adopt(folder, "python run.py")
        for command in ("check", "format --check --line-length=100"):
            outcome = project.run(
                sys.executable, "-m", "ruff", *command.split(), "--isolated", "--no-cache", path
            )
            assert outcome.returncode == 0, outcome.stdout


class TestWhatIsTheirs:
    def test_no_file_is_changed_whatever_its_name(self, folder: Path) -> None:
        for name in (*THEIRS, *(ADDED - DIRECTORIES - {"production.toml"})):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"mine: {name}\n")
            path.chmod(0o640)
        (folder / "empty").mkdir()
        (folder / "link").symlink_to("nowhere")
        before = snapshot(folder)
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert outcome.returncode == 0, outcome.stdout
        after = snapshot(folder)
        assert {name: after[name] for name in before} == before
        new = {name.split("/")[0] for name in after} - {name.split("/")[0] for name in before}
        assert new == {"production", "production.toml"}

    @pytest.mark.parametrize(
        "taken", sorted(ADDED - DIRECTORIES - {"production.toml", "MIGRATION.md"})
    )
    def test_what_could_not_be_written_is_listed_with_what_to_merge(
        self, folder: Path, taken: str
    ) -> None:
        (folder / taken).write_text("mine\n")
        outcome = cookiecutter(folder, "existing_app=python run.py")
        [kept] = [line for line in outcome.stdout.splitlines() if line.startswith("Yours and kept")]
        assert kept.endswith(f": {taken}")
        migration = (folder / "MIGRATION.md").read_text()
        assert f"`{taken}` is yours and stays" in migration
        assert (folder / "production" / "to_merge" / taken).read_text() != "mine\n"

    def test_a_directory_is_brought_file_by_file(self, folder: Path) -> None:
        (folder / "deploy" / "nginx").mkdir(parents=True)
        (folder / "deploy" / "nginx" / "hosts.conf").write_text("mine\n")
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert "deploy/" in outcome.stdout.splitlines()[0]
        assert "Yours and kept, see MIGRATION.md: deploy/nginx/hosts.conf" in outcome.stdout
        assert (folder / "deploy" / "nginx" / "hosts.conf").read_text() == "mine\n"
        assert (folder / "deploy" / "nginx" / "sticky.conf").exists()
        kept = folder / "production" / "to_merge" / "deploy" / "nginx"
        assert [path.name for path in kept.iterdir()] == ["hosts.conf"]

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_a_directory_s_name_can_be_taken_too(
        self, folder: Path, tmp_path: Path, kind: str
    ) -> None:
        if kind == "file":
            (folder / "deploy").write_text("mine\n")
        else:
            (tmp_path / "elsewhere").mkdir()
            (folder / "deploy").symlink_to(tmp_path / "elsewhere")
        before = snapshot(folder)
        project = adopt(folder, "python run.py")
        after = snapshot(folder)
        assert {name: after[name] for name in before} == before
        assert "`deploy/` is yours and stays" in project.text("MIGRATION.md")
        assert (folder / "production" / "to_merge" / "deploy" / "nginx" / "hosts.conf").exists()
        if kind == "link":
            assert not list((tmp_path / "elsewhere").iterdir())

    def test_with_every_name_taken_the_layer_s_files_refer_to_each_other(
        self, folder: Path
    ) -> None:
        for name in ("wsgi.py", "gunicorn.conf.py", "makefile", "requirements-production.txt"):
            (folder / name).write_text("mine\n")
        (folder / "Dockerfile").write_text("mine\n")
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert "make -f production/to_merge/Makefile run" in outcome.stdout
        to_merge = folder / "production" / "to_merge"
        assert '"production.adopt.wsgi:app"' in (to_merge / "gunicorn.conf.py").read_text()
        makefile = (to_merge / "Makefile").read_text()
        assert "GUNICORN_CMD_ARGS := --config production/to_merge/gunicorn.conf.py " in makefile
        named = set(re.findall(r"[\w/]*requirements-production\.txt", makefile))
        assert named == {"production/to_merge/requirements-production.txt"}
        assert "make lock" not in makefile
        assert "gunicorn --config production/to_merge/gun" in (folder / "Procfile").read_text()
        assert (
            "dockerfile: production/to_merge/Dockerfile\n" in (folder / "compose.yaml").read_text()
        )
        image = (to_merge / "Dockerfile").read_text()
        assert 'CMD ["gunicorn", "--config", "production/to_merge/gunicorn.conf.py"' in image
        assert "run make -f production/to_merge/Makefile lock" in image
        assert not (folder / "Makefile").exists()
        for way, target in (("systemd", "-C"), ("docker", "lock"), ("grafana", "run")):
            text = (folder / "deploy" / way / "README.md").read_text()
            assert f" make -f production/to_merge/Makefile {target}" in text
        guide = (folder / "deploy" / "docker" / "README.md").read_text()
        assert "docker build --file production/to_merge/Dockerfile --build-arg " in guide
        [unit, several] = sorted((folder / "deploy" / "systemd").glob("*.service"))
        for text in (unit.read_text(), several.read_text()):
            assert '"GUNICORN_CMD_ARGS=--config production/to_merge/gunicorn.conf.py"\n' in text

    def test_the_doctor_has_nothing_to_say_of_the_layer_s_files(self, folder: Path) -> None:
        app = APP.replace("(app)", "(app, async_mode='gevent', ping_timeout=60)", 1)
        (folder / "run.py").write_text(app)
        (folder / "gunicorn.conf.py").write_text("bind = '0.0.0.0:80'\n")
        project = adopt(folder, "python run.py")
        outcome = project.run(sys.executable, "-m", "production.doctor", "check", ".")
        assert outcome.returncode == 0, outcome.stdout

    def test_going_back_removes_nothing_of_theirs(self, folder: Path) -> None:
        mine = ("Makefile", "wsgi.py", "deploy/deploy.sh", "deploy/nginx/hosts.conf")
        for name in mine:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("mine\n")
        before = snapshot(folder)
        report = adopt(folder, "python run.py").text("MIGRATION.md").partition("## Going back")[2]
        commands = [line for line in report.splitlines() if line.startswith("    ")]
        assert commands[0].startswith("    rm -rf production ")
        subprocess.run(["/bin/sh", "-c", "\n".join(commands)], cwd=folder, check=True)
        assert snapshot(folder) == before

    def test_a_folder_with_an_odd_name(self, folder: Path) -> None:
        odd = folder.rename(folder.with_name('Zoë\'s "$app"'))
        outcome = cookiecutter(odd, "existing_app=python run.py")
        assert outcome.returncode == 0, outcome.stdout
        [enter] = [line for line in outcome.stdout.splitlines() if line.startswith("cd ")]
        entered = subprocess.run(
            ["/bin/sh", "-c", enter], cwd=odd.parent, capture_output=True, check=False
        )
        assert entered.returncode == 0, entered.stderr
        assert tomllib.loads((odd / "production.toml").read_text())["service_name"] == "zoe-s-app"

    def test_compose_by_its_older_name_is_not_hidden(self, folder: Path) -> None:
        (folder / "docker-compose.yml").write_text("mine\n")
        adopt(folder, "python run.py")
        assert not (folder / "compose.yaml").exists()
        assert (folder / "production" / "to_merge" / "compose.yaml").exists()
        guide = (folder / "deploy" / "docker" / "README.md").read_text()
        assert guide.count("docker compose --project-directory . ") == guide.count(
            "docker compose "
        )

    def test_a_dangling_link_keeps_its_name(self, folder: Path) -> None:
        (folder / "wsgi.py").symlink_to("not-mounted")
        adopt(folder, "python run.py")
        assert not (folder / "not-mounted").exists()
        assert (folder / "production" / "to_merge" / "wsgi.py").exists()

    def test_a_second_generation_brings_the_layer_up_to_date_and_nothing_else(
        self, folder: Path
    ) -> None:
        project = adopt(folder, "python run.py")
        (folder / "production.toml").write_text(project.text("production.toml") + "keepalive = 9\n")
        (folder / "production" / "modes.py").write_text("outdated")
        (folder / "production" / "mine.py").write_text("mine")
        before = snapshot(folder)
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert outcome.returncode == 0, outcome.stdout
        assert "Brought up to date: production/, MIGRATION.md\n" in outcome.stdout
        assert "kept, see MIGRATION.md: production.toml\n" in outcome.stdout
        after = snapshot(folder)
        assert {name for name in before if before[name] != after[name]} == {
            "production/modes.py",
            "production/.cruft.json",
            "MIGRATION.md",
        }
        assert set(after) - set(before) == {
            "production/to_merge",
            "production/to_merge/production.toml",
        }

    def test_what_its_owner_has_not_changed_since_is_renewed(self, folder: Path) -> None:
        current = adopt(folder, "python run.py").text("Makefile")
        record = folder / "production" / ".cruft.json"
        origin = json.loads(record.read_text())
        for name in ("Makefile", ".env.example"):
            (folder / name).write_text("of an earlier release\n")
        origin["brought"]["Makefile"] = hashlib.sha256(b"of an earlier release\n").hexdigest()
        record.write_text(json.dumps(origin))
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert "Brought up to date: production/, Makefile, MIGRATION.md\n" in outcome.stdout
        assert "Yours and kept, see MIGRATION.md: .env.example\n" in outcome.stdout
        assert (folder / "Makefile").read_text() == current
        assert (folder / ".env.example").read_text() == "of an earlier release\n"

    def test_what_its_owner_has_changed_goes_on_to_be_used(self, folder: Path) -> None:
        adopt(folder, "python run.py")
        for name in ("gunicorn.conf.py", "requirements-production.txt", "Makefile"):
            with (folder / name).open("a") as file:
                file.write("# mine\n")
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert "make run " in outcome.stdout
        aside = (folder / "production" / "to_merge" / "Makefile").read_text()
        units = "".join(unit.read_text() for unit in folder.glob("deploy/systemd/*.service"))
        assert "to_merge" not in aside + units
        assert "to_merge" not in cookiecutter(folder, "existing_app=python run.py").stdout

    def test_the_same_generation_again_changes_nothing(self, folder: Path) -> None:
        adopt(folder, "python run.py")
        before = snapshot(folder)
        assert "kept" not in cookiecutter(folder, "existing_app=python run.py").stdout
        assert snapshot(folder) == before


REFUSALS: dict[str, tuple[str, dict[str, str], str]] = {
    "no Python file": ("python run.py", {"index.js": ""}, "holds no Python file"),
    "only packages": (
        "python run.py",
        {"venv/pyvenv.cfg": "", "venv/x.py": APP},
        "holds no Python",
    ),
    "no Flask-SocketIO": ("python run.py", {"run.py": "import flask"}, "imports flask_socketio"),
    "no script": ("python start.py", {"run.py": APP}, "runs start.py, which does not exist"),
    "no module to run": ("python -m server", {"run.py": APP}, "runs the module server, which"),
    "a package that cannot be run": (
        "python -m server",
        {"server/__init__.py": APP},
        "runs the module server, which does not exist",
    ),
    "no module": ("server:app", {"run.py": APP}, "names the module server, which does not exist"),
    "no module in it": ("web.server:app", {"web/__init__.py": APP}, "names the module web.server"),
    "no such name": (
        "run:application",
        {"run.py": APP},
        "names application, which run.py does not",
    ),
    "no such factory": ("run:create_app()", {"run.py": APP}, "names create_app, which run.py does"),
    "nothing for Flask": (
        "flask --app server run",
        {"run.py": APP},
        "names server, which does not",
    ),
    "no file for Flask": (
        "flask -A web/s.py run",
        {"run.py": APP},
        "names web/s.py, which does not",
    ),
    "nothing that Flask would find": (
        "flask run",
        {"run.py": APP},
        "names no app, and there is no",
    ),
    "no directory": ("cd src && python run.py", {"run.py": APP}, "changes to src, which does not"),
    "a package of that name": (
        "python run.py",
        {"run.py": APP, "production/settings.py": ""},
        "has a production of its own",
    ),
    "a module of that name": (
        "python run.py",
        {"run.py": APP, "production.py": ""},
        "has a production.py of its own",
    ),
    "settings of that name": (
        "python run.py",
        {"run.py": APP, "production.toml": ""},
        "has a production.toml of its own",
    ),
    "two programs": ("python a.py && python run.py", {"run.py": APP}, "contains &&"),
    "several lines": ("python run.py\nrm -rf x", {"run.py": APP}, "more than one line"),
}


class TestRefusals:
    @pytest.mark.parametrize(("existing_app", "files", "sentence"), REFUSALS.values(), ids=REFUSALS)
    def test_what_cannot_be_adopted_is_refused_with_one_sentence(
        self, tmp_path: Path, existing_app: str, files: dict[str, str], sentence: str
    ) -> None:
        folder = tmp_path / "app"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        assert sentence in refusal(folder, f"existing_app={existing_app}")

    def test_a_folder_that_does_not_exist_is_not_made(self, tmp_path: Path) -> None:
        assert "names no folder in" in refusal(tmp_path / "app", "existing_app=run.py")
        assert not (tmp_path / "app").exists()

    @pytest.mark.parametrize("slug", [".", "..", "a/b", "/tmp", "", "a\nb"])
    def test_a_folder_is_named_by_one_name(self, folder: Path, slug: str) -> None:
        sentence = refusal(folder, "existing_app=run.py", f"project_slug={slug}")
        assert "is not the name of a folder" in sentence

    @pytest.mark.parametrize("name", ["app{{x}}", "{% x"])
    def test_a_folder_whose_name_is_a_template(self, folder: Path, name: str) -> None:
        sentence = refusal(folder.rename(folder.with_name(name)), "existing_app=python run.py")
        assert sentence.endswith(
            "is what cookiecutter takes for a template: rename the folder first."
        )

    def test_hooks_that_do_not_run_leave_the_folder_s_files_alone(self, folder: Path) -> None:
        (folder / "tests").mkdir()
        before = snapshot(folder)
        cookiecutter(folder, "--accept-hooks=no", "existing_app=python run.py")
        after = snapshot(folder)
        assert {name: after[name] for name in before} == before
        assert all(name.startswith(".adopting-") for name in set(after) - set(before))

    @pytest.mark.parametrize(
        ("existing_app", "files"),
        [
            ("run:app", {"run.py": APP}),
            ("run:app", {"run.py": "from server import *\n"}),
            ("run:app", {"run.py": "if 1:\n    from server import app\n"}),
            ("run:app", {"run.py": "app: object = make()\n"}),
            ("run:app", {"run.py": "print 'no Python 3'\n"}),
            ("run:app", {"run.py": "x = 'caf\xe9'"}),
            ("web.server:app", {"web/server.py": APP}),
            ("server:app", {"src/server.py": APP}),
            ("PYTHONPATH=lib python -m server", {"lib/server/__main__.py": APP}),
            ("python -m server", {"server/__main__.py": APP}),
            ("python web", {"web/__main__.py": APP}),
            ("flask run", {"app.py": APP}),
            ("flask run", {"wsgi.py": APP}),
            ("flask run", {".flaskenv": "FLASK_APP=run\n", "run.py": APP}),
            ("flask --app server:create_app run", {"server.py": APP}),
        ],
    )
    def test_what_may_be_there_is_not_refused(
        self, tmp_path: Path, existing_app: str, files: dict[str, str]
    ) -> None:
        folder = tmp_path / "app"
        for name, content in ({"other.py": APP} | files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode("latin-1"))
        adopt(folder, existing_app)
        assert (folder / "wsgi.py").exists()


OLD_PAGE = '<script src="https://cdnjs.cloudflare.com/ajax/libs/socket.io/2.3.0/socket.io.js">'
VENDORED = "/*!\n * Socket.IO v2.4.0\n */\n"
ESCAPE = "from flask import escape\n"

# The files of an app that is started by python run.py, and what is said of them.
OUTDATED: dict[str, tuple[dict[str, str], str]] = {
    "a removed decorator": (
        {
            "run.py": APP.replace(
                "if __name", "@app.before_first_request\ndef go(): pass\nif __name"
            )
        },
        "run.py:5: `before_first_request` was removed in Flask 2.3 (FSP601)",
    ),
    "a removed name in what is imported": (
        {"run.py": "import web.views\n" + APP, "web/views.py": "\nfrom jinja2 import escape\n"},
        "web/views.py:2: `escape` was removed in Jinja 3.1 (FSP603)",
    ),
    "an import in a factory that is called": (
        {
            "run.py": APP + "    make()\ndef make():\n    from . import late\n    import late\n",
            "late.py": "from werkzeug.security import safe_str_cmp\n",
        },
        "late.py:1: `safe_str_cmp` was removed in Werkzeug 2.1 (FSP604)",
    ),
    "an extension": (
        {"run.py": "from flask_script import Manager\n" + APP},
        "run.py:1: `flask_script` imports what was removed in Flask 2.0 (FSP602)",
    ),
    "the imports of Flask 0.x": (
        {"run.py": APP.replace("flask_socketio", "flask.ext.socketio")},
        "run.py:2: `SocketIO` was removed in Flask 1.0 (FSP601)",
    ),
    "what was there before python-socketio": (
        {"run.py": "from socketio.server import SocketIOServer\n" + APP},
        "run.py:1: `SocketIOServer` is of gevent-socketio, which Flask-SocketIO 1.0 gave up (FSP606)",
    ),
    "a page with an old client": (
        {"run.py": APP, "templates/index.html": "<html>\n" + OLD_PAGE},
        "templates/index.html:2: the protocol of this Socket.IO client was removed in Flask-SocketIO 5.0",
    ),
    "a page with an old client in the code": (
        {"run.py": f"{APP}PAGE = '''<html>\n{OLD_PAGE}\n'''\n"},
        "run.py:8: the protocol of this Socket.IO client was removed in Flask-SocketIO 5.0",
    ),
    "a page with an old client beside it": (
        {
            "run.py": APP,
            "templates/index.html": "<script src=\"{{ url_for('static', filename='sio.js') }}\">",
            "static/vendor/sio.js": VENDORED,
        },
        "static/vendor/sio.js:2: the protocol of this Socket.IO client was removed in Flask-SocketIO 5.0",
    ),
}

RUNS: dict[str, dict[str, str]] = {
    "not imported": {"run.py": APP, "old.py": ESCAPE},
    "guarded": {"run.py": "try:\n    from flask import escape\nexcept:\n    pass\n" + APP},
    "suppressed": {
        "run.py": "from contextlib import suppress\nwith suppress(ImportError):\n    "
        + ESCAPE
        + APP
    },
    "behind a condition": {"run.py": "import sys\nif sys.argv[1:]:\n    " + ESCAPE + APP},
    "called by nobody": {"run.py": APP + "def old():\n    " + ESCAPE},
    "of the same name only": {
        "run.py": "from tools import prepare\nprepare()\n" + APP,
        "old/tools.py": "def prepare():\n    " + ESCAPE,
    },
    "of an app's own": {
        "run.py": APP + "class Hooks:\n    def before_first_request(self): pass\n"
        "@Hooks().before_first_request\ndef go(): pass\n"
    },
    "set for nothing": {"run.py": "import json\n" + APP + "app.json_encoder = json.JSONEncoder\n"},
    "said to be unused": {
        "run.py": ESCAPE.rstrip() + "  # production: ignore[FSP601]\n" + APP,
        "templates/old.html": f"<!-- production: ignore[FSP901] -->\n{OLD_PAGE}",
    },
    "in documents": {"run.py": APP, "docs/index.html": OLD_PAGE, "tests/page.html": OLD_PAGE},
    "in a text": {"run.py": APP, "templates/news.html": "<p>We left socket.io/2.3.0 behind."},
    "in code that is not imported": {"run.py": APP, "old.py": f"PAGE = '{OLD_PAGE}'\n"},
    "loaded by another name": {
        "run.py": APP,
        "static/sio.js": "/*! Socket.IO v4.8.1 */",
        "docs/sio.js": VENDORED,
        "templates/index.html": '<script src="/static/sio.js">',
    },
    "loaded by no page": {"run.py": APP, "static/sio.js": VENDORED},
}


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write an app into a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def fault_of(
    folder: Path, files: dict[str, str], existing_app: str = "python run.py"
) -> str | None:
    """Write an app into a folder, and say what the generator has against it."""
    return fault_of_folder(written(folder / "app", files), "app", existing_app)


class TestOutdatedApps:
    @pytest.mark.parametrize(("files", "sentence"), OUTDATED.values(), ids=OUTDATED)
    def test_what_cannot_run_is_told(
        self, tmp_path: Path, files: dict[str, str], sentence: str
    ) -> None:
        first, found, *others = str(fault_of(tmp_path, files)).splitlines()
        assert first == "app cannot run on current releases, and nothing was written:"
        assert sentence in found
        assert "production: ignore[FSP" in others[-1]

    @pytest.mark.parametrize("files", RUNS.values(), ids=RUNS)
    def test_nothing_is_said_of_what_may_run(self, tmp_path: Path, files: dict[str, str]) -> None:
        assert fault_of(tmp_path, files) is None

    @pytest.mark.parametrize(
        ("existing_app", "entry"),
        [
            ("server:app", "server.py"),
            ("server:make()", "server.py"),
            ("python -m server", "server/__main__.py"),
            ("cd web/../src && python server.py", "src/server.py"),
            ("flask --app server run", "server/__init__.py"),
        ],
    )
    def test_however_it_is_started(self, tmp_path: Path, existing_app: str, entry: str) -> None:
        (tmp_path / "app" / "web").mkdir(parents=True)
        text = APP.replace("import Flask", "import Flask, Markup") + "def make(): pass\n"
        fault = fault_of(tmp_path, {entry: text}, existing_app)
        assert f"{entry}:1: `Markup` was removed in Flask 3" in str(fault)

    def test_the_user_reads_sentences_and_nothing_is_written(self, folder: Path) -> None:
        before = snapshot(written(folder, {"run.py": ESCAPE + APP}))
        outcome = cookiecutter(folder, "existing_app=python run.py")
        assert snapshot(folder) == before
        assert outcome.returncode == 1
        assert outcome.stderr == ""
        assert len(outcome.stdout.splitlines()) == 5


class TestTheirDevelopment:
    """What the layer's files do to the way that the app is developed: nothing."""

    def test_flask_s_command_finds_their_app_as_before(self, tmp_path: Path) -> None:
        folder = tmp_path / "app"
        shutil.copytree(TEMPLATE / "tests" / "adopted" / "flask_command", folder)
        project = adopt(folder, "flask run")
        outcome = project.run(
            sys.executable, "-c", BLIND + "import runpy; runpy.run_module('flask')", "routes"
        )
        assert "/static/<path:filename>" in outcome.stdout
        assert "/health" not in outcome.stdout

    def test_setuptools_that_looks_for_packages_is_mentioned(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text('[project]\nname = "x"\n')
        assert "lets setuptools find the packages" in adopt(folder, "run.py").text("MIGRATION.md")

    @pytest.mark.parametrize(
        "content",
        [
            '[project]\nname = "x"\n[tool.setuptools]\npackages = ["x"]\n',
            '[project]\nname = "x"\n[build-system]\nbuild-backend = "hatchling.build"\n',
            "[tool.ruff]\n",
        ],
    )
    def test_other_builds_are_not(self, folder: Path, content: str) -> None:
        (folder / "pyproject.toml").write_text(content)
        assert "setuptools" not in adopt(folder, "run.py").text("MIGRATION.md")


# The app's own environment has none of the layer's libraries.
BLIND = """\
import sys
for name in ("structlog", "pydantic", "pydantic_settings", "gunicorn"):
    sys.modules[name] = None
sys.argv[0] = "flask"
import os
sys.path.insert(0, os.getcwd())
"""


@pytest.mark.slow
def test_make_installs_what_the_app_and_the_layer_require(
    folder: Path, requires: Callable[[str], str]
) -> None:
    requires("make")
    (folder / "requirements.txt").write_text("Flask==2.0.1\nWerkzeug==2.0.1\nflask-login\n")
    project: BakedProject = adopt(folder, "python run.py", async_mode="threading")
    outcome = project.run("make", "install", timeout=WHOLE_PROGRAM)
    assert outcome.returncode == 0, outcome.stdout
    assert "Flask==2.0.1: the layer brings a current release." in outcome.stdout
    assert "make lock pins releases" in outcome.stdout
    listed = project.run(".venv-production/bin/python", "-m", "pip", "list").stdout.lower()
    assert "flask-login" in listed
    assert "eventlet" not in listed
    assert not (folder / ".venv").exists()
    assert "Nothing to be done" in project.run("make", "install").stdout
