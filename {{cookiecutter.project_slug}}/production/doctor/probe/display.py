"""What people see while the probe runs, and afterwards."""

from __future__ import annotations

import shutil
import textwrap
from typing import TextIO

from production.doctor.probe.plan import NAMES, Step
from production.doctor.probe.verdicts import Advice, Report, Result, Verdict

WIDEST_NAME = max(map(len, NAMES))
WIDEST_VERDICT = max(map(len, Verdict))
INDENT = " " * (WIDEST_VERDICT + WIDEST_NAME + 4)
WIDEST_LINE = 100
"""Columns in which texts are wrapped, however wide the terminal is."""

ERASE_LINE = "\r\x1b[K"
"""What puts a terminal back to the beginning of an empty line (ECMA-48, EL)."""


class Display:
    """Writes a line for each step; on a terminal the line shows how far the step is.

    :param stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._name = ""
        self._explained: dict[Advice, str] = {}
        self._left_out: list[str] = []

    def begin(self, step: Step) -> None:
        """Say what is tried."""
        self._name = f"{'…':<{WIDEST_VERDICT}}  {step.name:<{WIDEST_NAME}}  "
        self._show(self._name + step.title)

    def progress(self, text: str) -> None:
        """Say how far the step is."""
        self._show(self._name + text)

    def end(self, result: Result) -> None:
        """Say how the step ended, and what to do about it."""
        self._show("")
        self._write(self._described(result))

    def leave_out(self, step: Step) -> None:
        """Keep what is not tried for one line at the end, so that what failed is not lost among it."""
        self._left_out.append(step.name)

    def summary(self, report: Report) -> None:
        """Say how the whole ended."""
        if self._left_out:
            names = ", ".join(self._left_out)
            lines = _wrapped(
                f"{'not tried':<{WIDEST_VERDICT}}  ", f"What needs a step that failed: {names}."
            )
            self._write("\n" + "\n".join(lines) + "\n")
        counts = ", ".join(f"{report.count(verdict)} {verdict}" for verdict in Verdict)
        self._write(f"\n{report.url}: {counts}.\n")

    def _described(self, result: Result) -> str:
        """Return a result as lines; what was explained before is not explained again."""
        outcome = result.outcome
        lines = _wrapped(
            f"{outcome.verdict:<{WIDEST_VERDICT}}  {result.name:<{WIDEST_NAME}}  ", outcome.seen
        )
        advice = Advice(outcome.cause, outcome.fix)
        if advice in self._explained:
            lines += _wrapped(INDENT, f"(as for {self._explained[advice]})")
        elif advice.cause:
            self._explained[advice] = result.name
            lines += _wrapped(f"{INDENT}cause: ", advice.cause)
            lines += _wrapped(f"{INDENT}fix: ", advice.fix)
        return "".join(f"{_printable(line)}\n" for line in lines)

    def _show(self, text: str) -> None:
        """Replace the line on a terminal; elsewhere what is under way is not written."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(ERASE_LINE + text[:width])

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def _printable(text: str) -> str:
    """Replace characters by which a service could play on the terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDEST_LINE,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
