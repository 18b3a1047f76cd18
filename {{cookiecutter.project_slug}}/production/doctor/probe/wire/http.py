"""Single HTTP requests."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from production.doctor.probe.target import HUNG_UP, Target

LONGEST_BODY = 5_000_000
"""Bytes of an answer that are read; a page or a script is smaller."""

URL_CHARACTERS = "%/:?#[]@!$&'()*+,;="
"""What stays as it is in a path with its query (RFC 3986, section 2.2)."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    :param status: the status.
    :param headers: by name in lower case.
    :param body: the body, as far as it was read.
    :param seconds: how long it took to come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def server(self) -> str:
        """What says that it has answered."""
        return self.headers.get("server", "")

    @property
    def is_page(self) -> bool:
        """Whether this is something for people to look at."""
        return "html" in self.headers.get("content-type", "") or self.text.lstrip()[:1] == "<"


class Browser:
    """Sends each request on a connection of its own, and keeps cookies as browsers do.

    :param target: the service.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str], within: float | None = None) -> Answer:
        """Send a GET request.

        :param within: seconds that the answer may take; the target's patience by default.
        :raises OSError: if there is no connection, or no answer in time.
        :raises http.client.HTTPException: if what comes back is not HTTP.
        """
        return self._exchange("GET", path, headers, None, within or self.target.patience)

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST request; it raises what :meth:`get` does."""
        return self._exchange("POST", path, headers, body, self.target.patience)

    def cookie_header(self) -> dict[str, str]:
        """Return the header that brings the cookies back."""
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": pairs} if pairs else {}

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        patience: float,
    ) -> Answer:
        started_at = time.monotonic()
        connection = http.client.HTTPConnection(self.target.host, self.target.port)
        connection.sock = self.target.connect()
        with contextlib.closing(connection):
            connection.sock.settimeout(patience)
            sent = {"Host": self.target.authority, "Connection": "close", **self.cookie_header()}
            # A server that refuses a body may do so before all of it was sent.
            with contextlib.suppress(*HUNG_UP):
                connection.request(method, quote(path, URL_CHARACTERS), body, {**sent, **headers})
            response = connection.getresponse()
            self._keep(response.headers.get_all("Set-Cookie") or [])
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                response.read(LONGEST_BODY),
                time.monotonic() - started_at,
            )

    def _keep(self, cookies: list[str]) -> None:
        for text in cookies:
            with contextlib.suppress(CookieError):
                self.cookies |= {name: one.coded_value for name, one in SimpleCookie(text).items()}
