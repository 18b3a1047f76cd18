"""Tells before anything is generated what of an app cannot run on current releases.

    python -m production.adopt.outdated <folder> --entry run.py --script

Only what is certain to break counts: a line that runs whenever the app starts, a page that loads a
client which the server refuses. The rest of what the doctor finds is for the report. Standard
library only: it runs where nothing else is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from production.doctor.model import Finding
from production.doctor.project import Project
from production.doctor.report import check_project
from production.doctor.scripts import uncommented
from production.doctor.sources import Kind
from production.doctor.starting import Entry, lines_that_run

REMOVED = frozenset({"FSP601", "FSP602", "FSP603", "FSP604", "FSP606"})
"""What the app cannot be started with, where a line that runs at the start uses it."""

OLD_CLIENT = "FSP901"

OLD_PROTOCOL = "the protocol of this Socket.IO client was removed in Flask-SocketIO 5.0"

STILL_SET = frozenset({"json_encoder", "json_decoder"})
"""Removed, but setting them does no harm."""

NOT_SERVED = frozenset(
    {
        "archive",
        "backup",
        "demo",
        "demos",
        "doc",
        "docs",
        "example",
        "examples",
        "old",
        "test",
        "tests",
        "third_party",
        "vendor",
    }
)
"""Directories whose pages visitors may never see."""

LOADS = re.compile(r"\bsrc\s*=|\bimport\b|\brequire\b")

MOST_SHOWN = 10


def what_cannot_run(project: Project, entry: Entry) -> list[Finding]:
    """Return the findings that are certain to break the app.

    :param project: the app's folder.
    :param entry: where the app is started.
    """
    running = lines_that_run(project, entry)
    modules = {path for path, _ in running}
    return [
        one
        for one in check_project(project).findings
        if (one.code in REMOVED and (one.path, one.line) in running and _is_gone(project, one))
        or (one.code == OLD_CLIENT and _is_loaded(project, one, modules))
    ]


def _is_gone(project: Project, finding: Finding) -> bool:
    """Tell whether what is used is the library's, and not something of that name in the project."""
    if finding.subject in STILL_SET:
        return False
    return not any(
        function.name == finding.subject
        for module in project.modules
        for function in module.functions
    )


def _is_loaded(project: Project, finding: Finding, modules: set[str]) -> bool:
    """Tell whether a page loads an old client: named in the page, or a file that a page names.

    :param project: the app's folder.
    :param finding: an old client.
    :param modules: the Python files that run, in whose strings pages may be.
    """
    if finding.path.endswith(".py"):
        return finding.path in modules
    kinds = {source.kind for source in project.sources if source.path == finding.path}
    if Kind.PAGE in kinds:
        return _is_served(finding.path) and LOADS.search(finding.quote) is not None
    return Kind.SCRIPT in kinds and _is_named_by_a_page(project, finding.path)


def _is_named_by_a_page(project: Project, script: str) -> bool:
    """Tell whether a page loads a script, and can mean no other of that name."""
    name = PurePosixPath(script).name
    namesakes = [one for one in project.of(Kind.SCRIPT) if PurePosixPath(one.path).name == name]
    return len(namesakes) == 1 and any(
        LOADS.search(line) and name in line
        for page in project.of(Kind.PAGE)
        if _is_served(page.path)
        for line in uncommented(page).split("\n")
    )


def _is_served(path: str) -> bool:
    return not NOT_SERVED.intersection(PurePosixPath(path).parts[:-1])


def sentences(findings: Sequence[Finding], folder: str) -> str:
    """Say what cannot run, where, since when, and how to go on.

    :param findings: at least one.
    :param folder: what the app's folder is called.
    """
    lines = [f"{folder} cannot run on current releases, and nothing was written:"]
    for one in findings[:MOST_SHOWN]:
        what = OLD_PROTOCOL if one.code == OLD_CLIENT else one.detail
        lines.append(f"  {one.path}:{one.line}: {what} ({one.code})")
    if len(findings) > MOST_SHOWN:
        lines.append(f"  and {len(findings) - MOST_SHOWN} more lines")
    lines.append("What to do:")
    fixes = {one.code: one.check.fix for one in findings}
    lines += [f"  {code}: {fix}" for code, fix in sorted(fixes.items())]
    python, page = (f"production: ignore[{code}]" for code in (min(fixes), max(fixes)))
    lines.append(
        "If you know that such a line is never used, say so on it, or alone on the line above, and "
        f"generate again: `# {python}` in Python, `<!-- {page} -->` in a page."
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what cannot run.

    :param arguments: without the program's name; those of the process by default.
    :return: 1 if something cannot, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog="python -m production.adopt.outdated")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entry", default="", help="the file that starts the app, from there")
    parser.add_argument("--script", action="store_true", help="it runs as __main__")
    parser.add_argument("--factory", default="", help="the function in it that makes the app")
    options = parser.parse_args(arguments)
    entry = Entry(options.entry, options.script, options.factory)
    found = what_cannot_run(Project(options.folder), entry)
    if found:
        print(sentences(found, options.folder.name))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
