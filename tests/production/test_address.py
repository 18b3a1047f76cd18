"""Looking at an address before anything is started that is to listen there."""

from __future__ import annotations

import socket

import pytest

from production.process import address
from production.refusal import ConfigurationError


def test_a_free_address_is_not_waited_for_and_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address.wait_for_address("127.0.0.1", port)
    socket.create_server(("127.0.0.1", port)).close()


def test_an_address_that_becomes_free_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr("time.sleep", lambda _: listener.close())
        address.wait_for_address("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_what_is_no_address_of_this_host_is_refused_at_once(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address to listen on here"):
        address.wait_for_address(host, 0)
