"""What a running service tells Prometheus, asked for as Prometheus asks."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from waiting import PATIENCE, eventually


class Scrape:
    """The answer to one question.

    :param text: the answer.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [s for family in self.families.values() for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that have these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def values(self, name: str, label: str) -> set[str]:
        """Return the values that a label of the samples of a name has."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}

    def fell_behind(self, earlier: Scrape) -> dict[str, tuple[float, float]]:
        """Return what has gone backwards although it only counts."""
        fallen = {}
        for family in earlier.families.values():
            if family.type == "gauge":
                continue
            for sample in family.samples:
                now = self.total(sample.name, **sample.labels)
                if now < sample.value:
                    fallen[f"{sample.name}{sample.labels}"] = (sample.value, now)
        return fallen


def scrape(port: int) -> Scrape:
    """Ask once.

    :param port: the port of the loopback address in ``METRICS_BIND``.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        return Scrape(answer.read().decode())


def scrape_until(port: int, condition: Callable[[Scrape], bool]) -> Scrape:
    """Ask until the answer is as it should be: gauges are a second behind.

    :param port: the port of the loopback address in ``METRICS_BIND``.
    :param condition: what it should be.
    """
    last: list[Scrape] = []

    def holds() -> bool:
        with contextlib.suppress(OSError):
            last[:] = [scrape(port)]
            return condition(last[0])
        return False

    eventually(holds, lambda: f"the metrics are right; they are {[s.text for s in last]}")
    return last[0]
