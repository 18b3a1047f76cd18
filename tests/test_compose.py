"""``compose.yaml``: valid, locked down, and routing to the container of a session by its short id.

Without Docker, which ``test_compose_up.py`` runs. The files have the published schema; nginx and Valkey
are run with what it would give them, and a name server of the test knows what Docker's would.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

import queues
from baking import Bake, BakedProject, adopt
from nameserver import NameServer, answering
from ports import free_port
from production.process.configuration import CLOSING_TIME
from production.settings import Settings, load_settings
from proxies import expect_one_service, whole_nginx
from rawclient import PollingSession, http
from served import ServedProject
from waiting import eventually

APPS = Path(__file__).parent / "adopted"
FILES = ("compose.yaml", "compose.dev.yaml")
PASSWORD = "a-password-for-tests"
GIVEN = {"SECRET_KEY": "a-secret-for-tests-0123456789-abcdef", "VALKEY_PASSWORD": PASSWORD}

CONTAINERS = ("0123456789ab", "ba9876543210")
"""The short ids of two containers, which are their host names and what Docker's name server knows."""

MADE_UP = {
    f"{CONTAINERS[0]}.0.1.AAAAAAAAAAAAAAAAAAAA": 400,
    f"{CONTAINERS[0]}.0.1": 400,
    "evil.example.org": 400,
    "0000000000ff.0.1.AAAAAAAAAAAAAAAAAAAA": 400,
}
"""What is no session, and how it is answered."""

SPARE_SECONDS = 3

Document = dict[str, Any]


def interpolated(text: str, given: dict[str, str]) -> str:
    """Fill in variables as Compose does: https://docs.docker.com/reference/compose-file/interpolation/."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        assert name in given or operator == ":-", f"{name}: {rest}"
        return given.get(name, rest)

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text).replace("$$", "$")


def services(bake: Bake, name: str = "compose.yaml", **answers: str) -> dict[str, Document]:
    """Return what a file says of each service."""
    document = yaml.safe_load(interpolated(bake(**answers).text(name), GIVEN))
    return dict(document["services"])


def check_schema(project: BakedProject, name: str) -> None:
    """Check a file against the published schema of Compose."""
    outcome = project.run(
        *(sys.executable, "-m", "check_jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", name),
    )
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("name", FILES)
def test_it_has_the_published_schema(bake: Bake, name: str) -> None:
    check_schema(bake(), name)


def test_an_adopted_app_runs_once_until_its_owner_says_that_it_may_run_more_often(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "app"
    shutil.copytree(APPS / "main_guard", folder)
    project = adopt(folder, "python main.py --greeting hello")
    check_schema(project, "compose.yaml")
    document = yaml.safe_load(interpolated(project.text("compose.yaml"), GIVEN))
    app = document["services"]["app"]
    assert (app["environment"]["WEB_CONCURRENCY"], app["environment"]["SEVERAL_WORKERS"]) == (
        1,
        False,
    )
    assert [file["path"] for file in app["env_file"]] == [".env", "production.env"]


@pytest.mark.parametrize("secret", GIVEN)
def test_secrets_have_no_default(bake: Bake, secret: str) -> None:
    without = {name: value for name, value in GIVEN.items() if name != secret}
    with pytest.raises(AssertionError, match=f"{secret}: put it into .env"):
        interpolated(bake().text("compose.yaml"), without)


def test_every_container_is_bounded_watched_locked_down_and_pinned(bake: Bake) -> None:
    for name, service in services(bake).items():
        assert {"cpus", "memory", "pids"} == set(service["deploy"]["resources"]["limits"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        if name != "app":  # the image itself says how
            assert service["healthcheck"]["test"]
            assert re.search(r":\d+\.\d+", service["image"])


def test_the_service_starts_when_its_queue_is_healthy_and_stops_together_with_nginx(
    bake: Bake,
) -> None:
    found = services(bake)
    assert found["app"]["depends_on"] == {"valkey": {"condition": "service_healthy"}}
    assert "depends_on" not in found["nginx"]
    assert found["nginx"]["stop_grace_period"] == found["app"]["stop_grace_period"]


def test_the_queue_is_reached_by_the_service_only(bake: Bake) -> None:
    found = services(bake)
    assert set(found["nginx"]["networks"]) & set(found["valkey"]["networks"]) == set()
    assert "ports" not in found["app"] | found["valkey"]


def test_the_service_accepts_its_settings_and_has_the_time_to_leave(
    bake: Bake, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = services(bake)["app"]
    for name, value in app["environment"].items():
        monkeypatch.setenv(name, str(value))
    settings = load_settings(async_mode="eventlet")
    assert (settings.bind, settings.web_concurrency) == ("0.0.0.0:5000", 2)
    grace = float(app["stop_grace_period"].removesuffix("s"))
    assert grace >= settings.drain_seconds + CLOSING_TIME + SPARE_SECONDS
    threads = 2 * settings.max_sessions * settings.web_concurrency
    assert app["deploy"]["resources"]["limits"]["pids"] > threads


def test_for_development_the_code_is_that_of_the_directory(
    bake: Bake, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = services(bake)["app"]
    changed = services(bake, "compose.dev.yaml")["app"]
    for name, value in (app["environment"] | changed["environment"]).items():
        monkeypatch.setenv(name, str(value))
    settings = load_settings(async_mode="eventlet")
    assert (settings.in_development, settings.reload) == (True, True)
    (volume,) = changed["volumes"]
    assert volume == "./live_board:/srv/app/live_board:ro"
    assert "WORKDIR /srv/app\n" in bake().text("Dockerfile")


@pytest.fixture
def valkey(bake: Bake, tmp_path: Path) -> Iterator[queues.Valkey]:
    """Valkey with the options that Compose gives it."""
    program, *options = services(bake)["valkey"]["command"]
    assert program == "valkey-server"
    server = queues.Valkey(tmp_path, *options, password=PASSWORD)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_the_queue_wants_its_password_and_refuses_when_full_before_it_is_killed(
    bake: Bake, valkey: queues.Valkey
) -> None:
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=valkey.port) as stranger:
        stranger.ping()
    with valkey.client as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        room = int(client.config_get("maxmemory")["maxmemory"])
    limit = services(bake)["valkey"]["deploy"]["resources"]["limits"]["memory"]
    assert room <= 3 / 4 * int(limit.removesuffix("M")) * 2**20
    assert room >= 4 * Settings.model_fields["replay_bytes"].default


@pytest.fixture
def stack(bake: Bake, tmp_path: Path, valkey: queues.Valkey) -> Iterator[tuple[str, NameServer]]:
    """Two containers on two addresses, and nginx before them; new sessions go to the second."""
    app = services(bake)["app"]["environment"]
    port, entry = free_port(), free_port()
    addresses = dict(
        zip(("app", *CONTAINERS), ("127.0.0.3", "127.0.0.2", "127.0.0.3"), strict=True)
    )
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(answering(addresses))
        for name in CONTAINERS:
            environment = {key: str(value) for key, value in app.items() if key != "BIND"} | {
                "HOST_ID": name,
                "REDIS_URL": app["REDIS_URL"].replace("valkey:6379", f"127.0.0.1:{valkey.port}"),
                "TRUSTED_PROXIES": "2",
            }
            log = tmp_path / f"{name}.log"
            served = ServedProject(bake(), log, environment, host=addresses[name], port=port)
            stack.callback(served.stop)
            served.wait_until_ready()
        configuration = (
            bake()
            .text("deploy/docker/nginx.conf.template")
            .replace("${PROXY_READ_TIMEOUT}", str(app["PROXY_READ_TIMEOUT"]))
            .replace("${NGINX_LOCAL_RESOLVERS}", f"127.0.0.1:{names.server_address[1]}")
            .replace("listen 8080;", f"listen 127.0.0.1:{entry};")
            .replace(":5000", f":{port}")
            .replace("/tmp/", f"{tmp_path}/")
        )
        assert "${" not in configuration
        url = stack.enter_context(whole_nginx(tmp_path, configuration, entry))
        # Until it has looked the name up, it has nobody to ask.
        eventually(lambda: http("GET", f"{url}/health/ready").status == 200)
        yield url, names


def test_nginx_finds_the_container_of_a_session(stack: tuple[str, NameServer]) -> None:
    url, names = stack
    first, second = CONTAINERS
    assert http("GET", f"{url}/health/live").status == 200
    on_the_second = PollingSession(url)
    # Recreated, the service has another address.
    names.addresses["app"] = "127.0.0.2"

    def opened_on_the_first() -> PollingSession | None:
        session = PollingSession(url)
        return session if session.sid.startswith(f"{first}.") else None

    on_the_first = eventually(opened_on_the_first, "nginx looks the name up again")
    assert on_the_first is not None
    assert on_the_second.sid.startswith(f"{second}.")
    expect_one_service(url, on_the_first, on_the_second)
    for claimed, status in MADE_UP.items():
        answer = http("GET", f"{url}/socket.io/?EIO=4&transport=polling&sid={claimed}")
        assert answer.status == status, claimed
