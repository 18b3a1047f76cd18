"""Emit one event to the clients of the service: ``python -m production.emit --help``."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from typing import Any

from production.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Emit what the command line says.

    :param arguments: instead of those of the process.
    :raises SystemExit: with one sentence if it cannot be emitted.
    """
    options = _parser().parse_args(arguments)
    # Nothing is signed here, so a secret of this process's own will do.
    settings = load_settings(secret_key=secrets.token_urlsafe(48))
    if settings.redis_url is None:
        raise SystemExit(
            "REDIS_URL is not set: without a message queue only the service's own process can emit."
        )
    # Imported here: --help and a wrong setting are answered without it.
    from production.realtime.emitter import EmitError, Emitter
    from production.realtime.sendable import Unsendable

    url = settings.redis_url.get_secret_value()
    emitter = Emitter(url, settings.service_name, settings.max_attachments)
    try:
        emitter.emit(options.event, options.data, to=options.to, namespace=options.namespace)
    except (EmitError, Unsendable) as error:
        raise SystemExit(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m production.emit",
        description="Emit an event to the clients of the service, whichever worker they are with. "
        "REDIS_URL and SERVICE_NAME are taken from the service's settings.",
        epilog="""example: python -m production.emit notice '{"text": "Back at 8"}' --to channel:lobby""",
    )
    parser.add_argument("event", metavar="EVENT", help="the event's name")
    parser.add_argument(
        "data",
        metavar="JSON",
        type=_json,
        nargs="?",
        help="what the event brings; nothing if left out",
    )
    parser.add_argument(
        "--to",
        metavar="ROOM",
        action="append",
        help="a room or a session id; may be repeated; everyone if left out",
    )
    parser.add_argument(
        "--namespace", default="/", help="the namespace of the clients (default: %(default)s)"
    )
    return parser


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None


if __name__ == "__main__":
    main()
