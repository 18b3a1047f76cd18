"""What the service saw of one session, asked for in the namespace of /diagnostics."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests

from baking import ASYNC_MODES
from served import ServedProject
from waiting import PATIENCE

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)


class PollingSession:
    """A session of requests that has joined the namespace.

    :param service: where it is.
    """

    def __init__(self, service: ServedProject) -> None:
        self._url = f"{service.url}/socket.io/"
        self._query = {"EIO": "4", "transport": "polling"}
        opened = self.poll().text.removeprefix("0")
        self._query["sid"] = json.loads(opened)["sid"]
        self.send("40/diagnostics,")
        assert self.poll().text.startswith("40/diagnostics,")

    def poll(self) -> requests.Response:
        """Wait for packets."""
        return requests.get(self._url, params=self._query, timeout=PATIENCE)

    def send(self, packets: str) -> None:
        """Send packets."""
        requests.post(self._url, params=self._query, data=packets, timeout=PATIENCE)

    def ask(self, event: str) -> str:
        """Ask in the namespace and return the packet that answers."""
        self.send(f'42/diagnostics,1["{event}"]')
        return self.poll().text

    def upgrade(self, **headers: str) -> None:
        """Ask for a WebSocket with what a proxy has left of the headers, and be refused."""
        query = self._query | {"transport": "websocket"}
        answer = requests.get(self._url, params=query, headers=headers, timeout=PATIENCE)
        assert answer.status_code in {400, 426}


def test_a_request_for_a_websocket_that_lost_its_headers_is_noticed(
    service: Callable[..., ServedProject], mode: str
) -> None:
    session = PollingSession(service(mode))
    assert session.ask("upgrade_seen") == '43/diagnostics,1[{"ok":true,"arrived":null}]'
    session.upgrade()
    assert session.ask("upgrade_seen") == '43/diagnostics,1[{"ok":true,"arrived":false}]'
    session.upgrade(Upgrade="websocket", Connection="Upgrade")
    assert session.ask("upgrade_seen") == '43/diagnostics,1[{"ok":true,"arrived":true}]'


def test_a_session_that_asks_to_be_dropped_is(
    service: Callable[..., ServedProject], mode: str
) -> None:
    session = PollingSession(service(mode))
    session.send('42/diagnostics,["drop"]')
    session.poll()
    assert session.poll().status_code == 400


def test_the_board_leads_to_the_page_only_where_there_is_one(
    service: Callable[..., ServedProject], mode: str
) -> None:
    with_page, without = service(mode).url, service(mode, DIAGNOSTICS_PAGE="false").url
    assert 'href="/diagnostics"' in requests.get(with_page, timeout=PATIENCE).text
    assert 'href="/diagnostics"' not in requests.get(without, timeout=PATIENCE).text
    assert requests.get(f"{without}/diagnostics", timeout=PATIENCE).status_code == 404
