"""What an app requires and its environment lacks is named."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from production.adopt.missing import main, missing


@pytest.mark.parametrize(
    "line",
    [
        "flask",
        "Flask-SocketIO>=5 # since long",
        "flask[async]",
        f"flask=={version('flask')}",
        "nothing-of-this-name ; python_version < '3'",
        "./a/folder",
        "--no-binary flask",
    ],
)
def test_what_is_installed_or_not_for_here_is_not_missing(line: str) -> None:
    assert list(missing([line])) == []


@pytest.mark.parametrize(
    "line", ["nothing-of-this-name", "flask<1", "nothing @ git+https://example.org/nothing"]
)
def test_what_is_not_installed_or_another_release_is_missing(line: str) -> None:
    assert list(missing([line])) == [line]


def test_every_file_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("app.txt", "flask\n"), ("layer.txt", "redis\nnothing-of-this-name>=2\n")):
        (tmp_path / name).write_text(text)
    assert main([str(tmp_path / "app.txt")]) == 0
    assert main([str(path) for path in sorted(tmp_path.iterdir())]) == 1
    assert capsys.readouterr().out == "nothing-of-this-name>=2 is required, and not installed.\n"
