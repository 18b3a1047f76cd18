"""Tell the app that a request's body will not come, in a way that it knows how to answer.

gunicorn reads a body when the app does, and raises errors of its own for one that is garbled or cut off;
an app takes those for its own fault, with 500 and a traceback.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from gunicorn.http.errors import NoMoreData, ParseException


class BodyReader:
    """Reads a body as gunicorn's reader does.

    :param reader: gunicorn's.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        """Read up to so many bytes.

        :raises BrokenOff: if the client sends what is no body, or goes before its end.
        """
        try:
            data: bytes = self._reader.read(size)
        except TimeoutError:
            raise
        except (ParseException, OSError) as error:
            raise broken_off()(str(error)) from error
        return data


@cache
def broken_off() -> type[Exception]:
    """Return what is raised: to Flask a bad request, and to gunicorn the end of a connection."""
    # Not above: the master must not import what the workers have yet to patch.
    from werkzeug.exceptions import BadRequest

    class BrokenOff(NoMoreData, BadRequest):  # type: ignore[misc]
        """A body that ends before its end."""

        description = "The request's body is malformed or incomplete."

        def __init__(self, reason: str) -> None:
            NoMoreData.__init__(self, reason)
            BadRequest.__init__(self)

    return BrokenOff
