"""Write docs/checks.md from the registry: ``python tests/checks_page.py``. A test compares the two."""

from __future__ import annotations

import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
PAGE = TEMPLATE / "docs/checks.md"

if __name__ == "__main__":
    sys.path.insert(0, str(TEMPLATE / "{{cookiecutter.project_slug}}"))
    sys.dont_write_bytecode = True

from doctor_cases import CASES, Case  # noqa: E402
from production.doctor.fixing import FIXABLE  # noqa: E402
from production.doctor.model import Check, Severity  # noqa: E402
from production.doctor.registry import AREAS, all_checks  # noqa: E402

LANGUAGES = {".py": "python", ".js": "js", ".html": "html", ".conf": "nginx", ".service": "ini"}

INTRODUCTION = """\
# What the checks find

    python -m production.doctor check <folder>

reads the files of a project and says what is wrong with them; it imports and runs nothing. `--list` shows the
codes, `--severity`, `--ignore` and `--format text|json|sarif` choose what is written and how, `--diff` shows what
`--fix` would change. The exit status is 0 if nothing was found, 1 if something was, 2 if the command could not be
carried out.

| severity | a finding of it |
| --- | --- |
| breaks | fails for users: now, behind a proxy, with a second process or with current releases |
| unsafe | lets somebody in, or lets something out |
| misleading | does nothing, or hides what happens |
| style | works, and is better written in another way |

A comment on the line, or alone on the line above it, leaves a finding out:

    users = {}  # production: ignore[FSP301]

Pages that stand in the code as strings are read as pages. Test files and the layer itself are not checked. What
cannot be told from files is not here: whether a broadcast carries what not everyone may see while clients are still
being authenticated, and which thread a library uses.
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for digit, area in AREAS.items():
        parts.append(f"## {area[0].upper()}{area[1:]}\n")
        parts += [section(check) for check in all_checks() if check.code[3] == digit]
    return "\n".join(parts)


def section(check: Check) -> str:
    """Return what is said of one check."""
    case = CASES[check.code]
    fixable = " `--fix` does it." if check.code in FIXABLE else ""
    evidence = [link(one) for one in check.evidence[:-1]]
    lines = [
        f'<a id="{check.code.lower()}"></a>',
        "",
        f"### {check.code}: {check.title}",
        "",
        f"*{check.severity}* in `{case.file}`:",
        "",
        f"```{LANGUAGES.get(Path(case.file).suffix, '')}",
        example(case),
        "```",
        "",
        check.why,
        "",
        f"**Instead:** {check.fix}{fixable}",
        "",
    ]
    if evidence:
        lines += [f"Evidence: {', '.join(evidence)}.", ""]
    return "\n".join(lines)


def example(case: Case) -> str:
    """Return the code with the fault, without blank lines around it."""
    return case.wrong.strip("\n") or case.around.strip("\n")


def link(address: str) -> str:
    """Return an address as a link; those of this template's documents are next to the page."""
    if address.startswith("docs/"):
        return f"[{address.removeprefix('docs/')}]({address.removeprefix('docs/')})"
    return f"<{address}>"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

__all__ = ["PAGE", "Severity", "page"]
