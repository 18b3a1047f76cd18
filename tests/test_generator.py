"""What cookiecutter makes of the answers, good and bad."""

from __future__ import annotations

import ast
import filecmp
import itertools
import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from baking import (
    ASYNC_MODES,
    ODD_TEXT,
    PROJECT_TEMPLATE,
    TEMPLATE,
    Bake,
    BakedProject,
    clean_environment,
    cookiecutter_config,
    generate,
)
from waiting import PATIENCE

ANSWERS = json.loads((TEMPLATE / "cookiecutter.json").read_text())
PUBLIC_KEYS = [
    "project_name",
    "project_slug",
    "package_name",
    "description",
    "author",
    "async_mode",
    "existing_app",
]

# One line each; what a text is once it is reduced to one line is the second of a pair.
ODD_TEXTS = {
    "quotes, backslash, braces": (ODD_TEXT, ODD_TEXT),
    "a block and a comment of Jinja": ("{% raw %} {# x #} {{", "{% raw %} {# x #} {{"),
    "another kind of whitespace": ("one\ntwo\r\nthree\tfour ", "one two three four"),
    "control characters": ("be\x00ep\x07 \x1b[31mred\x7f", "beep [31mred"),
    "an emoji outside the basic plane": ("🎈 party", "🎈 party"),
    "triple quotes": ("\"\"\" and ''' and \\", "\"\"\" and ''' and \\"),
    "backticks and markup": ("`` ]]> </script> <b> & *x*", "`` ]]> </script> <b> & *x*"),
    "another script": ("Сервис «доска» 掲示板", "Сервис «доска» 掲示板"),
    "trailing backslash": ("C:\\", "C:\\"),
}

# The same for every answer, so they may speak of every mode.
SAME_IN_ALL_MODES = ("production/", "tests/")

VERBATIM = re.compile(
    r"(production|[a-z_]+/(templates|static))/|deploy/grafana/[a-z]+\.(json|yml)$"
)
TEXT_SUFFIXES = {"", ".css", ".example", ".html", ".js", ".md", ".py", ".toml", ".yaml", ".yml"}


def cookiecutter(
    directory: Path, *arguments: str, answers: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with ``answers`` typed at its prompts."""
    config = cookiecutter_config(directory)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "cookiecutter",
            f"--config-file={config}",
            str(TEMPLATE),
            *arguments,
        ],
        cwd=directory,
        env=clean_environment(),
        input=answers,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def refusal(directory: Path, *arguments: str) -> str:
    """Generate with a bad answer, make sure that it is refused, and return the sentence."""
    outcome = cookiecutter(directory, "--no-input", "--output-dir=out", *arguments)
    assert outcome.returncode == 1
    assert outcome.stderr == ""
    assert len(outcome.stdout.splitlines()) == 1
    return outcome.stdout.strip()


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def rendered_files(project: BakedProject) -> list[Path]:
    return [path for path in project.files() if not VERBATIM.match(path.as_posix())]


def text_files(project: BakedProject) -> list[Path]:
    return [path for path in project.files() if path.suffix in TEXT_SUFFIXES]


class TestPrompts:
    def test_the_public_keys_are_the_promised_ones(self) -> None:
        assert [key for key in ANSWERS if not key.startswith("_")] == PUBLIC_KEYS

    def test_every_prompt_has_a_label_for_people(self) -> None:
        assert set(ANSWERS["__prompts__"]) == set(PUBLIC_KEYS)

    def test_every_async_mode_is_named_in_its_question(self) -> None:
        assert ANSWERS["async_mode"] == list(ASYNC_MODES)
        assert {*ANSWERS["__prompts__"]["async_mode"]} == {"__prompt__", *ASYNC_MODES}

    def test_a_mode_that_there_is_not_is_asked_for_again(self, tmp_path: Path) -> None:
        answers = "Kept Answer\n" + "\n" * 4 + "tornado\n2\n\n"
        outcome = cookiecutter(tmp_path, answers=answers)
        assert outcome.returncode == 0, outcome.stdout
        assert "Please select one of the available options" in outcome.stdout
        made = tomllib.loads((tmp_path / "kept-answer/production.toml").read_text())
        assert made["async_mode"] == "gevent"

    def test_seven_questions_are_asked_and_enter_answers_each(self, tmp_path: Path) -> None:
        outcome = cookiecutter(tmp_path, answers="\n" * len(PUBLIC_KEYS))
        assert outcome.returncode == 0, outcome.stdout
        assert set(re.findall(r"\[\d/(\d)\]", outcome.stdout)) == {"7"}
        assert (tmp_path / "live-board" / "pyproject.toml").exists()

    def test_a_typed_answer_is_text_whatever_it_holds(self, tmp_path: Path) -> None:
        typed = ["Board", "", "", ODD_TEXT, ODD_TEXT, "2", ""]
        outcome = cookiecutter(tmp_path, answers="\n".join(typed) + "\n")
        assert outcome.returncode == 0, outcome.stdout
        project = tomllib.loads((tmp_path / "board" / "pyproject.toml").read_text())["project"]
        assert project["description"] == ODD_TEXT
        assert project["authors"] == [{"name": ODD_TEXT}]
        assert "gevent>=26.9" in project["dependencies"]


class TestDefaults:
    def test_a_project_comes_out_without_any_input(self, bake: Bake) -> None:
        assert bake().path.name == "live-board"
        assert (bake().path / "live_board" / "templates").is_dir()

    def test_the_default_mode_is_eventlet(self, bake: Bake) -> None:
        assert tomllib.loads(bake().text("production.toml"))["async_mode"] == "eventlet"

    def test_the_command_ends_with_three_lines_that_say_what_to_do_next(
        self, tmp_path: Path
    ) -> None:
        outcome = cookiecutter(tmp_path, "--no-input")
        lines = outcome.stdout.splitlines()
        assert len(lines) == 3
        assert lines[0] == "cd live-board"
        assert lines[1].startswith("make run")
        assert lines[1].endswith("http://127.0.0.1:5000")
        assert lines[2].startswith("make test")

    @pytest.mark.parametrize(
        ("name", "slug", "package"),
        [
            ("Trading Desk", "trading-desk", "trading_desk"),
            ("Übersicht für Ärzte", "ubersicht-fur-arzte", "ubersicht_fur_arzte"),
            ("Tom's chat!", "tom-s-chat", "tom_s_chat"),
            ("long " * 30, "long-" * 7 + "long", "long_" * 7 + "long"),
        ],
    )
    def test_the_other_names_derive_from_the_project_name(
        self, bake: Bake, name: str, slug: str, package: str
    ) -> None:
        project = bake(project_name=name)
        assert project.path.name == slug
        assert (project.path / package).is_dir()

    def test_the_package_derives_from_a_slug_that_was_chosen(self, bake: Bake) -> None:
        assert (bake(project_slug="ward-7-board").path / "ward_7_board").is_dir()

    def test_an_author_who_is_not_named_is_not_mentioned(self, bake: Bake) -> None:
        assert "authors" not in tomllib.loads(bake().text("pyproject.toml"))["project"]


class TestBadAnswers:
    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            ("project_name=", "project_name is empty: give the service a name"),
            ("project_name= \t\n", "project_name is empty"),
            ("project_slug=", 'project_slug "" cannot name a directory'),
            ("project_slug=Live-Board", "cannot name a directory"),
            ("project_slug=-board", "cannot name a directory"),
            ("project_slug=board-", "cannot name a directory"),
            ("project_slug=live_board_", "cannot name a directory"),
            ("project_slug=live board", "cannot name a directory"),
            ("project_slug=board\n", "cannot name a directory"),
            ("project_slug=bört", "cannot name a directory"),
            ("project_slug=" + "a" * 64, "cannot name a directory"),
            ("project_slug=.", "cannot name a directory"),
            ("project_slug=..", "cannot name a directory"),
            ("project_slug=../escape", "cannot name a directory"),
            ("project_slug=a/b/c", "cannot name a directory"),
            ("project_slug=/escape", "cannot name a directory"),
            ("project_slug=python-socketio", "is the name of a library that the project installs"),
            ("package_name=", "cannot name a Python package"),
            ("package_name=live-board", "cannot name a Python package"),
            ("package_name=2048", "cannot name a Python package"),
            ("package_name=Board", "cannot name a Python package"),
            ("package_name=_board", "cannot name a Python package"),
            ("package_name=bört", "cannot name a Python package"),
            ("package_name=" + "a" * 41, "cannot name a Python package"),
            ("package_name=a.b", "cannot name a Python package"),
            ("package_name=../escape", "cannot name a Python package"),
            ("package_name=class", "is taken by Python as a keyword"),
            ("package_name=json", "is taken by Python's standard library"),
            ("package_name=asyncio", "is taken by Python's standard library"),
            ("package_name=production", "is taken by another part of the project"),
            ("package_name=tests", "is taken by another part of the project"),
            ("package_name=deploy", "is taken by another part of the project"),
            ("package_name=wsgi", "is taken by another part of the project"),
            ("package_name=flask", "is taken by a library that the project installs"),
            ("package_name=flask_socketio", "is taken by a library that the project installs"),
            ("package_name=socketio", "is taken by a library that the project installs"),
            ("package_name=engineio", "is taken by a library that the project installs"),
            ("package_name=eventlet", "is taken by a library that the project installs"),
            ("package_name=gevent", "is taken by a library that the project installs"),
            ("package_name=redis", "is taken by a library that the project installs"),
            ("existing_app=make run", "does not begin with a program that is understood"),
            ("existing_app= ", "names no app: write how you start it"),
        ],
    )
    def test_it_is_refused_with_one_sentence_and_nothing_is_written(
        self, tmp_path: Path, answer: str, sentence: str
    ) -> None:
        home = tmp_path / "deep" / "home"
        home.mkdir(parents=True)
        cookiecutter_config(home)
        before = tree(tmp_path)
        assert sentence in refusal(home, answer)
        assert tree(tmp_path) == before

    def test_only_the_answer_that_was_given_is_complained_about(self, tmp_path: Path) -> None:
        assert "package_name" not in refusal(tmp_path, "project_slug=Bad Slug")

    def test_an_answer_cannot_give_orders_to_the_terminal(self, tmp_path: Path) -> None:
        assert "\x1b" not in refusal(tmp_path, "project_slug=\x1b[31mred")

    @pytest.mark.parametrize(
        "answer", ["package_name=class", "existing_app=app:app", "project_name="]
    )
    def test_a_project_that_is_there_stays_untouched(self, tmp_path: Path, answer: str) -> None:
        mine = tmp_path / "out" / "live-board" / "mine.txt"
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        before = tree(tmp_path / "out")
        refusal(tmp_path, "--overwrite-if-exists", answer, "project_slug=live-board")
        assert tree(tmp_path / "out") == before
        assert mine.read_text() == "mine"

    @pytest.mark.parametrize(
        ("key", "value", "sentence"),
        [
            ("async_mode", "tornado", 'async_mode "tornado" is unknown: use eventlet, gevent'),
            ("package_name", "class", "is taken by Python as a keyword"),
        ],
    )
    def test_a_replay_file_is_checked_too(
        self, tmp_path: Path, key: str, value: str, sentence: str
    ) -> None:
        assert cookiecutter(tmp_path, "--no-input", "--output-dir=first").returncode == 0
        [recording] = (tmp_path / "replay").glob("*.json")
        recorded = json.loads(recording.read_text())
        recorded["cookiecutter"][key] = value
        recording.write_text(json.dumps(recorded))
        outcome = cookiecutter(tmp_path, f"--replay-file={recording}", "--output-dir=second")
        assert outcome.returncode == 1
        assert sentence in outcome.stdout.splitlines()[-1]
        assert tree(tmp_path / "second") <= set()

    def test_the_command_line_refuses_before_any_hook_runs(self, tmp_path: Path) -> None:
        assert "keyword" in refusal(tmp_path, "--accept-hooks=no", "package_name=class")


@pytest.fixture(params=itertools.product(ASYNC_MODES, ODD_TEXTS), ids=" with ".join)
def odd(request: pytest.FixtureRequest, bake: Bake) -> tuple[BakedProject, str, str]:
    """A project whose free texts are odd, with the text given and the one expected."""
    async_mode, name = request.param
    given, expected = ODD_TEXTS[name]
    project = bake(
        project_name=given,
        project_slug="odd-board",
        description=given,
        author=given,
        async_mode=async_mode,
    )
    return project, given, expected


class TestOddTexts:
    def test_the_metadata_holds_the_text_as_it_was_given(
        self, odd: tuple[BakedProject, str, str]
    ) -> None:
        project, _, expected = odd
        metadata = tomllib.loads(project.text("pyproject.toml"))["project"]
        assert metadata["description"] == expected
        assert metadata["authors"] == [{"name": expected}]

    def test_every_toml_file_parses(self, odd: tuple[BakedProject, str, str]) -> None:
        project, _, _ = odd
        for path in project.files():
            if path.suffix == ".toml":
                tomllib.loads(project.text(path))

    def test_every_python_file_compiles(self, odd: tuple[BakedProject, str, str]) -> None:
        project, _, _ = odd
        for path in project.files():
            if path.suffix == ".py":
                ast.parse(project.text(path), str(path))

    def test_every_text_file_is_readable(self, odd: tuple[BakedProject, str, str]) -> None:
        project, _, _ = odd
        for path in text_files(project):
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", project.text(path)), path


@pytest.fixture(params=ASYNC_MODES)
def plain(request: pytest.FixtureRequest, bake: Bake) -> tuple[BakedProject, str]:
    """A project of each mode with ordinary texts, and its mode."""
    return bake(async_mode=request.param, author="Ada Lovelace"), request.param


class TestGeneratedFiles:
    def test_no_jinja_is_left(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        for path in rendered_files(project):
            assert not re.search(r"(?<!\$)\{\{|\{%|\{#|cookiecutter\.", project.text(path)), path

    def test_no_file_name_is_left_unrendered(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        assert [path for path in project.files() if "{" in str(path)] == []

    def test_the_modes_that_were_not_chosen_leave_no_trace(
        self, plain: tuple[BakedProject, str]
    ) -> None:
        project, mode = plain
        others = re.compile("|".join({"eventlet", "gevent"} - {mode}), re.IGNORECASE)
        for path in rendered_files(project):
            if not path.as_posix().startswith(SAME_IN_ALL_MODES):
                assert not others.search(project.text(path)), path

    def test_the_layer_is_the_template_s_byte_for_byte(
        self, plain: tuple[BakedProject, str]
    ) -> None:
        project, _ = plain
        layer = BakedProject(PROJECT_TEMPLATE / "production").files()
        assert BakedProject(project.path / "production").files() == layer
        _, different, missing = filecmp.cmpfiles(
            PROJECT_TEMPLATE / "production",
            project.path / "production",
            [str(path) for path in layer],
            shallow=False,
        )
        assert (different, missing) == ([], [])

    def test_pages_and_scripts_are_copied_without_rendering(
        self, plain: tuple[BakedProject, str]
    ) -> None:
        project, _ = plain
        source = PROJECT_TEMPLATE / "{{cookiecutter.package_name}}"
        for kind in ("templates", "static"):
            for path in BakedProject(source / kind).files():
                copy = project.path / "live_board" / kind / path
                assert copy.read_bytes() == (source / kind / path).read_bytes()

    def test_every_line_ends_as_on_unix(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        assert [path for path in text_files(project) if "\r" in project.text(path)] == []

    def test_every_text_ends_with_one_line_feed(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        for path in text_files(project):
            text = project.text(path)
            assert not text or (text.endswith("\n") and not text.endswith("\n\n")), path

    def test_the_templating_leaves_no_scars(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        for path in text_files(project):
            text = project.text(path)
            assert "\n\n\n\n" not in text, path
            assert not re.search(r"[ \t]$", text, re.MULTILINE), path
            assert path.suffix == ".py" or "\n\n\n" not in text, path

    def test_twice_the_same_answers_give_the_same_files_but_for_the_secret(
        self, plain: tuple[BakedProject, str], tmp_path: Path
    ) -> None:
        project, mode = plain
        again = generate(tmp_path / "out", {"async_mode": mode, "author": "Ada Lovelace"})
        assert again.files() == project.files()
        names = [str(path) for path in project.files()]
        _, different, missing = filecmp.cmpfiles(project.path, again.path, names, shallow=False)
        assert (different, missing) == ([".env"], [])

    def test_the_secret_is_ignored_by_git(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        ignored = project.text(".gitignore").splitlines()
        assert {".env", ".venv/"} <= set(ignored)

    def test_only_the_owner_may_read_the_secret(self, plain: tuple[BakedProject, str]) -> None:
        project, _ = plain
        assert stat.S_IMODE((project.path / ".env").stat().st_mode) == 0o600

    def test_a_second_generation_over_the_first_keeps_its_secret(self, tmp_path: Path) -> None:
        assert cookiecutter(tmp_path, "--no-input").returncode == 0
        secret = (tmp_path / "live-board" / ".env").read_text()
        assert cookiecutter(tmp_path, "--no-input", "--overwrite-if-exists").returncode == 0
        assert (tmp_path / "live-board" / ".env").read_text() == secret


class TestDependencies:
    @pytest.mark.parametrize("mode", ASYNC_MODES)
    def test_only_the_chosen_mode_is_installed(self, bake: Bake, mode: str) -> None:
        project = tomllib.loads(bake(async_mode=mode).text("pyproject.toml"))["project"]
        names = {re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]}
        expected = {
            "eventlet": {"eventlet", "gunicorn"},
            "gevent": {"gevent", "gunicorn[gevent]"},
            "threading": {"gunicorn"},
        }
        assert {name for name in names if "event" in name or "gunicorn" in name} == expected[mode]

    def test_every_dependency_has_a_lower_bound(self, bake: Bake) -> None:
        project = tomllib.loads(bake().text("pyproject.toml"))["project"]
        assert [name for name in project["dependencies"] if ">=" not in name] == []

    def test_the_template_and_its_projects_are_linted_by_the_same_rules(self, bake: Bake) -> None:
        ours = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["tool"]["ruff"]
        theirs = tomllib.loads(bake().text("pyproject.toml"))["tool"]["ruff"]
        assert ours["line-length"] == theirs["line-length"]
        for rules in ("select", "ignore"):
            assert ours["lint"][rules] == theirs["lint"][rules]
