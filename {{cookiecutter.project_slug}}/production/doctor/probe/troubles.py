"""What the errors of a connection mean."""

from __future__ import annotations

import http.client
import socket
import ssl

from production.doctor.probe.answers import advice_on, described
from production.doctor.probe.verdicts import Advice, Outcome, failed
from production.doctor.probe.wire.client import NotWelcome
from production.doctor.probe.wire.faults import Cut, Garbled, Refused, WireFault

Trouble = OSError | http.client.HTTPException | WireFault
"""What may happen to a step that nobody can help."""

TROUBLES = (OSError, http.client.HTTPException, WireFault)

UNKNOWN_HOST = Advice(
    "The name is wrong, or its DNS record does not exist or has not spread yet.",
    "Compare the name with the record at your DNS provider.",
)
NOBODY_LISTENS = Advice(
    "Nothing listens on this port: the service is not running, or listens on another port or only on "
    "127.0.0.1.",
    "Start it, and compare the port with BIND; inside a container it must be 0.0.0.0.",
)
NO_WAY = Advice(
    "Packets are dropped on the way, as firewalls do, or the host is down.",
    "Open the port in the firewall or the security group; see whether the host is up.",
)
SILENT = Advice(
    "Something takes the connection and does not answer: a blocked service, too few threads or workers, "
    "or a proxy that waits.",
    "Look for a call that blocks; with gunicorn's sync workers or few threads, each open session holds "
    "one: use an async mode or more threads.",
)
NOT_HTTP = Advice(
    "Another protocol is spoken on this port, perhaps TLS.",
    "Probe the port on which HTTP is served, or use https://.",
)
NO_TLS = Advice(
    "The port speaks no TLS, or none that this Python accepts.",
    "Probe the address with http://, or let the proxy speak TLS 1.2 or newer.",
)
BAD_CERTIFICATE = Advice(
    "Browsers refuse such a certificate, too.",
    "Renew it, let it name this host, and serve it with its intermediate certificates. For a private "
    "authority set SSL_CERT_FILE; --insecure goes on without verifying.",
)
CUT = Advice(
    "The process or a proxy on the way ended the connection: a crash, a restart, a time-out, or something "
    "that does not know WebSockets.",
    "Their logs say which; look at the moment of the probe.",
)
BY_CLOSE_CODE = {
    1001: Advice(
        "The process is leaving, as after a deployment.",
        "Try again when that is through.",
    ),
    1008: Advice(
        "Somebody's rules forbid it: the service's, or those of a firewall for web applications.",
        "Look for the rule in its log, and leave the path of Socket.IO out of it.",
    ),
    1009: Advice(
        "Something on the way, or the WebSocket server itself, takes smaller messages than the service says.",
        "Raise the limit there, or lower the service's (MAX_MESSAGE_BYTES, `max_http_buffer_size`).",
    ),
    1011: Advice("The service raised an error.", "Its log has the traceback."),
}
BY_CLOSE_CODE |= {1012: BY_CLOSE_CODE[1001], 1013: BY_CLOSE_CODE[1001]}
GARBLED = Advice(
    "Something answers that is not a Socket.IO server of a current release.",
    "Compare the address and --path with the service's; Flask-SocketIO 5 is what clients 3 and 4 need.",
)
DECLINED = Advice(
    "The service's connect handler declined the client, or nothing is registered for the namespace.",
    "Pass what clients authenticate with as --token, and their namespace as --namespace.",
)
ENDED = Advice(
    "The other side ended the connection in the middle: it crashed, was restarted, or refuses such requests.",
    "Look at the logs of the service and of the proxy at this moment.",
)


def explain(trouble: Trouble) -> Outcome:
    """Return what a step says that such a thing happened to."""
    match trouble:
        case Refused():
            return failed(
                f"The request was {described(trouble)}.",
                advice_on(trouble.answer, trouble.transport),
                status=trouble.answer.status,
            )
        case NotWelcome():
            return failed(f"The server declined: {trouble.message.rstrip('.')}.", DECLINED)
        case Cut():
            return failed(f"{_sentence(trouble.described)}.", advice_on_cut(trouble))
        case Garbled():
            return failed(trouble.seen, GARBLED)
        case ssl.SSLCertVerificationError():
            return failed(f"The certificate is refused: {trouble.verify_message}.", BAD_CERTIFICATE)
        case socket.gaierror():
            return failed("The host name is unknown.", UNKNOWN_HOST)
        case ConnectionRefusedError():
            return failed("The connection is refused.", NOBODY_LISTENS)
        case TimeoutError():
            return failed("No answer came in time.", SILENT)
        case ConnectionError() | ssl.SSLEOFError():
            return failed("The connection ended without an answer.", ENDED)
        case ssl.SSLError():
            return failed(f"There is no TLS: {trouble.reason or trouble}.", NO_TLS)
        case http.client.HTTPException():
            return failed(f"The answer is not HTTP: {trouble}.", NOT_HTTP)
        case _:
            return failed(f"There is no connection: {trouble}.", NO_WAY)


def advice_on_cut(cut: Cut) -> Advice:
    """Return what is likely to be behind the end of a connection."""
    return CUT if cut.code is None else BY_CLOSE_CODE.get(cut.code, CUT)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
