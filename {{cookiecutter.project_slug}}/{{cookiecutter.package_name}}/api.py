"""The HTTP interface, for programs that publish and do not watch."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from production.http.bodies import json_body
from production.realtime.creations import current_creator
from production.realtime.validation import parse

from . import board
from .payloads import Publication

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.post("/channels/<channel>")
def publish(channel: str) -> ResponseReturnValue:
    """Publish the JSON body on a channel; with an ``Idempotency-Key``, once however often it comes."""
    message = {
        "channel": channel,
        "data": json_body(),
        "id": request.headers.get("Idempotency-Key"),
    }
    publication = parse(Publication, message)
    sequence = board.publish(
        publication.channel, publication.data, publication.id, current_creator()
    )
    return jsonify(channel=publication.channel, sequence=sequence), 202
