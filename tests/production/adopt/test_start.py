"""How an app is started, as its owner writes it."""

from __future__ import annotations

import pytest

from production.adopt.start import Start, UnknownStart, Way, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run.py", Start(Way.SCRIPT, "run.py")),
        ("./run.py", Start(Way.SCRIPT, "./run.py")),
        ("python run.py", Start(Way.SCRIPT, "run.py")),
        ("python3.12 -u src/main.py", Start(Way.SCRIPT, "src/main.py")),
        (".venv/bin/python run.py", Start(Way.SCRIPT, "run.py")),
        ("py -3 run.py", Start(Way.SCRIPT, "run.py")),
        ("python -W error -X dev run.py -v", Start(Way.SCRIPT, "run.py", ("-v",))),
        ("uv run python run.py", Start(Way.SCRIPT, "run.py")),
        ("poetry run python -m server", Start(Way.MODULE, "server")),
        ("python run.py --name 'two words'", Start(Way.SCRIPT, "run.py", ("--name", "two words"))),
        ("python -m server.web --debug", Start(Way.MODULE, "server.web", ("--debug",))),
        (
            "python -m flask --app server run",
            Start(Way.MODULE, "flask", ("--app", "server", "run")),
        ),
        ("flask run", Start(Way.MODULE, "flask", ("run",))),
        (
            "FLASK_APP=server PORT=80 flask run",
            Start(Way.MODULE, "flask", ("run",), environment={"FLASK_APP": "server", "PORT": "80"}),
        ),
        ("cd src && python main.py", Start(Way.SCRIPT, "main.py", directory="src")),
        ("server:app", Start(Way.IMPORT, "server", attribute="app")),
        (" server.web:create_app ", Start(Way.IMPORT, "server.web", attribute="create_app")),
        ("server:make()", Start(Way.IMPORT, "server", attribute="make", call=((), {}))),
        (
            'server:make("a b", debug=False)',
            Start(Way.IMPORT, "server", attribute="make", call=(("a b",), {"debug": False})),
        ),
    ],
)
def test_a_start_is_understood(text: str, expected: Start) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names no app"),
        ("  ", "names no app"),
        ("PORT=80", "names no app"),
        ("python", "runs no script"),
        ("python -c 'import server'", "runs no script"),
        ("python -m", "names no module after -m"),
        ("python -m ../server", "names no module after -m"),
        ("flask --app server shell", "is a flask command without run"),
        ("make run", "does not begin with a program that is understood"),
        ("npm start", "does not begin with a program that is understood"),
        ("server", "does not begin with a program that is understood"),
        ("python 'run.py", "is no command line"),
        ("python migrate.py && python run.py", "contains &&"),
        ("cd src lib && python run.py", "changes to more than one directory"),
        ("server:app.wsgi_app", "must name an app or a factory with literal arguments"),
        ("server:create_app(os.environ)", "must name an app or a factory"),
        ("server:create_app(**options)", "must name an app or a factory"),
        ("server:create_app(", "must name an app or a factory"),
    ],
)
def test_what_is_not_understood_is_refused_with_examples(text: str, fault: str) -> None:
    with pytest.raises(UnknownStart) as refusal:
        parse(text)
    assert fault in str(refusal.value)
    assert "python run.py" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "app"),
    [
        ("flask --app server run", "server"),
        ("flask -A server:create_app run", "server:create_app"),
        ("flask --app=server run --debug", "server"),
        ("FLASK_APP=web.py flask run", "web.py"),
        ("flask run", ""),
    ],
)
def test_what_flask_s_command_serves_is_known(text: str, app: str) -> None:
    assert parse(text).by_flask
    assert parse(text).flask_app == app
