"""FSP814 and FSP815: whether what runs the service allows what its settings ask for.

Each figure stands in a file of its own, and only the default of the setting fits without a change. A
setting is looked for beside it, then in ``production.toml``; what a machine's own ``.env``
says is not read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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

COMPOSE_SERVICE = re.compile(r"^  [\w.-]+:[^\n]*\n(?:(?:   .*|[ \t]*)(?:\n|\Z))*", re.MULTILINE)
OURS = re.compile(r"\b(gunicorn|WEB_CONCURRENCY|TRUSTED_PROXIES|DRAIN_SECONDS|MAX_SESSIONS)\b")
"""What stands where the layer's service is started, and not where another one is."""

PATIENCE = re.compile(r"^\s*(TimeoutStopSec|stop_grace_period)\s*[=:]\s*(\S.*?)\s*$", re.MULTILINE)
DESCRIPTORS = re.compile(r"^[^#\n]*\b(LimitNOFILE|nofile)\s*[=:]\s*(?:\d+:)?(\d+)", re.MULTILINE)

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
    for start in _starts(project):
        needed = start.setting("DRAIN_SECONDS", DRAIN_SECONDS) + LEAVING_TIME
        for place, text in start.found(PATIENCE):
            patience = _seconds(text)
            if patience is not None and patience < needed:
                yield place


@check(
    "FSP815",
    Severity.BREAKS,
    "fewer descriptors than sessions need",
    why="A session holds one descriptor, two while it upgrades: with MAX_SESSIONS of them, connections "
    "fail instead of being answered 503.",
    fix="Allow twice MAX_SESSIONS and 640 more.",
)
def few_descriptors(project: Project) -> Iterator[Place]:
    for start in _starts(project):
        needed = 2 * start.setting("MAX_SESSIONS", MAX_SESSIONS) + OTHER_DESCRIPTORS
        for place, text in start.found(DESCRIPTORS):
            if int(text) < needed:
                yield place


@dataclass(frozen=True)
class Start:
    """A part of a file that starts the layer's service.

    :param source: the file.
    :param offset: where in it the part begins.
    :param text: the part.
    :param settings: what ``production.toml`` says.
    """

    source: Source
    offset: int
    text: str
    settings: Mapping[str, object]

    def found(self, pattern: re.Pattern[str]) -> Iterator[tuple[Place, str]]:
        """Yield where the name in a pattern's first group stands, with what is in the second."""
        for match in pattern.finditer(self.text):
            line = self.source.line_of(self.offset + match.start(1))
            yield Place(self.source, line, match[1]), match[2]

    def setting(self, name: str, default: float) -> float:
        """Return a setting, as it is here, or else everywhere."""
        here = re.search(
            rf"^[^#\n]*\b{name}\b[\"']?\s*[=:]\s*[\"']?(\d+(?:\.\d+)?)", self.text, re.MULTILINE
        )
        value = float(here[1]) if here else self.settings.get(name.lower())
        return float(value) if isinstance(value, int | float) else default


def _starts(project: Project) -> Iterator[Start]:
    if not project.has_layer:
        return
    settings = _committed_settings(project)
    for source in project.of(Kind.SYSTEMD):
        if OURS.search(source.text):
            yield Start(source, 0, source.text, settings)
    for source in project.of(Kind.COMPOSE):
        for service in COMPOSE_SERVICE.finditer(source.text):
            if OURS.search(service[0]):
                yield Start(source, service.start(), service[0], settings)


def _committed_settings(project: Project) -> Mapping[str, object]:
    try:
        return tomllib.loads((project.root / "production.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _seconds(text: str) -> float | None:
    """Read a span of time; nothing if it is none, or has no end."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    if "".join(f"{number}{unit}" for number, unit in parts) != re.sub(r"\s", "", text):
        return None
    if not all(unit in UNITS for _, unit in parts):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)
