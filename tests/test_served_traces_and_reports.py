"""OpenTelemetry and Sentry: events as well as requests, sent by their own libraries to a real receiver."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from baking import ASYNC_MODES
from observing import not_json
from rawclient import PollingSession, open_websocket
from receivers import Receiver, receiving
from served import ServedProject
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"

Start = Callable[..., ServedProject]


def spans(receiver: Receiver) -> dict[str, Span]:
    """Return the spans that have arrived, by name."""
    found = {}
    for body in list(receiver.bodies):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                found.update({span.name: span for span in scope.spans})
    return found


def reports(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the events that have arrived: envelopes are lines of JSON, an event the third one."""
    found = []
    for body in list(receiver.bodies):
        lines = body.splitlines()
        if json.loads(lines[1]).get("type") == "event":
            found.append(json.loads(lines[2]))
    return found


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def fail_both_ways(served: ServedProject) -> None:
    """Let a request and the events of both transports fail, beside others that do not."""
    assert requests.get(f"{served.url}/explode", timeout=PATIENCE).status_code == 500
    requests.get(f"{served.url}/health/live", timeout=PATIENCE)
    for client in (open_websocket(served.url), PollingSession(served.url)):
        client.connect_namespace()
        assert client.call("explode")["ok"] is False
        client.call("subscribe", {"channels": ["traced"]})
        client.close()


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_requests_and_events_are_traced_and_their_errors_reported(
    service: Start, mode: str
) -> None:
    with receiving() as collector, receiving() as sentry:
        served = service(
            mode,
            "faulty:app",
            PYTHONPATH=str(APPS),
            TRACES_ENDPOINT=f"http://{collector.address}",
            OTEL_BSP_SCHEDULE_DELAY="200",
            SENTRY_DSN=f"http://key@{sentry.address}/1",
        )
        fail_both_ways(served)

        wanted = {"GET /explode", "connect /", "explode /", "subscribe /"}
        eventually(
            lambda: wanted <= spans(collector).keys(),
            lambda: f"the spans arrive; there are {spans(collector).keys()}",
        )
        traced = spans(collector)
        assert not [name for name in traced if "health" in name or "socket.io" in name]
        assert set(collector.paths) == {"/v1/traces"}
        failed = traced["explode /"]
        assert failed.status.code == Status.STATUS_CODE_ERROR
        assert [event.name for event in failed.events] == ["exception"]
        assert failed.parent_span_id == b""
        assert traced["subscribe /"].status.code == Status.STATUS_CODE_UNSET

        eventually(
            lambda: len(reports(sentry)) >= 3,
            lambda: f"the reports arrive; there are {reports(sentry)}",
        )
        reported = {report["transaction"]: report for report in reports(sentry)}
        assert len(reports(sentry)) == 3, [
            (report["transaction"], report.get("logger")) for report in reports(sentry)
        ]
        assert reported.keys() == {"explode /", "explode_over_http"}
        for report in reported.values():
            assert [e["type"] for e in report["exception"]["values"]] == ["RuntimeError"]
        # The same id finds the log record, the span and the report.
        (first, second) = (r for r in reports(sentry) if r["transaction"] == "explode /")
        ids = {first["tags"]["request_id"], second["tags"]["request_id"]}
        assert attributes(failed)["request_id"] in ids
        logged = {r["request_id"] for r in served.records() if r["event"] == "event handler failed"}
        assert logged == ids
        served.stop()
        assert not_json(served) == []
    assert len(reports(sentry)) == 3, "the end of a WebSocket is no error"
