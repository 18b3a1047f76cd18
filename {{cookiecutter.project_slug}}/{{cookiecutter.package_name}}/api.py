"""The HTTP interface, for programs that publish and do not watch."""

from __future__ import annotations

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue

from production.realtime.errors import Rejected
from production.realtime.validation import parse

from . import board
from .payloads import Publication

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.post("/channels/<channel>")
def publish(channel: str) -> ResponseReturnValue:
    """Publish the JSON body on a channel."""
    try:
        publication = parse(Publication, {"channel": channel, "data": request.get_json()})
        sequence = board.publish(publication.channel, publication.data)
    except Rejected as rejection:
        abort(400, rejection.message)
    return jsonify(channel=publication.channel, sequence=sequence), 202
