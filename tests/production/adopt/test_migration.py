"""The report on an adopted app: what its owner reads first, and what never concerns anyone."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctor_cases import APP, CASES
from production.adopt.migration import CAN_WAIT, MOST_URGENT, NEUTRALISED, WITHOUT_AN_EDIT, fill
from production.doctor.model import Check, Severity
from production.doctor.registry import all_checks
from production.doctor.report import check_folder

MARKS = "<!-- mend -->\n## harmless\n<!-- neutralised -->\n## waiting\n<!-- waiting -->\n"


def report(folder: Path, *codes: str, **files: str) -> list[str]:
    """Return the three groups for an app with the faults of some codes."""
    contents = dict(files)
    for code in codes:
        for name, text in CASES[code].bad.items():
            contents[name] = contents.get(name, "") + text
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    mend, rest = fill(MARKS, check_folder(folder)).split("## harmless\n")
    return [mend, *rest.split("## waiting\n")]


def test_the_tables_name_checks_and_no_check_twice() -> None:
    codes = {check.code for check in all_checks()}
    assert set(NEUTRALISED) | CAN_WAIT | set(MOST_URGENT) | set(WITHOUT_AN_EDIT) <= codes
    assert not CAN_WAIT & set(NEUTRALISED)
    assert not set(MOST_URGENT) & (CAN_WAIT | set(NEUTRALISED))


def test_style_never_stands_before_what_breaks() -> None:
    style = {check.code for check in all_checks() if check.severity is Severity.STYLE}
    assert style <= CAN_WAIT | set(NEUTRALISED)


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_each_finding_is_in_one_group(check: Check, tmp_path: Path) -> None:
    groups = report(tmp_path, check.code)
    assert sum(f"({check.code})" in group for group in groups) == 1


def test_the_most_urgent_comes_first(tmp_path: Path) -> None:
    mend, _, _ = report(tmp_path, "FSP102", "FSP310", "FSP601", "FSP411")
    numbered = [line for line in mend.splitlines() if line[0].isdigit()]
    assert [line[line.index("(") + 1 :][:6] for line in numbered if "FSP" in line][:2] == [
        "FSP310",
        "FSP601",
    ]
    assert mend.index("FSP411") < mend.index("FSP102")
    assert "`ALLOWED_ORIGINS` wins over it" in mend


def test_another_server_in_a_procfile_is_not_made_harmless(tmp_path: Path) -> None:
    mend, harmless, _ = report(tmp_path, "FSP202", Procfile="web: waitress-serve app:app\n")
    assert "`Procfile:1`" in mend
    assert "FSP207" not in harmless
    assert "gunicorn serves" in harmless


def test_many_places_are_counted(tmp_path: Path) -> None:
    calls = "def tell():\n" + "    socketio.emit('x', 1, room='r')\n" * 9
    _, _, waiting = report(tmp_path, **{"app.py": APP + calls})
    assert "`app.py:12` and 3 more. Write `to=`." in waiting


def test_an_app_without_faults_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("print 'no Python 3'\n")
    mend, _, waiting = report(tmp_path, **{"app.py": CASES["FSP102"].good[0]["app.py"]})
    assert mend.startswith("Nothing was found that needs an edit.")
    assert "`old.py`: not checked: not Python 3" in mend
    assert waiting == "Nothing.\n"
