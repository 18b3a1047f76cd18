"""Name, connection, TLS, HTTP, and what serves."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from typing import cast
from urllib.parse import urljoin

from production.doctor.probe.answers import REDIRECTED, TLS_EXPECTED, UPSTREAM_DOWN, UPSTREAM_SLOW
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.target import address_of
from production.doctor.probe.troubles import NO_WAY, NOBODY_LISTENS
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed, unknown
from production.doctor.probe.wire.http import Answer, Browser

RENEWAL_DAYS = 14
"""Days before its end by which a certificate should have been renewed: half of what the renewal of
Let's Encrypt's certificates leaves, see https://letsencrypt.org/docs/integration-guide/."""

SECONDS_PER_DAY = 86400

EXPIRING = Advice(
    "The certificate is about to expire and was not renewed.",
    "Look at what renews it (certbot, the proxy, the platform), and that the proxy loads the new one.",
)

UNSUITABLE = Advice(
    "Such a server cannot be relied upon: Werkzeug's is made for development, and others do not speak "
    "WebSockets.",
    "Serve with gunicorn and a worker class that fits the async mode.",
)

DEVELOPMENT_SERVERS = re.compile(r"^(Werkzeug|SimpleHTTP|WSGIServer|waitress)\b", re.IGNORECASE)
PROXIES = re.compile(r"nginx|openresty|caddy|apache|cloudflare|envoy|haproxy|traefik|awselb|gws")


def name(context: Context) -> Outcome:
    """Find the host's addresses, and connect to each."""
    target = context.target
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    errors: dict[str, OSError] = {}
    for address in addresses:
        try:
            socket.create_connection((address, target.port), target.patience).close()
        except OSError as error:
            errors[address] = error
    if len(errors) == len(addresses):
        refused = any(isinstance(error, ConnectionRefusedError) for error in errors.values())
        return failed(
            f"{', '.join(addresses)} port {target.port}: "
            f"{'refused' if refused else 'no connection'}.",
            NOBODY_LISTENS if refused else NO_WAY,
        )
    silent = f", but not at {', '.join(errors)}" if errors else ""
    answering = [address for address in addresses if address not in errors]
    return passed(f"Connects to {', '.join(answering)} port {target.port}{silent}.")


def tls(context: Context) -> Outcome:
    """Shake hands, verify the certificate, and see how long it is valid."""
    if not context.target.is_tls:
        if context.target.host in {"localhost", "127.0.0.1", "::1"}:
            return unknown("Without TLS, on this machine.")
        return unknown(
            "Without TLS: what is sent can be read and changed on the way.",
            Advice("The address begins with http://.", "Probe and publish the https:// address."),
        )
    with contextlib.closing(context.target.connect()) as connection:
        secured = cast(ssl.SSLSocket, connection)
        certificate, version = secured.getpeercert() or {}, secured.version()
    if not context.target.verify:
        return unknown(f"{version}; the certificate was not verified, as asked.")
    ends_at = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends_at - time.time()) // SECONDS_PER_DAY)
    seen = f"{version}; the certificate is valid for another {days} days."
    return failed(seen, EXPIRING, days=days) if days < RENEWAL_DAYS else passed(seen, days=days)


def http(context: Context) -> Outcome:
    """Send one ordinary request."""
    answer = _page(context)
    seen = f"Answered {answer.status} in {answer.seconds * 1000:.0f} ms."
    if "plain HTTP request was sent to HTTPS port" in answer.text:
        return failed(seen, TLS_EXPECTED, status=answer.status)
    if answer.status in {502, 503, 504}:
        advice = UPSTREAM_SLOW if answer.status == 504 else UPSTREAM_DOWN
        return failed(seen, advice, status=answer.status)
    location = urljoin(context.target.url, answer.headers.get("location", ""))
    if 300 <= answer.status < 400 and _is_elsewhere(context, location):
        return failed(f"Answered {answer.status}: it is at {location}.", REDIRECTED)
    return passed(seen, status=answer.status, milliseconds=round(answer.seconds * 1000, 1))


def server(context: Context) -> Outcome:
    """See what calls itself the server."""
    found = _page(context).server
    if not found:
        raise CannotTell("No `Server` header says what serves.")
    if DEVELOPMENT_SERVERS.match(found):
        return failed(f"{found} serves.", UNSUITABLE, server=found)
    if PROXIES.search(found.lower()):
        return unknown(f"{found} answers, and hides what serves behind it.")
    return passed(f"{found} serves.", server=found)


def _page(context: Context) -> Answer:
    return Browser(context.target).get(context.target.page, context.target.headers)


def _is_elsewhere(context: Context, location: str) -> bool:
    try:
        scheme, host, port, _ = address_of(location)
    except ValueError:
        return True
    return (scheme, host, port) != (context.target.scheme, context.target.host, context.target.port)
