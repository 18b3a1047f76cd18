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
from ports import free_port
from production.observe import metrics
from rawclient import open_websocket
from scraping import Scrape, scrape_until
from served import serve

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
        for family in scraped.families.values()
        if METRIC.match(family.name)
    }
    assert {family.name for family in metrics.REGISTRY.collect()} <= scraped.families.keys()
    assert table.keys() == defined.keys()
    for name, labels in table.items():
        assert name in shown, name
        labelled = {label for sample in defined[name].samples for label in sample.labels}
        assert set(re.findall(r"`(\w+)`", labels)) == labelled - {"le"}, name


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
    f"socketio_service_start_time_seconds{HOST}": f"1700000000x{STEPS}",
    f"socketio_configured_workers{HOST}": f"1x{STEPS}",
    f"socketio_worker_starts_total{HOST}": f"1x{STEPS}",
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
    f"socketio_recent_loop_lag_seconds{WORKER}": f"0.01x{STEPS}",
    **buckets("socketio_queue_lag_seconds", {"0.1": 7, "1.0": 7, "+Inf": 7}),
    f"socketio_queue_silence_seconds{WORKER}": f"1x{STEPS}",
    f"socketio_queue_dropped_total{HOST}": f"0x{STEPS}",
    f"socketio_send_buffer_bytes{WORKER}": f"1000x{STEPS}",
}

# What becomes true after ten minutes.
LATER = 40


def turns(before: object, after: object) -> str:
    """Return a series that is one thing for ten minutes, and then another."""
    return f"{before}x{LATER} {after}x{STEPS}"


def lives(steps: int) -> str:
    """Return when a service was started that is started anew after so many steps."""
    return " ".join(f"{number}x{steps - 1}" for number in range(STEPS // steps))


def of_worker(number: int) -> str:
    return labelled(worker=str(number))


TROUBLE: dict[str, dict[str, str]] = {
    "SocketIOMetricsGone": {
        f"up{HOST}": turns(1, 0),
        **{
            f"{name}{HOST}": turns(value, "_")
            for name, value in {
                "socketio_service_start_time_seconds": 1700000000,
                "socketio_configured_workers": 1,
                "socketio_worker_starts_total": 1,
            }.items()
        },
    },
    "SocketIOServiceRestarting": {f"socketio_service_start_time_seconds{HOST}": lives(4)},
    "SocketIOWorkersMissing": {f"socketio_configured_workers{HOST}": f"4x{STEPS}"},
    "SocketIOWorkersRestarting": {f"socketio_worker_starts_total{HOST}": f"4+1x{STEPS}"},
    "SocketIOFull": {
        f"socketio_refused_connects_total{labelled(reason='full')}": f"0+1x{STEPS}",
    },
    "SocketIONearlyFull": {
        f"socketio_sessions{labelled(worker='0', transport='websocket')}": f"900x{STEPS}"
    },
    "SocketIOClientsComeBackAllTheTime": {
        f"socketio_connects_total{labelled(transport='polling')}": f"0+500x{STEPS}"
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
    "SocketIOLoopBlocked": {f"socketio_recent_loop_lag_seconds{WORKER}": f"0.4x{STEPS}"},
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

# What each host has causes of its own for; of the rest somebody hears once, however many hosts there are.
OF_EACH_HOST = {
    "SocketIOMetricsGone",
    "SocketIOServiceRestarting",
    "SocketIOWorkersMissing",
    "SocketIOWorkersRestarting",
    "SocketIOLoopBlocked",
    "SocketIOWorkerDoesNotLeave",
    "SocketIOSendBuffersGrow",
}

TROUBLE_THAT_HIDES: dict[str, tuple[str, dict[str, str]]] = {
    "answers now and then, between the attempts of a supervisor": (
        "SocketIOMetricsGone",
        {f"up{HOST}": " ".join(["0x10 1x1"] * 12)},
    ),
    "is started anew every six minutes, as Kubernetes does in the end": (
        "SocketIOServiceRestarting",
        {f"socketio_service_start_time_seconds{HOST}": lives(24)},
    ),
    "one of two workers cannot be replaced, and shows what it counts while it tries": (
        "SocketIOWorkersMissing",
        {
            f"socketio_configured_workers{HOST}": f"2x{STEPS}",
            f"socketio_max_sessions{of_worker(1)}": turns(1000, "0 _"),
        },
    ),
    "no worker has ever started": (
        "SocketIOWorkersMissing",
        {
            f"socketio_max_sessions{WORKER}": f"0x{STEPS}",
            f"socketio_sessions{labelled(worker='0', transport='websocket')}": f"_x{STEPS}",
        },
    ),
    "the only worker is not there when it is looked at": (
        "SocketIOWorkersRestarting",
        {
            f"socketio_worker_starts_total{HOST}": f"4+1x{STEPS}",
            f"socketio_max_sessions{WORKER}": " ".join(["1000 stale stale"] * 50),
        },
    ),
    "nobody stays for longer than a moment": (
        "SocketIOClientsComeBackAllTheTime",
        {
            f"socketio_connects_total{labelled(transport='polling')}": f"0+250x{STEPS}",
            f"socketio_sessions{labelled(worker='0', transport='websocket')}": f"15x{STEPS}",
        },
    ),
    "one of four workers is blocked": (
        "SocketIOLoopBlocked",
        {
            **{
                f"socketio_recent_loop_lag_seconds{of_worker(number)}": f"0.01x{STEPS}"
                for number in range(3)
            },
            f"socketio_recent_loop_lag_seconds{of_worker(3)}": f"9x{STEPS}",
        },
    ),
    "the queue was never heard": (
        "SocketIOQueueSilent",
        {f"socketio_queue_silence_seconds{WORKER}": " ".join(["Inf"] * STEPS)},
    ),
}

OTHER_HOST = '{job="board", instance="b"}'

NO_TROUBLE: dict[str, dict[str, str]] = {
    "a restart, and another to take it back": {
        f"up{HOST}": "1x100 0x2 1x20 0x2 1x40",
        f"socketio_service_start_time_seconds{HOST}": "1x100 _x2 2x20 _x2 3x40",
        f"socketio_configured_workers{HOST}": "1x100 _x2 1x20 _x2 1x40",
        f"socketio_worker_starts_total{HOST}": "1x100 _x2 0 1x19 _x2 0 1x40",
    },
    "a reload, in which old and new workers serve side by side": {
        f"socketio_worker_starts_total{HOST}": "1x135 2x30",
        f"socketio_draining{WORKER}": "0x135 1 _",
        f"socketio_max_sessions{WORKER}": "1000x136 _",
        f"socketio_draining{of_worker(1)}": "_x134 0x30",
        f"socketio_max_sessions{of_worker(1)}": "_x134 0 1000x30",
        f"socketio_queue_silence_seconds{of_worker(1)}": "_x135 Inf 1x30",
        # All of its sessions come back at once, those by polling after they were not found.
        f"socketio_connects_total{labelled(transport='polling')}": "0+10x135 1860+10x30",
        f"socketio_refused_connects_total{labelled(reason='bad-sid')}": "0x135 500x30",
    },
    "more workers, which have yet to start": {
        f"socketio_configured_workers{HOST}": "1x135 4x30",
    },
    "a host that is not needed any more": {
        f"up{OTHER_HOST}": "1x133 0x3 stale",
        f"socketio_service_start_time_seconds{OTHER_HOST}": "1x133 stale",
        f"socketio_configured_workers{OTHER_HOST}": "1x133 stale",
        f"socketio_max_sessions{labelled(instance='b', worker='0')}": "1000x133 stale",
        f"socketio_sessions{labelled(instance='b', worker='0', transport='websocket')}": (
            "900x10 100x122 stale"
        ),
    },
    "a minute that Prometheus has missed": {f"up{HOST}": "1x134 _x4 1x20"},
    "one client too many, for a moment": {
        f"socketio_refused_connects_total{labelled(reason='full')}": "0x130 1x30",
    },
    "a roll, in which there is always a worker that has not heard the queue yet": {
        f"socketio_queue_silence_seconds{of_worker(number)}": f"_x{100 + number} Inf 1x60"
        for number in range(40)
    },
    "another service, of which nothing is known": {'up{job="other", instance="c"}': f"0x{STEPS}"},
}


def series_of(trouble: dict[str, str]) -> list[dict[str, str]]:
    """Return what promtool is given: a healthy service, but for the trouble."""
    return [{"series": name, "values": values} for name, values in {**HEALTHY, **trouble}.items()]


def on_several_hosts(series: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the same for two workers on each of two hosts."""
    return [
        {**one, "series": name}
        for one in series
        for host in "ab"
        for name in {
            one["series"]
            .replace('instance="a"', f'instance="{host}"')
            .replace('"0"', f'"{worker}"')
            for worker in range(2)
        }
    ]


def case(
    name: str, series: list[dict[str, str]], firing: dict[str, int], *when: str
) -> dict[str, Any]:
    """Return what promtool tests: how many of which alerts fire at the end.

    :param name: what is tested.
    :param series: what has been scraped.
    :param firing: how often each alert fires.
    :param when: at what times, if not at the usual one.
    """
    return {
        "name": name,
        "interval": INTERVAL,
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": time,
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": count}
                    for alert, count in firing.items()
                ],
            }
            for time in when or ("35m",)
        ],
    }


class RuleTests:
    """promtool's tests of the rules.

    :param rules: the file of the rules.
    :param directory: where to write the tests.
    :param promtool: the program.
    """

    def __init__(self, rules: Path, directory: Path, promtool: str) -> None:
        self._rules = rules
        self._directory = directory
        self._promtool = promtool

    def run(self, cases: list[dict[str, Any]], interval: str = INTERVAL) -> None:
        """Fail unless the alerts fire as they are said to.

        :param cases: what :func:`case` returns.
        :param interval: how often the rules are looked at.
        """
        path = self._directory / "alerts_test.yml"
        path.write_text(
            json.dumps(
                {"rule_files": [str(self._rules)], "evaluation_interval": interval, "tests": cases}
            )
        )
        promtool(self._promtool, "test", "rules", path)


@pytest.fixture
def rule_tests(directory: Path, tmp_path: Path, requires: Requires) -> RuleTests:
    """What tests the rules."""
    return RuleTests(directory / "alerts.yml", tmp_path, requires("promtool"))


def test_each_alert_fires_for_its_trouble_and_for_no_other_and_once_for_all_hosts(
    rules: list[dict[str, Any]], rule_tests: RuleTests
) -> None:
    assert TROUBLE.keys() == {rule["alert"] for rule in rules}
    rule_tests.run(
        [
            case(
                alert,
                on_several_hosts(series_of(trouble)),
                {alert: 2 if alert in OF_EACH_HOST else 1},
            )
            for alert, trouble in TROUBLE.items()
        ],
        interval="30s",
    )


def test_an_alert_finds_its_trouble_in_other_forms(rule_tests: RuleTests) -> None:
    times = [f"{minutes}m" for minutes in range(30, 36)]
    rule_tests.run(
        [
            case(name, series_of(trouble), {alert: 1}, *times)
            for name, (alert, trouble) in TROUBLE_THAT_HIDES.items()
        ],
        interval="30s",
    )


def test_what_happens_on_a_good_day_is_no_alert(rule_tests: RuleTests) -> None:
    times = [f"{minutes}m" for minutes in range(24, 38)]
    rule_tests.run(
        [
            case("nothing happens", series_of({}), {}),
            *(case(name, series_of(series), {}, *times) for name, series in NO_TROUBLE.items()),
        ]
    )


def test_an_outage_is_told_for_as_long_as_it_lasts(rule_tests: RuleTests) -> None:
    steps_of_a_week = 7 * 24 * 6
    series = [
        {"series": f"up{HOST}", "values": f"1x2 0x{steps_of_a_week}"},
        {"series": f"socketio_service_start_time_seconds{HOST}", "values": "1700000000x2 stale"},
    ]
    lasting = case("an outage", series, {"SocketIOMetricsGone": 1}, "45m", "2h", "30h", "6d")
    rule_tests.run([{**lasting, "interval": "10m"}], interval="10m")
