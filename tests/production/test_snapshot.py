"""What a process says of itself to operators."""

from __future__ import annotations

from typing import Any

from production.observe.quality import Quality
from production.observe.snapshot import quality_of


def figures(**changes: Any) -> Quality:
    return Quality(**{"state": "connected", "transport": "websocket", **changes})


def test_the_worst_connections_are_shown_and_all_are_counted() -> None:
    shown = quality_of(
        {
            "quick": figures(median_ms=49.9),
            "slow": figures(median_ms=400),
            "losing": figures(median_ms=60, loss=0.5),
            "degraded": figures(state="degraded"),
            **{f"usual{number}": figures(median_ms=120) for number in range(20)},
        }
    )
    assert (shown["known"], shown["degraded"]) == (24, 1)
    assert shown["bands"] == [1, 1, 20, 0, 1]
    assert [each["session"] for each in shown["worst"]][:3] == ["degraded", "losing", "slow"]
    assert len(shown["worst"]) == 10
