"""The command line of ``probe``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from urllib.parse import quote

from production.doctor.probe.context import Amounts, Context
from production.doctor.probe.display import Display
from production.doctor.probe.document import as_json
from production.doctor.probe.plan import NAMES, STEPS
from production.doctor.probe.run import run
from production.doctor.probe.target import PATIENCE, Target, address_of, origin_of
from production.doctor.probe.verdicts import Report

EXPLANATION = """\
steps:
{steps}

Exit status: 0 if no step failed, 1 if one did, 2 if the command could not be carried out. A private
certificate authority is named by SSL_CERT_FILE.

examples:
    python -m production.doctor probe https://example.org --token "$TOKEN"
    python -m production.doctor probe http://127.0.0.1:5000 --skip idle --json
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    width = max(map(len, NAMES))
    steps = "\n".join(f"    {step.name:<{width}}  {step.title}" for step in STEPS)
    probe = argparse.ArgumentParser(
        prog="python -m production.doctor probe",
        description="Try a running Flask-SocketIO service from outside, whoever made it, and say what is "
        "wrong, why, and what to do.",
        epilog=EXPLANATION.format(steps=steps),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    probe.add_argument("url", type=_address, metavar="URL", help="the page that people open")
    client = probe.add_argument_group("as which client")
    client.add_argument("--token", help="sent when joining, as auth: {token: …} in a browser")
    client.add_argument("--origin", help="the page's origin (default: that of URL)")
    client.add_argument(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of every request; may be repeated",
    )
    client.add_argument("--insecure", action="store_true", help="do not verify the certificate")
    where = probe.add_argument_group("where")
    where.add_argument("--path", default="/socket.io", help="default: %(default)s")
    where.add_argument("--namespace", default="/", help="default: %(default)s")
    where.add_argument(
        "--health", metavar="PATH", default="/health/ready", help="default: %(default)s"
    )
    where.add_argument("--event", default="", help="an event whose handler returns something")
    much = probe.add_argument_group("how much")
    defaults = Amounts()
    much.add_argument(
        "--clients",
        type=_count,
        default=defaults.clients,
        metavar="N",
        help="sessions at a time (default: %(default)s)",
    )
    much.add_argument(
        "--refreshes",
        type=_count,
        default=defaults.refreshes,
        metavar="N",
        help="of each client (default: %(default)s)",
    )
    much.add_argument(
        "--idle",
        type=_seconds,
        metavar="SECONDS",
        help="how long to be silent (default: until the server's ping is due, at most 90)",
    )
    much.add_argument(
        "--timeout",
        type=_seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help="within which an answer has to come (default: %(default)g)",
    )
    much.add_argument(
        "--skip",
        type=_steps,
        action="append",
        default=[],
        metavar="STEP[,STEP]",
        help="leave steps out",
    )
    probe.add_argument("--json", action="store_true", help="write the report for programs")
    return probe


def probe(arguments: Sequence[str]) -> Report:
    """Probe a service, and write what is found while it is found.

    :param arguments: what follows ``probe`` on the command line.
    """
    options = parser().parse_args(arguments)
    # What is under way is shown beside a report for programs, not in it.
    display = Display(sys.stderr if options.json else sys.stdout)
    context = Context(
        target=_target(options),
        amounts=Amounts(clients=options.clients, refreshes=options.refreshes, idle=options.idle),
        event=options.event,
    )
    skipped = [name for names in options.skip for name in names]
    report = run(context, display, skipped)
    if options.json:
        sys.stdout.write(as_json(report))
    else:
        display.summary(report)
    return report


def _target(options: argparse.Namespace) -> Target:
    scheme, host, port, page = options.url
    return Target(
        scheme=scheme,
        host=host,
        port=port,
        page=page,
        path=quote(f"/{options.path.strip('/')}/"),
        health=f"/{options.health.lstrip('/')}",
        namespace=f"/{options.namespace.strip('/')}",
        auth={"token": options.token} if options.token else None,
        origin=(options.origin or origin_of(scheme, host, port)).rstrip("/"),
        headers=dict(options.header),
        verify=not options.insecure,
        patience=options.timeout,
    )


def _address(text: str) -> tuple[str, str, int, str]:
    try:
        return address_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip() and text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is no header: write 'Name: value'")
    return name.strip(), value.strip()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _steps(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"there is no step {name}: --help lists them")
    return names
