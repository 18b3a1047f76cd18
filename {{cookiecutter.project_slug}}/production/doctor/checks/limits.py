"""FSP814 and FSP815: whether what runs the service allows what its settings ask for.

Each figure stands in a file of its own, and only the default of the setting fits without a change. A
setting is looked for in the file itself, then in ``production.toml``; what a machine's own ``.env``
says is not read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from production.doctor.model import Place, Severity
from production.doctor.project import Project
from production.doctor.registry import check
from production.doctor.sources import Kind, Source

DRAIN_SECONDS = 10.0
MAX_SESSIONS = 1000.0
"""The defaults of the settings, see ``production/settings.py``."""

LEAVING_TIME = 5
"""Seconds beyond DRAIN_SECONDS: two for the closing handshakes, three to spare."""

OTHER_DESCRIPTORS = 640
"""What a worker opens beside two for each session, see ``production/process/service_worker.py``."""

SUPERVISORS = (Kind.SYSTEMD, Kind.COMPOSE)

PATIENCE = re.compile(r"\s*(TimeoutStopSec|stop_grace_period)\s*[=:]\s*(.+?)\s*$")
DESCRIPTORS = re.compile(r"[^#]*\b(LimitNOFILE|nofile)\s*[=:]\s*(?:\d+:)?(\d+)")

UNITS = {"ms": 0.001, "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
"""Of systemd.time(7) and of durations in Compose, those that somebody would use here."""


@check(
    "FSP814",
    Severity.BREAKS,
    "killed before the sessions are closed",
    why="The layer closes the sessions of a worker that leaves over DRAIN_SECONDS, and this supervisor "
    "kills it before: clients are cut off instead of sent elsewhere.",
    fix="Wait for DRAIN_SECONDS and five seconds more.",
)
def impatient_supervisor(project: Project) -> Iterator[Place]:
    for source, number, name, text in _found(project, PATIENCE):
        patience = _seconds(text)
        needed = _setting(project, source, "DRAIN_SECONDS", DRAIN_SECONDS) + LEAVING_TIME
        if patience is not None and patience < needed:
            yield Place(source, number, name)


@check(
    "FSP815",
    Severity.BREAKS,
    "fewer descriptors than sessions need",
    why="A session holds one descriptor, two while it upgrades: with MAX_SESSIONS of them, connections "
    "fail instead of being answered 503.",
    fix="Allow twice MAX_SESSIONS and 640 more.",
)
def few_descriptors(project: Project) -> Iterator[Place]:
    for source, number, name, text in _found(project, DESCRIPTORS):
        sessions = _setting(project, source, "MAX_SESSIONS", MAX_SESSIONS)
        if int(text) < 2 * sessions + OTHER_DESCRIPTORS:
            yield Place(source, number, name)


def _found(project: Project, pattern: re.Pattern[str]) -> Iterator[tuple[Source, int, str, str]]:
    """Yield what supervisors of the layer's service are told: file, line, name, value."""
    for source in project.of(*SUPERVISORS) if project.has_layer else ():
        for number, line in enumerate(source.lines, 1):
            if match := pattern.match(line):
                yield source, number, match[1], match[2]


def _setting(project: Project, source: Source, name: str, default: float) -> float:
    """Return a setting, as a file that starts the service has it, or as it is everywhere."""
    here = re.search(rf"^[^#\n]*\b{name}\b[\"']?\s*[=:]\s*[\"']?(\d+(?:\.\d+)?)", source.text, re.M)
    if here:
        return float(here[1])
    try:
        text = (project.root / "production.toml").read_text(encoding="utf-8")
        value = tomllib.loads(text).get(name.lower())
    except (OSError, ValueError):
        return default
    return float(value) if isinstance(value, int | float) else default


def _seconds(text: str) -> float | None:
    """Read a span of time; nothing if it is none, or has no end."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if "".join(f"{number}{unit}" for number, unit in parts) != re.sub(r"\s", "", text):
        return None
    if not all(unit in UNITS for _, unit in parts):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)
