"""What an app requires, in whichever file it says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
        "-c https://example.org/constraints.txt\n"
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
        "-c https://example.org/constraints.txt",
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
        "./../mine",
        "fork @ git+https://example.org/f.git",
    ]


def test_poetry_s_conditions_are_kept(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.poetry.dependencies]\n"
        'six = [{ version = "^1.15", python = "<3.9" }, { version = "^1.16", python = ">=3.9,<4" }]\n'
        'pywin32 = { version = "*", platform = "win32" }\n'
        'uvloop = { version = ">=0.17", markers = "sys_platform != \'win32\'" }\n'
        'fork = { git = "https://example.org/f.git", tag = "v1" }\n'
        'wheel = { url = "https://example.org/w-1-py3-none-any.whl" }\n'
        'either = "^1.2 || ^2.0"\n'
        'app = { path = ".", develop = true }\n'
    )
    assert requirements_of(tmp_path) == [
        'six>=1.15,<2 ; (python_full_version < "3.9")',
        'six>=1.16,<2 ; (python_full_version >= "3.9") and (python_full_version < "4")',
        'pywin32 ; (sys_platform == "win32")',
        "uvloop>=0.17 ; (sys_platform != 'win32')",
        "fork @ git+https://example.org/f.git@v1",
        "wheel @ https://example.org/w-1-py3-none-any.whl",
        "either",
    ]
    assert all(Requirement(line) for line in requirements_of(tmp_path))


def test_what_setuptools_is_told_to_read_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\ndynamic = ["dependencies"]\n'
        '[tool.setuptools.dynamic]\ndependencies = { file = ["needs.in"] }\n'
    )
    (tmp_path / "needs.in").write_text("flask\nhttpx\n")
    assert requirements_of(tmp_path) == ["flask", "httpx"]


@pytest.mark.parametrize("name", ["pyproject.toml", "Pipfile"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[packages\n")
    with pytest.raises(SystemExit, match=f"^{name} cannot be read, mend it first: "):
        requirements_of(tmp_path)


def test_a_file_that_is_named_but_not_there_is_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.txt").write_text("-r base.txt\nhttpx\n")
    assert requirements_of(tmp_path) == ["httpx"]
    assert capsys.readouterr().err == "base.txt is named by another file, but is not there.\n"


def test_a_pipfile_is_read(tmp_path: Path) -> None:
    (tmp_path / "Pipfile").write_text(
        '[packages]\nflask = "*"\nrequests = "==2.32.0"\n'
        'pywin32 = { version = "*", sys_platform = "== \'win32\'" }\n'
    )
    assert requirements_of(tmp_path) == [
        "flask",
        "requests==2.32.0",
        "pywin32 ; (sys_platform == 'win32')",
    ]


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


def test_what_powershell_has_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy==2.0\r\nFlask-Login\r\n", encoding="utf-16")
    assert requirements_of(tmp_path) == ["numpy==2.0", "Flask-Login"]
