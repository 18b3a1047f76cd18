"""Writes what was measured as tables in Markdown."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence

from .measuring import Figures

COLUMNS = {
    "delivery": "broadcast: CPU µs per recipient",
    "echo": "echo: CPU µs",
    "echo_wait": "echo: wait µs, median",
    "echo_wait_99": "echo: wait µs, 99th of 100",
    "connect": "connect: CPU µs",
    "memory": "KB per idle session",
    "held": "sessions held",
    "reach": "broadcast to all of them: ms until the last has it",
}

Rounds = Mapping[str, Sequence[Figures]]
Cell = Callable[[str, str], Sequence[float]]


def tables(rounds: Rounds, reference: str) -> str:
    """Write two tables: the figures, and how many times those of the reference they are.

    :param rounds: what was measured of each server, round by round.
    :param reference: the server with which the others are compared, round by round.
    :return: cells have the median, and the least and most of the rounds in brackets.
    """

    def figures(name: str, column: str) -> list[float]:
        return [getattr(figures, column) for figures in rounds[name]]

    def ratios(name: str, column: str) -> list[float]:
        compared = zip(figures(name, column), figures(reference, column), strict=True)
        return [one / other for one, other in compared if other]

    return (
        f"{_table(rounds, figures)}\n\nAs multiples of “{reference}”:\n\n{_table(rounds, ratios)}\n"
    )


def _table(names: Rounds, cell: Cell) -> str:
    columns = [field.name for field in dataclasses.fields(Figures)]
    rows = [
        ["server", *(COLUMNS[column] for column in columns)],
        ["---"] * (1 + len(columns)),
        *([name, *(_spread(cell(name, column)) for column in columns)] for name in names),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    least, median, most = (
        _number(value) for value in (min(values), statistics.median(values), max(values))
    )
    return median if least == most else f"{median} ({least}–{most})"


def _number(value: float) -> str:
    """Write a number with three significant digits and without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
