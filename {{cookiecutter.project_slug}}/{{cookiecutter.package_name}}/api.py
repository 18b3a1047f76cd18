"""The HTTP interface, for programs that publish and do not watch."""

from __future__ import annotations

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ServiceUnavailable

from production.realtime.errors import Rejected
from production.realtime.journal import Unavailable
from production.realtime.validation import parse

from . import board
from .payloads import Publication

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.post("/channels/<channel>")
def publish(channel: str) -> ResponseReturnValue:
    """Publish the JSON body on a channel; with an ``Idempotency-Key``, once however often it comes."""
    message = {
        "channel": channel,
        "data": request.get_json(),
        "id": request.headers.get("Idempotency-Key"),
    }
    try:
        publication = parse(Publication, message)
        sequence = board.publish(publication.channel, publication.data, publication.id)
    except Unavailable as outage:
        raise ServiceUnavailable(outage.message, retry_after=outage.retry_after) from outage
    except Rejected as rejection:
        abort(400, rejection.message)
    return jsonify(channel=publication.channel, sequence=sequence), 202
