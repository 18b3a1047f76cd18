"""The dashboard and the alerts: about metrics that there are, valid, and right about when to fire."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from baking import Bake
from npm import COMPILER_OPTIONS, JAVASCRIPT, MODULES, node_with, npm_tool, run
from production.observe import metrics
from rawclient import open_websocket
from scraping import Scrape, scrape_until
from served import free_port, serve

Requires = Callable[[str], str]

APPS = Path(__file__).parent / "apps"

# What an expression has of a dashboard's variables, as Grafana would fill it in.
FILLED_IN = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}

METRIC = re.compile(r"\bsocketio_[a-z_]+")


@pytest.fixture(scope="module")
def directory(bake: Bake) -> Path:
    """What a generated project has."""
    return bake().path / "deploy/grafana"


@pytest.fixture(scope="module")
def dashboard(directory: Path) -> Any:
    """The dashboard."""
    return json.loads((directory / "dashboard.json").read_text())


@pytest.fixture(scope="module")
def rules(directory: Path) -> list[dict[str, Any]]:
    """The alert rules."""
    (group,) = yaml.safe_load((directory / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


@pytest.fixture(scope="module")
def scraped(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrape]:
    """What a service says that somebody has used a little."""
    port = free_port()
    log_path = tmp_path_factory.mktemp("grafana") / "log"
    with (
        serve(
            bake(),
            log_path,
            "faulty:app",
            ASYNC_MODE="threading",
            PYTHONPATH=str(APPS),
            PING_INTERVAL="0.1",
            METRICS_BIND=f"127.0.0.1:{port}",
        ) as served,
        open_websocket(served.url) as client,
    ):
        client.connect_namespace()

        def is_measured(now: Scrape) -> bool:
            client.call("explode")
            quality = {"state": "connected", "transport": "websocket", "median_ms": 1}
            client.call("heartbeat", {"sent_at": 0, "quality": quality})
            return now.total("socketio_round_trip_seconds_count") > 0

        yield scrape_until(port, is_measured)


def promtool(command: str, *arguments: object, given: str = "") -> None:
    result = subprocess.run(
        [command, *map(str, arguments)], input=given, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


def expressions(dashboard: Any) -> dict[str, str]:
    """Return what the panels ask for, by a name."""
    found = {}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in FILLED_IN.items():
                expression = expression.replace(variable, value)
            found[f"panel_{panel['id']}_{target['refId']}"] = expression
    return found


def test_what_is_asked_for_is_there(
    dashboard: Any, rules: list[dict[str, Any]], scraped: Scrape
) -> None:
    asked = {*expressions(dashboard).values(), *(rule["expr"] for rule in rules)}
    asked |= {variable["query"]["query"] for variable in dashboard["templating"]["list"][1:]}
    names = {name for expression in asked for name in METRIC.findall(expression)}
    defined = {
        f"{family.name}{suffix}"
        for family in scraped.families.values()
        for suffix in ("", "_total", "_bucket", "_count", "_sum")
    }
    assert names
    assert names <= defined


def test_every_metric_is_shown_and_documented(
    dashboard: Any, directory: Path, scraped: Scrape
) -> None:
    shown = " ".join(expressions(dashboard).values())
    table = dict(
        re.findall(r"^\| `(socketio_\w+)` \|([^|]*)\|", (directory / "README.md").read_text(), re.M)
    )
    defined = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in metrics.REGISTRY.collect()
    }
    assert table.keys() == defined.keys()
    for name, labels in table.items():
        assert name in shown, name
        gauge = defined[name].type == "gauge"
        labelled = {name for s in scraped.families[defined[name].name].samples for name in s.labels}
        expected = ({"worker"} if gauge else set()) | (labelled - {"le"})
        assert set(re.findall(r"`(\w+)`", labels)) == expected, name


def test_the_names_of_the_metrics_are_as_prometheus_wants_them(
    scraped: Scrape, requires: Requires
) -> None:
    promtool(requires("promtool"), "check", "metrics", given=scraped.text)


def test_the_rules_are_valid_and_say_what_to_do(
    directory: Path, rules: list[dict[str, Any]], requires: Requires
) -> None:
    promtool(requires("promtool"), "check", "rules", directory / "alerts.yml")
    for rule in rules:
        assert rule["annotations"].keys() == {"summary", "runbook"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
    text = (directory / "README.md").read_text()
    assert re.findall(r"^\| `(SocketIO\w+)` \| (\w+) \|", text, re.M) == [
        (rule["alert"], rule["labels"]["severity"]) for rule in rules
    ]


def test_the_expressions_of_the_dashboard_are_valid(
    dashboard: Any, tmp_path: Path, requires: Requires
) -> None:
    rules = [
        {"record": name, "expr": expression} for name, expression in expressions(dashboard).items()
    ]
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool(requires("promtool"), "check", "rules", path)


def test_grafana_reads_every_field_of_it(
    dashboard: Any, tmp_path: Path, requires: Requires
) -> None:
    compiler = npm_tool("tsc", requires)
    node_with("@grafana/schema", requires)
    lines = [
        'import type { Custom, Dashboard, Options } from "./grafana.js";',
        f"export const dashboard: Dashboard = {json.dumps(dashboard, indent=2)};",
    ]
    for panel in dashboard["panels"]:
        number, kind = panel["id"], panel["type"]
        options = json.dumps(panel.get("options", {}))
        custom = json.dumps(panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {}))
        lines += [
            f'export const options{number}: Options["{kind}"] = {options};',
            f'export const custom{number}: Custom["{kind}"] = {custom};',
        ]
    (tmp_path / "dashboard.ts").write_text("\n".join(lines))
    shutil.copy(JAVASCRIPT / "grafana.ts", tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    run(compiler, *COMPILER_OPTIONS, "--skipLibCheck", "dashboard.ts", directory=tmp_path)


def test_the_panels_have_a_place_of_their_own(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels if panel["type"] != "row"}) == len(
        [panel for panel in panels if panel["type"] != "row"]
    )
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(column for column, _ in cells) < 24
        taken |= cells
    assert all(a["gridPos"]["y"] <= b["gridPos"]["y"] for a, b in pairwise(panels))


# When the alerts fire. A series is what promtool calls one: a start, and a step every 15 seconds.

INTERVAL = "15s"
STEPS = 160
WORKER = '{job="board", instance="a", worker="0"}'
HOST = '{job="board", instance="a"}'


def labelled(**labels: str) -> str:
    return (
        "{"
        + ", ".join(f'{k}="{v}"' for k, v in {"job": "board", "instance": "a", **labels}.items())
        + "}"
    )


def buckets(name: str, bounds: dict[str, int], **labels: str) -> dict[str, str]:
    """Return a histogram that grows by so much in each bucket."""
    return {
        f"{name}_bucket{labelled(le=bound, **labels)}": f"0+{growth}x{STEPS}"
        for bound, growth in bounds.items()
    }


EVENT = {"namespace": "/", "event": "publish"}

HEALTHY = {
    f"up{HOST}": f"1x{STEPS}",
    f"socketio_worker_starts_total{HOST}": f"4x{STEPS}",
    f"socketio_draining{WORKER}": f"0x{STEPS}",
    f"socketio_max_sessions{WORKER}": f"1000x{STEPS}",
    f"socketio_sessions{labelled(worker='0', transport='websocket')}": f"500x{STEPS}",
    f"socketio_connects_total{labelled(transport='polling')}": f"0+10x{STEPS}",
    f"socketio_refused_connects_total{labelled(reason='full')}": f"0x{STEPS}",
    f"socketio_refused_connects_total{labelled(reason='bad-sid')}": f"0x{STEPS}",
    f"socketio_refused_connects_total{labelled(reason='bad-origin')}": f"0x{STEPS}",
    f"socketio_disconnects_total{labelled(reason='slow client')}": f"0x{STEPS}",
    f"socketio_degraded_sessions{WORKER}": f"10x{STEPS}",
    f"socketio_handler_errors_total{labelled(**EVENT)}": f"0x{STEPS}",
    f"socketio_event_seconds_count{labelled(**EVENT)}": f"0+100x{STEPS}",
    **buckets("socketio_event_seconds", {"0.5": 100, "2.5": 100, "+Inf": 100}, **EVENT),
    **buckets("socketio_loop_lag_seconds", {"0.1": 30, "1.0": 30, "+Inf": 30}),
    **buckets("socketio_queue_lag_seconds", {"0.1": 7, "1.0": 7, "+Inf": 7}),
    f"socketio_queue_silence_seconds{WORKER}": f"1x{STEPS}",
    f"socketio_queue_dropped_total{HOST}": f"0x{STEPS}",
    f"socketio_send_buffer_bytes{WORKER}": f"1000x{STEPS}",
}

TROUBLE: dict[str, dict[str, str]] = {
    "SocketIOMetricsGone": {
        f"up{HOST}": f"1x40 0x{STEPS}",
        f"socketio_worker_starts_total{HOST}": f"4x40 _x{STEPS}",
    },
    "SocketIOWorkersRestarting": {f"socketio_worker_starts_total{HOST}": f"4+1x{STEPS}"},
    "SocketIOFull": {
        f"socketio_refused_connects_total{labelled(reason='full')}": f"0+1x{STEPS}",
    },
    "SocketIONearlyFull": {
        f"socketio_sessions{labelled(worker='0', transport='websocket')}": f"900x{STEPS}"
    },
    "SocketIOClientsComeBackAllTheTime": {
        f"socketio_connects_total{labelled(transport='polling')}": f"0+200x{STEPS}"
    },
    "SocketIOSessionsNotFound": {
        f"socketio_refused_connects_total{labelled(reason='bad-sid')}": f"0+9x{STEPS}"
    },
    "SocketIOPagesRefused": {
        f"socketio_refused_connects_total{labelled(reason='bad-origin')}": f"0+1x{STEPS}"
    },
    "SocketIOHandlerErrors": {
        f"socketio_handler_errors_total{labelled(**EVENT)}": f"0+10x{STEPS}",
    },
    "SocketIOHandlersSlow": buckets(
        "socketio_event_seconds", {"0.5": 80, "2.5": 100, "+Inf": 100}, **EVENT
    ),
    "SocketIOLoopBlocked": buckets("socketio_loop_lag_seconds", {"0.1": 20, "1.0": 30, "+Inf": 30}),
    "SocketIOWorkerDoesNotLeave": {f"socketio_draining{WORKER}": f"1x{STEPS}"},
    "SocketIOSlowClients": {
        f"socketio_disconnects_total{labelled(reason='slow client')}": f"0+1x{STEPS}"
    },
    "SocketIOSendBuffersGrow": {f"socketio_send_buffer_bytes{WORKER}": f"300000000x{STEPS}"},
    "SocketIOQueueSilent": {f"socketio_queue_silence_seconds{WORKER}": f"0+15x{STEPS}"},
    "SocketIOQueueLosesMessages": {f"socketio_queue_dropped_total{HOST}": f"0+1x{STEPS}"},
    "SocketIOQueueSlow": buckets("socketio_queue_lag_seconds", {"0.1": 2, "1.0": 7, "+Inf": 7}),
    "SocketIOConnectionsBad": {f"socketio_degraded_sessions{WORKER}": f"200x{STEPS}"},
}


def case(trouble: dict[str, str], firing: list[str]) -> dict[str, Any]:
    """Return what promtool tests: which alerts fire at the end."""
    series = {**HEALTHY, **trouble}
    return {
        "interval": INTERVAL,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "35m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing
                ],
            }
        ],
    }


def test_each_alert_fires_for_its_trouble_and_for_no_other(
    directory: Path, rules: list[dict[str, Any]], tmp_path: Path, requires: Requires
) -> None:
    assert TROUBLE.keys() == {rule["alert"] for rule in rules}
    path = tmp_path / "alerts_test.yml"
    tests = [case({}, []), *(case(trouble, [alert]) for alert, trouble in TROUBLE.items())]
    path.write_text(
        json.dumps(
            {
                "rule_files": [str(directory / "alerts.yml")],
                "evaluation_interval": INTERVAL,
                "tests": tests,
            }
        )
    )
    promtool(requires("promtool"), "test", "rules", path)
