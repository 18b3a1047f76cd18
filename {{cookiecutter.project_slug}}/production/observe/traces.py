"""Traces: a span for each request and each event, sent to an OpenTelemetry collector.

The libraries are imported only if ``TRACES_ENDPOINT`` names a collector. Long polling and WebSockets
themselves make no spans: what travels over them does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from production.observe.current import current_fields
from production.refusal import ConfigurationError

if TYPE_CHECKING:
    from flask import Flask

    from production.settings import Settings

PATH = "/v1/traces"
"""Where a collector takes traces over HTTP (OTLP specification, "OTLP/HTTP Request")."""

UNTRACED = "/health"


def init_app(app: Flask, server: Any, settings: Settings) -> None:
    """Trace what an app handles, if the settings name a collector.

    :param app: the app.
    :param server: its Socket.IO server.
    :param settings: the settings of the process.
    :raises ConfigurationError: if a library is missing.
    """
    if not settings.traces_endpoint:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise ConfigurationError(
            f"TRACES_ENDPOINT is set, but {error.name} is not installed: add "
            "opentelemetry-exporter-otlp-proto-http and opentelemetry-instrumentation-flask to what "
            "the project requires and install that, or leave the setting empty."
        ) from None

    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.trace_ratio),
        resource=Resource.create({"service.name": settings.service_name}),
    )
    exporter = OTLPSpanExporter(endpoint=settings.traces_endpoint.rstrip("/") + PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # An app that traces already has a provider of its own, which stays the one of its own spans.
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls=UNTRACED, request_hook=_name_request
    )
    watcher = EventTraces(provider.get_tracer(__name__))
    server.event_watchers.append(watcher.span)
    server.error_watchers.append(watcher.note_error)


class EventTraces:
    """Makes a span for each event.

    :param tracer: what makes spans.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, namespace: str, event: str) -> Iterator[None]:
        """Handle an event in a span of its own: what brought it is no part of it.

        :param namespace: the event's namespace.
        :param event: its name.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        attributes = {
            "messaging.system": "socketio",
            "messaging.operation.type": "process",
            "messaging.destination.name": namespace,
            **_identity(),
        }
        with self._tracer.start_as_current_span(
            f"{event} {namespace}", Context(), SpanKind.CONSUMER, attributes
        ):
            yield

    def note_error(self, error: Exception) -> None:
        """Write into the span what its handler has raised."""
        from opentelemetry.trace import Status, StatusCode, get_current_span

        span = get_current_span()
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))


def _name_request(span: Any, environ: dict[str, Any]) -> None:
    span.set_attributes(_identity())


def _identity() -> dict[str, str]:
    """Return what finds the log records of the request or event."""
    current = current_fields()
    return {name: current[name] for name in ("request_id", "session") if name in current}
