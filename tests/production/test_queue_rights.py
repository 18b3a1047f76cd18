"""What is said at the start of a queue that is another one than the URL says, or that lets do less."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from failover import MASTER, running_cluster, running_sentinels
from ports import free_port
from production.realtime import lease, stream_scripts
from production.realtime.queue_rights import COMMANDS, check_queue
from production.refusal import ConfigurationError
from queues import Valkey, running

SERVICE = "limited"
CHANNEL = f"production:{{{SERVICE}}}:events:0"
DOCS = Path(__file__).parents[2] / "docs"

EVERYTHING = ["+@all", "~*", "&*"]
TRIED = sorted(
    {str(command[0]) for commands in COMMANDS.values() for command in commands}
    | {"PING", "TIME", "INFO", "SCRIPT|LOAD", "EVALSHA", "PUBLISH", "SUBSCRIBE"}
)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a queue whose users may be limited."""
    with running(tmp_path_factory.mktemp("rights")) as valkey:
        yield valkey


@pytest.fixture
def user(valkey: Valkey) -> Iterator[Any]:
    """Let one user do only some things; return what lets it, and its URL."""

    def allow(*rules: str) -> str:
        with valkey.client as client:
            for rule in ("on", ">secret", *rules):
                # A pattern is refused where all keys or channels are allowed.
                with contextlib.suppress(redis.ResponseError):
                    client.execute_command("ACL", "SETUSER", "limited", rule)
        return f"redis://limited:secret@127.0.0.1:{valkey.port}"

    yield allow
    with valkey.client as client:
        client.acl_deluser("limited")


def refusal(url: str) -> str:
    """The one sentence with which a queue is refused."""
    with pytest.raises(ConfigurationError) as refused:
        check_queue(url, SERVICE, CHANNEL)
    sentence = refused.value.message
    assert "\n" not in sentence
    assert "secret" not in sentence
    assert sentence.endswith(".")
    return sentence


def granted_by(sentence: str) -> list[str]:
    """The rules that a sentence advises."""
    return [rule for part in re.findall("`(.*?)`", sentence) for rule in part.split()]


@pytest.mark.parametrize("command", TRIED)
def test_a_command_that_is_not_allowed_is_named(user: Any, command: str) -> None:
    url = user(*EVERYTHING, f"-{command.lower()}")
    sentence = refusal(url)
    assert f" {command}" in sentence
    user(*granted_by(sentence))
    check_queue(url, SERVICE, CHANNEL)


@pytest.mark.parametrize(
    "rules",
    [
        ["+@all", "&*", "~another:*"],
        ["+@all", "&*", f"%R~production:{{{SERVICE}}}:*"],
        ["+@all", "~*", "resetchannels"],
        ["+@all", "~*", "resetchannels", "&another:*"],
        ["+@read", "~*", "&*"],
        ["-@all", "resetkeys", "resetchannels"],
    ],
)
def test_what_is_advised_is_enough(user: Any, rules: list[str]) -> None:
    url = user("reset", "on", ">secret", *rules)
    user(*granted_by(refusal(url)))
    check_queue(url, SERVICE, CHANNEL)


def test_the_documented_rights_are_enough(user: Any) -> None:
    (rules,) = re.findall(
        r"ACL SETUSER live-board on '>[^']*' (.*?)\n\n", (DOCS / "scaling.md").read_text(), re.S
    )
    words = [word.strip("'") for word in rules.replace("\\\n", " ").split()]
    url = user("reset", "on", ">secret", *words)
    check_queue(url, "live-board", "production:{live-board}:events:0")


def test_what_the_scripts_do_is_tried() -> None:
    sources = (stream_scripts, lease)
    used = {
        command
        for source in sources
        for command in re.findall(
            r"redis\.call\(\s*'(\w+)'", Path(str(source.__file__)).read_text()
        )
    }
    assert used
    assert used <= set(TRIED)


def test_nothing_that_was_tried_stays(valkey: Valkey) -> None:
    check_queue(valkey.url, SERVICE, CHANNEL)
    with valkey.client as client:
        assert all(client.pttl(key) != -1 for key in client.keys("*tried*"))


def test_a_queue_of_another_kind_is_named(tmp_path: Path, valkey: Valkey) -> None:
    with running_cluster(tmp_path) as cluster:
        check_queue(cluster.url, SERVICE, CHANNEL)
        node = f"redis://127.0.0.1:{cluster.servers[1].port}"
        assert "node of a cluster" in refusal(node)
        assert "redis+cluster://" in refusal(node)
    assert "leave +cluster out" in refusal(f"redis+cluster://127.0.0.1:{valkey.port}")
    assert "answers" in refusal(f"redis+sentinel://127.0.0.1:{valkey.port}/{MASTER}")


def test_sentinels_are_asked_for_what_they_know(tmp_path: Path) -> None:
    with running_sentinels(tmp_path, password="s3nt&nel") as watched:
        check_queue(watched.url, SERVICE, CHANNEL)
        assert "none of that name" in refusal(watched.url.replace(MASTER, "misspelt"))
        assert "?sentinel_password=" in refusal(watched.url.partition("?")[0])
        assert "?sentinel_password=" in refusal(watched.url + "wrong")


def test_a_password_that_is_not_taken_is_named(user: Any) -> None:
    url = user(*EVERYTHING)
    assert "user and password" in refusal(url.replace("secret", "wrong"))


@pytest.mark.parametrize("form", ["redis://", "redis+cluster://", "redis+sentinel://"])
def test_a_queue_that_cannot_be_reached_is_not_judged(form: str) -> None:
    master = f"/{MASTER}" if "sentinel" in form else ""
    check_queue(f"{form}127.0.0.1:{free_port()}{master}", SERVICE, CHANNEL)


def test_a_queue_that_hangs_is_not_judged(tmp_path: Path) -> None:
    with running(tmp_path) as frozen:
        frozen.freeze()
        check_queue(f"{frozen.url}?socket_timeout=0.1", SERVICE, CHANNEL)
