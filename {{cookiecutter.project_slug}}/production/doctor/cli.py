"""The command line: ``check <folder>`` reads files, ``probe URL`` tries a running service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from production.doctor.model import Severity
from production.doctor.outputs import WRITERS, table
from production.doctor.registry import all_checks
from production.doctor.report import Report, check_folder

CLEAN, FOUND, USAGE, INTERRUPTED = 0, 1, 2, 130
"""What the commands exit with; the last as a shell says it of a program ended by Ctrl-C."""

EXPLANATION = """\
Exit status: 0 if nothing of the chosen severity was found, 1 if something was, 2 if the command
could not be carried out.

A comment on a line, or alone on the line above it, leaves findings out:
    users = {}  # production: ignore[FSP301]
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    main_parser = argparse.ArgumentParser(
        prog="python -m production.doctor",
        description="Find what is wrong with a Flask-SocketIO app before its users do: in its files, "
        "or in how it runs.",
    )
    main_parser.add_argument(
        "--list", action="store_true", help="list every code, with its severity, and leave"
    )
    commands = main_parser.add_subparsers(dest="command", metavar="command")
    check = commands.add_parser(
        "check",
        help="read the files of a project; nothing is imported or run",
        description="Read the files of a project and say what is wrong. Nothing is imported or run.",
        epilog=EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("folder", type=Path, help="the project's folder")
    check.add_argument(
        "--format", choices=sorted(WRITERS), default="text", help="how to write it (default: text)"
    )
    check.add_argument(
        "--severity",
        type=Severity,
        choices=list(Severity),
        default=Severity.STYLE,
        metavar="{" + ",".join(Severity) + "}",
        help="show and count this severity and worse ones only (default: style, which is all)",
    )
    check.add_argument(
        "--ignore",
        action="append",
        default=[],
        type=_codes,
        metavar="CODE[,CODE]",
        help="leave codes out, in all files",
    )
    fixing = check.add_mutually_exclusive_group()
    fixing.add_argument(
        "--fix", action="store_true", help="change what is safe to change, and show the difference"
    )
    fixing.add_argument(
        "--diff", action="store_true", help="show what --fix would change, and change nothing"
    )
    commands.add_parser("probe", help="try a running service from outside", add_help=False)
    return main_parser


def _codes(text: str) -> list[str]:
    codes = [part.strip() for part in text.split(",")]
    known = {check.code for check in all_checks()}
    for code in codes:
        if code not in known:
            raise argparse.ArgumentTypeError(f"there is no code {code}: --list shows them")
    return codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: without the program's name; those of the process by default.
    :return: the exit status.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["probe"]:
        return _probe(arguments[1:])
    main_parser = parser()
    options = main_parser.parse_args(arguments)
    if options.list:
        _write(table())
        return CLEAN
    if options.command is None:
        main_parser.print_usage(sys.stderr)
        return USAGE
    return _check(options)


def _probe(arguments: Sequence[str]) -> int:
    """Run the command that has a parser of its own: it needs what the service needs to run."""
    try:
        from production.doctor.probe.command import probe
    except ModuleNotFoundError as error:
        print(
            f"python -m production.doctor: {error}: probe where the service is installed",
            file=sys.stderr,
        )
        return USAGE
    try:
        return FOUND if probe(arguments).has_failed else CLEAN
    except KeyboardInterrupt:
        return INTERRUPTED


def _check(options: argparse.Namespace) -> int:
    ignored = [code for codes in options.ignore for code in codes]
    try:
        if options.fix or options.diff:
            from production.doctor.fixing import fix_folder

            difference = fix_folder(options.folder, ignored, write=options.fix)
            # A report for programs stays readable by programs.
            _write(difference, sys.stdout if options.format == "text" else sys.stderr)
        report: Report = check_folder(options.folder, ignored)
    except (OSError, ModuleNotFoundError) as error:
        print(f"python -m production.doctor: {error}", file=sys.stderr)
        return USAGE
    findings = report.at_least(options.severity)
    _write(WRITERS[options.format](report, findings))
    return FOUND if findings else CLEAN


def _write(text: str, stream: TextIO | None = None) -> None:
    """Write a text whose letters the terminal may not have."""
    target = stream or sys.stdout
    encoding = target.encoding or "utf-8"
    target.write(text.encode(encoding, "backslashreplace").decode(encoding))
