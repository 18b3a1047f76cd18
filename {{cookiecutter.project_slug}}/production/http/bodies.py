"""What a request brings."""

from __future__ import annotations

from typing import Any

from flask import request

from production.realtime.errors import Rejected


def json_body() -> Any:
    """Return the JSON of the current request.

    :raises BadRequest: if it is none, and its relatives where it is not said to be one.
    :raises Rejected: if it is nested too deeply to be read, which Flask answers with 500.
    """
    try:
        return request.get_json()
    except RecursionError:
        raise Rejected("too_deep", "Too many arrays and objects are nested.") from None
