"""Three health checks: for the supervisor, for the load balancer, and for people.

The form of the bodies follows the Internet draft "Health Check Response Format for HTTP APIs"
(draft-inadarei-api-health-check-06).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response

from production.realtime.queue import LISTENING, PUBLISHING, QueueManager
from production.realtime.stream_journal import READING, WRITING
from production.state import ServiceState

MEDIA_TYPE = "application/health+json"

Check = Callable[[], dict[str, Any]]


def init_app(app: Flask, state: ServiceState) -> None:
    """Add ``/health/live``, ``/health/ready`` and ``/health``.

    :param app: the app.
    :param state: the process to speak of.
    """
    blueprint = Blueprint("health", __name__, url_prefix="/health")
    checks = readiness_checks(state)

    @blueprint.get("/live")
    def live() -> Response:
        """Say that this process answers, and look at nothing else: restarting it is the cure."""
        return _respond({"status": "pass"})

    @blueprint.get("/ready")
    def ready() -> Response:
        """Say whether this process should be sent new clients."""
        results = {name: check() for name, check in checks.items()}
        return _respond({"status": _worst(results), "checks": results})

    @blueprint.get("")
    def everything() -> Response:
        """Say what there is to know."""
        results = {name: check() for name, check in checks.items()}
        return _respond(
            {
                "status": _worst(results),
                "checks": results,
                "service": state.settings.service_name,
                "async_mode": str(state.settings.async_mode),
                "process": state.process,
                "process_id": os.getpid(),
                "uptime_seconds": round(time.monotonic() - state.started_at, 1),
                "sessions": state.sessions,
                "max_sessions": state.settings.max_sessions,
                **_queue_figures(state.socketio.server.manager),
            }
        )

    app.register_blueprint(blueprint)


def readiness_checks(state: ServiceState) -> dict[str, Check]:
    """Return what has to pass for a process to be sent new clients, by name.

    :param state: the process to speak of.
    """

    def event_loop_lag() -> dict[str, Any]:
        lag = state.loop_lag.seconds()
        return {
            "status": _verdict(not state.loop_lag.is_excessive()),
            "observedValue": round(lag, 3),
            "observedUnit": "s",
            "stalled": round(state.loop_lag.stall(), 3),
        }

    def not_draining() -> dict[str, Any]:
        return {"status": _verdict(not state.draining)}

    checks: dict[str, Check] = {"event_loop_lag": event_loop_lag, "not_draining": not_draining}
    manager = state.socketio.server.manager
    if isinstance(manager, QueueManager):
        checks["message_queue"] = lambda: _message_queue(manager, state.settings.queue_grace)
    return checks


def _message_queue(manager: QueueManager, grace: float) -> dict[str, Any]:
    """Say for how long nothing that this process published has come back to it, and why.

    Channels that could not be read or written for as long count as well.
    """
    silence = manager.silence()
    faults = manager.outage.faults
    stuck = manager.outage.seconds(READING, WRITING)
    result: dict[str, Any] = {
        "status": _verdict(silence is not None and silence <= grace and stuck <= grace),
        "publishing": PUBLISHING not in faults,
        "listening": LISTENING not in faults,
        "lag_seconds": round(manager.lag(), 1),
    }
    if silence is not None:
        result |= {"observedValue": round(silence, 1), "observedUnit": "s"}
    if faults:
        # By their types only: the messages name hosts, which are nobody's business here.
        reasons = (f"{part}: {type(error).__name__}" for part, error in faults.items())
        result["output"] = ", ".join(reasons)
    elif silence is None:
        result["output"] = "no message has come round yet"
    elif silence > grace:
        result["output"] = "what this process hears is late"
    return result


def _queue_figures(manager: Any) -> dict[str, Any]:
    if not isinstance(manager, QueueManager):
        return {}
    figures = {**manager.counters(), "waiting": manager.waiting}
    return {"message_queue": {"host_id": manager.host_id, **figures}}


def _verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def _worst(results: dict[str, dict[str, Any]]) -> str:
    return _verdict(all(result["status"] == "pass" for result in results.values()))


def _respond(body: dict[str, Any]) -> Response:
    return Response(
        json.dumps(body) + "\n",
        status=200 if body["status"] == "pass" else 503,
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"},
    )
