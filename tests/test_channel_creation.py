"""What one client may begin is bounded, and what others have is theirs."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baking import Bake
from following import post
from production.realtime.creations import Creator, LocalCreations, SharedCreations
from production.realtime.errors import Rejected
from queues import running
from rawclient import RawWebSocket, Response, open_websocket
from served import ServedProject, serve

PER_SESSION, PER_ADDRESS = 20, 60
LIMITS = {"session": 2, "address": 3, "posting": 2}


@pytest.fixture(scope="module", params=["alone", "two-workers"])
def served(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProject]:
    """Serve one worker without a queue, or two with one."""
    directory = tmp_path_factory.mktemp("creation")
    settings = {
        "MAX_CHANNELS_PER_SESSION": str(PER_SESSION),
        "MAX_CHANNELS_PER_ADDRESS": str(PER_ADDRESS),
        "TRUSTED_PROXIES": "1",
    }
    with contextlib.ExitStack() as stack:
        if request.param == "two-workers":
            queue = stack.enter_context(running(directory))
            settings |= {"REDIS_URL": queue.url, "WEB_CONCURRENCY": "2"}
        yield stack.enter_context(serve(bake(), directory / "service.log", **settings))


class House:
    """Clients of a service that have one address.

    :param served: the service.
    :param address: the address.
    """

    def __init__(self, served: ServedProject, address: str) -> None:
        self._url = served.url
        self._headers = {"X-Forwarded-For": address}

    @contextlib.contextmanager
    def client(self) -> Iterator[RawWebSocket]:
        """Connect a client until the block ends."""
        with contextlib.closing(open_websocket(self._url, headers=self._headers)) as client:
            client.connect_namespace()
            yield client

    def post(self, channel: str, data: int) -> Response:
        """Publish over HTTP."""
        return post(self._url, channel, data, headers=self._headers)


@pytest.fixture
def house(served: ServedProject) -> House:
    """Return an address that nobody else has."""
    return House(served, f"10.0.0.{next(_houses)}")


_houses = itertools.count(1)


def begin(client: RawWebSocket, name: str) -> Any:
    return client.call("publish", {"channel": name, "data": "x" * 50})


def test_a_client_that_begins_channel_after_channel_is_felt_by_nobody(house: House) -> None:
    with house.client() as other, house.client() as greedy:
        for number in range(3):
            assert begin(other, "quiet")["sequence"] == number + 1
        answers = [begin(greedy, f"greedy-{number}") for number in range(10 * PER_SESSION)]
        refused = [answer["error"]["code"] for answer in answers if not answer["ok"]]
        assert refused == ["too_many"] * (len(answers) - PER_SESSION)
        # Those that there are stay open to it, and to everyone.
        assert begin(greedy, "greedy-0")["sequence"] == 2
        assert begin(greedy, "quiet")["ok"]
        assert begin(other, "another")["ok"]
        seen = {"channels": ["quiet"], "after": {"quiet": 0}}
        answer = other.call("subscribe", seen)
        assert (answer["replayed"], answer["gaps"]) == ({"quiet": 4}, {})


def test_an_address_that_posts_channel_after_channel_is_told_to_wait(house: House) -> None:
    answers = [house.post(f"posted-{number}", 1) for number in range(PER_ADDRESS + 5)]
    assert [answer.status for answer in answers] == [202] * PER_ADDRESS + [429] * 5
    problem = answers[-1]
    assert problem.json()["code"] == "too_many"
    assert int(problem.headers["retry-after"]) > 0
    assert house.post("posted-0", 2).status == 202
    with house.client() as other:
        assert begin(other, "not-posted")["ok"]


def test_a_session_that_comes_back_again_and_again_counts_for_its_address(house: House) -> None:
    begun = 0
    for turn in itertools.count():
        with house.client() as client:
            accepted = [begin(client, f"t{turn}-{n}")["ok"] for n in range(PER_SESSION)]
        begun += sum(accepted)
        if not all(accepted):
            break
    assert begun <= PER_ADDRESS


@pytest.fixture(params=["memory", "queue"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Return something that counts, in one process or for all of them."""
    if request.param == "memory":
        yield LocalCreations(LIMITS, 600)
        return
    with running(tmp_path) as queue:
        yield SharedCreations(queue.url, "counted", LIMITS, 600)


def test_a_channel_counts_once_and_for_all_shares_of_its_creator(counted: Any) -> None:
    first, second = Creator("one", "10.0.0.1"), Creator("two", "10.0.0.1")
    for name in ("a", "b", "a", "b"):
        counted.claim(first, name)
    with pytest.raises(Rejected, match="A session may begin 2 channels"):
        counted.claim(first, "c")
    counted.claim(second, "c")
    with pytest.raises(Rejected, match="one address may begin 3 channels"):
        counted.claim(second, "d")
    # What is posted is counted by itself, and where nobody knows the address, not at all.
    counted.claim(Creator(None, "10.0.0.1"), "d")
    for name in "efgh":
        counted.claim(Creator(None, None), name)


def test_what_was_begun_long_ago_counts_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = LocalCreations(LIMITS, 600)
    creator = Creator("one", None)
    for name in "ab":
        counted.claim(creator, name)
    later = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    for name in "cd":
        counted.claim(creator, name)
    with pytest.raises(Rejected):
        counted.claim(creator, "e")
    assert len(counted._begun) == 2
