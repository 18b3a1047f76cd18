"""What an app requires, in whichever file it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from production.adopt.requirements import pep440, requirements_of


def test_an_app_without_any_file_requires_nothing(tmp_path: Path) -> None:
    assert requirements_of(tmp_path) == []


def test_a_requirements_file_keeps_what_the_layer_does_not_bring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.txt").write_text(
        "\ufeff# pinned long ago\n"
        "Flask==1.1.2\n"
        "Flask_SocketIO == 4.3.1  # the old one\n"
        "python-socketio[client]>=4,<5 ; python_version >= '3.6'\n"
        "requests==2.25.1 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def\n"
        "numpy>=1.20\n"
        "git+https://example.org/x.git#egg=x\n"
        "--extra-index-url https://example.org/simple\n"
        "-r more.txt\n",
        encoding="utf-8",
    )
    (tmp_path / "more.txt").write_text("Flask-Login\n-r requirements.txt\neventlet\n")
    assert requirements_of(tmp_path) == [
        "Flask",
        "Flask_SocketIO",
        "python-socketio[client]; python_version >= '3.6'",
        "requests==2.25.1",
        "numpy>=1.20",
        "git+https://example.org/x.git#egg=x",
        "--extra-index-url https://example.org/simple",
        "Flask-Login",
        "eventlet",
    ]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "Flask==1.1.2",
        "Flask_SocketIO == 4.3.1  # the old one",
        "python-socketio[client]>=4,<5 ; python_version >= '3.6'",
    ]


def test_a_project_s_dependencies_are_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["flask>=2", "httpx[http2]>=0.27"]\n'
    )
    assert requirements_of(tmp_path) == ["flask", "httpx[http2]>=0.27"]


def test_poetry_s_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.poetry.dependencies]\n"
        'python = "^3.11"\nflask = "^2.3"\nhttpx = { version = "^0.27", extras = ["http2"] }\n'
        'mine = { path = "../mine" }\nfork = { git = "https://example.org/f.git" }\n'
        'maybe = { version = "*", optional = true }\n'
    )
    assert requirements_of(tmp_path) == [
        "flask",
        "httpx[http2]>=0.27,<0.28",
        "fork @ git+https://example.org/f.git",
    ]


def test_a_pipfile_is_read(tmp_path: Path) -> None:
    (tmp_path / "Pipfile").write_text('[packages]\nflask = "*"\nrequests = "==2.32.0"\n')
    assert requirements_of(tmp_path) == ["flask", "requests==2.32.0"]


@pytest.mark.parametrize(
    ("poetry", "pip"),
    [
        ("*", ""),
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.2", "~=1.2"),
        ("1.2", "==1.2"),
        (">=1, <3", ">=1,<3"),
    ],
)
def test_poetry_s_bounds_are_written_as_pip_reads_them(poetry: str, pip: str) -> None:
    assert pep440(poetry) == pip
