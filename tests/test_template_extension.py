"""How free text is written into each kind of file."""

from __future__ import annotations

import ast
import html
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cookiecutter.utils import create_env_with_context
from markdown_it import MarkdownIt

from baking import ODD_TEXT
from template_extension import markdown_text, one_line, python_string, toml_string

TEXTS = [
    ODD_TEXT,
    "plain",
    "",
    'say "hi"',
    "it's",
    """both "double" and 'single'""",
    "C:\\",
    "line\nbreak\tand tab",
    "nul\x00 and escape\x1b",
    "a lone surrogate \udc80",
    "🎈 and ☃",
    '"""',
    "'''",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "3.5 % of it",
    "> quote",
    "=====",
    "*bold* _slanted_ `code` ~~gone~~",
    "[link](target) ![image](target)",
    "<b>tag</b> &amp; entity",
    "a | b",
    "trailing #",
    "</script> ]]> {% raw %}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_toml_reads_the_text_back(text: str) -> None:
    assert tomllib.loads(f"key = {toml_string(text)}")["key"] == one_line(text)


@pytest.mark.parametrize("text", TEXTS)
def test_python_reads_the_text_back(text: str) -> None:
    assert ast.literal_eval(python_string(text)) == one_line(text)


def test_the_formatter_would_write_python_strings_the_same_way(tmp_path: Path) -> None:
    source = "".join(
        f"text_{number} = {python_string(text)}\n" for number, text in enumerate(TEXTS)
    )
    path = tmp_path / "texts.py"
    path.write_text(source, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=100", str(path)],
        check=True,
        capture_output=True,
    )
    assert path.read_text(encoding="utf-8") == source


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", ["{}", "# {}"], ids=["paragraph", "heading"])
def test_markdown_shows_the_text_as_it_is(text: str, place: str) -> None:
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(place.format(markdown_text(text)))
    assert re.sub(r"<b>|</?(p|h1)>\n?", "", shown.strip()) == html.escape(
        one_line(text), quote=False
    ).replace('"', "&quot;")


def test_ordinary_text_is_not_escaped_in_markdown() -> None:
    text = "A live board, with channels: served over Socket.IO (3.5 ms)"
    assert markdown_text(text) == text


@pytest.mark.parametrize("answer", ["{{x}}", "{% y", "{# z #}", "a { b", "cookiecutter {{x}}"])
def test_an_answer_that_looks_like_jinja_is_text(answer: str) -> None:
    assert render(answer) == answer


def test_an_answer_may_refer_to_another_answer() -> None:
    assert render("{{ cookiecutter.name }} and more") == "Board and more"


def render(answer: str) -> str:
    """Render an answer the way cookiecutter does with one from the command line."""
    answers = {"name": "Board", "_extensions": ["template_extension.TemplateExtension"]}
    environment = create_env_with_context({"cookiecutter": answers})
    rendered: str = environment.from_string(answer).render(cookiecutter=answers)
    return rendered
