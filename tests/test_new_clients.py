"""Every shipped nginx serves every new client for as long as anybody behind it serves.

The nginx is real, with each configuration as it is shipped; what stands behind it answers, and fails, on command.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from baking import PROJECT_TEMPLATE, Bake
from nameserver import NameServer, answering
from ports import free_port
from proxies import HANDSHAKE, nginx, on_loopback, whole_nginx
from rawclient import HandshakeRefusedError, http, open_websocket
from standing_hosts import Host
from waiting import eventually

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")

CONTAINERS = ("00000000000a", "00000000000b", "00000000000c")
ANY_POD = "live-board-any.test.svc.cluster.local"

GONE = {
    "compose": "0000000000ff.0.1.AAAAAAAAAAAAAAAAAAAA",
    "kubernetes": "pod-9.0.1.AAAAAAAAAAAAAAAAAAAA",
}
"""A session of a container that no name server knows any more."""

CLIENTS = 12
"""How many come at once."""

AS_SHIPPED = "as shipped"
OF_DEBIAN = "of Debian"
IN_A_HURRY = "in a hurry"
"""How a configuration is run, if not by the embedded nginx with a shorter wait for connections."""

WAITS = {
    AS_SHIPPED: {},
    IN_A_HURRY: {
        "proxy_connect_timeout": "300ms",
        "proxy_next_upstream_timeout": "1s",
        "proxy_read_timeout": "1500ms",
    },
}
SHORT_WAITS = {"proxy_connect_timeout": "300ms"}
"""What nginx waits in the tests instead; each less than the next one, as they are shipped."""

FIRST_CHOICE = """\
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://new_sessions;
        }}
    }}
}}
"""

FAILURES: dict[str, Callable[[Host], None]] = {
    "it refuses connections": Host.go,
    "it is not there to refuse any": Host.fall_silent,
    "it takes no more sessions": Host.fill,
    "it dies with each request": Host.die,
}


@dataclass
class Front:
    """A running nginx.

    :param name: the configuration.
    :param url: where it listens.
    :param hosts: what stands behind it; the third, where there is one, is known to nobody yet.
    :param names: what tells it where they are, if anything does.
    :param first_choice: where it does nothing but send requests to whom it sends new sessions.
    """

    name: str
    url: str
    hosts: list[Host]
    names: NameServer | None = None
    first_choice: str = ""

    def visit(self, number: int) -> int:
        """Come as a new client, by one transport or the other; return how that is answered."""
        if number % 2:
            return http("GET", f"{self.url}{HANDSHAKE}").status
        try:
            open_websocket(self.url).close()
        except HandshakeRefusedError as refused:
            return refused.response.status
        return 101

    def expect_service(self) -> None:
        """Expect all of many new clients to be served."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(self.visit, range(CLIENTS)))
        assert answers == [101, 200] * (CLIENTS // 2)

    def know(self, *hosts: Host) -> None:
        """Have the name of the service stand for these hosts."""
        assert self.names is not None
        addresses = " ".join(host.address for host in hosts)
        self.names.addresses |= {"app": addresses, ANY_POD: addresses}

    def known(self) -> set[str]:
        """Return the hosts that nginx sends new sessions to."""
        answers = [http("GET", self.first_choice) for _ in self.hosts]
        return {answer.json()["host"] for answer in answers if answer.status == 200}

    def taken(self, method: str) -> int:
        """Return how many requests of a method the hosts have taken."""
        return sum(line.startswith(f"{method} ") for host in self.hosts for line in host.seen)


@contextlib.contextmanager
def of_a_site(
    bake: Bake, directory: Path, name: str, waits: dict[str, str], binary: str | None
) -> Iterator[Front]:
    """Run nginx with a site of ``deploy/nginx``."""
    port, entry = free_port(), free_port()
    text = on_loopback(bake().text(f"deploy/nginx/{name}.conf"), entry)
    hosts = [
        Host(f"web-{number}", address, port) for number, address in enumerate(ADDRESSES[:2], 1)
    ]
    for number, host in enumerate(hosts, 1):
        text = text.replace(f"10.0.0.1{number}:5000", f"{host.address}:{port}")
    text = text.replace("127.0.0.1:5000", f"{hosts[0].address}:{port}")
    with closing(hosts), nginx(directory, waiting(text, waits), entry, binary) as url:
        yield Front(name, url, hosts)


@contextlib.contextmanager
def of_containers(bake: Bake, directory: Path, name: str, waits: dict[str, str]) -> Iterator[Front]:
    """Run nginx as it stands before containers that it knows by name."""
    template, called, domain = {
        "compose": ("deploy/docker/nginx.conf.template", CONTAINERS, ""),
        "kubernetes": (
            "deploy/kubernetes/base/router.conf.template",
            [f"pod-{number}" for number in range(3)],
            ".live-board-pods.test.svc.cluster.local",
        ),
    }[name]
    port, entry, first_choice = free_port(), free_port(), free_port()
    hosts = [Host(*named, port) for named in zip(called, ADDRESSES, strict=True)]
    known = {f"{host.name.replace('pod', 'live-board')}{domain}": host.address for host in hosts}
    with closing(hosts), answering(known) as names:
        text = bake().text(template)
        for variable, value in {
            "PROXY_READ_TIMEOUT": "60",
            "NGINX_LOCAL_RESOLVERS": f"127.0.0.1:{names.server_address[1]}",
            "NAMESPACE": "test",
            "CLUSTER_DOMAIN": "cluster.local",
        }.items():
            text = text.replace(f"${{{variable}}}", value)
        text = waiting(text, waits).rstrip().removesuffix("}")
        text += FIRST_CHOICE.format(port=first_choice)
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{entry};")
        text = text.replace(":5000", f":{port}").replace("/tmp/", f"{directory}/")
        with whole_nginx(directory, text, entry) as url:
            front = Front(name, url, hosts, names, f"http://127.0.0.1:{first_choice}")
            front.know(*hosts[:2])
            yield front


@contextlib.contextmanager
def of_the_stack(directory: Path) -> Iterator[Front]:
    """Run nginx as ``make stack`` does."""
    port, entry = free_port(), free_port()
    template = PROJECT_TEMPLATE / "production/process/stack.nginx.conf"
    text = Template(template.read_text()).substitute(
        directory=directory,
        port=entry,
        upstream=port,
        max_body=1_000_000,
        read_timeout=60,
        user="",
    )
    text = text.replace("daemon off;", "")
    hosts = [Host("stack", "127.0.0.1", port)]
    with closing(hosts), whole_nginx(directory, text, entry) as url:
        yield Front("stack", url, hosts)


@contextlib.contextmanager
def closing(hosts: list[Host]) -> Iterator[None]:
    """Have no host left when the block ends."""
    try:
        yield
    finally:
        for host in hosts:
            host.go()


def waiting(text: str, waits: dict[str, str]) -> str:
    """Return a configuration that waits as long as the test wants."""
    for directive, value in waits.items():
        text, found = re.subn(rf"\b{directive} \w+;", f"{directive} {value};", text)
        assert found == 1
    return text


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """A configuration in use."""
    directory = tmp_path_factory.mktemp(request.param.replace(" ", "-"))
    name, _, variant = request.param.partition(" ")
    waits = WAITS.get(variant, SHORT_WAITS)
    if name in GONE:
        started = of_containers(bake, directory, name, waits)
    elif name == "stack":
        started = of_the_stack(directory)
    else:
        binary = request.getfixturevalue("requires")("nginx") if variant == OF_DEBIAN else None
        started = of_a_site(bake, directory, name, waits, binary)
    with started as front:
        yield front


@pytest.fixture
def front(running: Front) -> Front:
    """A configuration in use, with hosts that all serve and have seen nothing yet."""
    for host in running.hosts:
        host.serve()
        host.seen.clear()
    if running.names:
        running.know(*running.hosts[:2])
        eventually(
            lambda: running.known() == {host.name for host in running.hosts[:2]},
            "nginx has looked the name up again",
        )
    return running


def run_as(*names: str) -> pytest.MarkDecorator:
    """Have a test for each of some configurations."""
    return pytest.mark.parametrize("running", names, indirect=True)


SEVERAL = ("hosts", "sticky", "compose", "kubernetes")
of_several = run_as("hosts", f"hosts {OF_DEBIAN}", *SEVERAL[1:])
of_several_in_a_hurry = run_as(*(f"{name} {IN_A_HURRY}" for name in SEVERAL))
by_name = run_as(*(f"{name} {AS_SHIPPED}" for name in GONE))
of_one = run_as("one-host", f"one-host {OF_DEBIAN}", "stack")


@of_several
@pytest.mark.parametrize("failure", FAILURES)
def test_new_clients_are_served_while_one_host_after_the_other_fails(
    front: Front, failure: str
) -> None:
    for host in [*front.hosts[:2], *front.hosts[:2]]:
        FAILURES[failure](host)
        front.expect_service()
        # The next one fails as soon as this one is back.
        host.serve()
    front.expect_service()


@by_name
def test_new_clients_are_served_while_containers_are_replaced(front: Front) -> None:
    one, other, new = front.hosts
    # One that is gone is known still, and whoever waits for it sees the others come and go meanwhile.
    other.fall_silent()
    known = itertools.cycle([(one, other), (one, new, other)])
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(2):
            visits = [pool.submit(front.visit, number) for number in range(CLIENTS)]
            while wait(visits, 0.1).not_done:
                front.know(*next(known))
            assert [visit.result() for visit in visits] == [101, 200] * (CLIENTS // 2)


@by_name
def test_new_clients_are_served_when_all_containers_have_been_replaced(front: Front) -> None:
    one, other, new = front.hosts
    one.fall_silent()
    other.fall_silent()
    front.know(new)
    front.expect_service()


@by_name
def test_new_clients_are_served_as_soon_as_containers_have_a_name(front: Front) -> None:
    front.know()
    eventually(lambda: front.visit(1) == 502, "nginx knows of no container")
    front.know(front.hosts[0])
    front.expect_service()


@of_several
def test_what_may_have_been_carried_out_is_not_repeated(front: Front) -> None:
    for host in front.hosts[:2]:
        host.die()
        for number in range(1, 5):
            answer = http("POST", f"{front.url}/api/orders", b"one")
            assert answer.status in (200, 502)
            assert front.taken("POST") == number
        host.serve()
        for each in front.hosts:
            each.seen.clear()


@of_several
@pytest.mark.parametrize("failure", [Host.go, Host.fall_silent])
def test_what_was_never_sent_is_sent_to_another(
    front: Front, failure: Callable[[Host], None]
) -> None:
    for host in front.hosts[:2]:
        failure(host)
        for _ in range(2):
            assert http("POST", f"{front.url}/api/orders", b"one").status == 200
        host.serve()


@of_several_in_a_hurry
def test_a_host_that_takes_its_time_is_not_given_up_for_another(front: Front) -> None:
    for host in front.hosts:
        host.be_mute()
        host.seen.clear()
    methods = ("GET", "POST")
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda method: http(method, f"{front.url}/api/orders"), methods)
        assert [answer.status for answer in answers] == [504, 504]
    assert [front.taken(method) for method in methods] == [1, 1]


@of_several
def test_a_session_whose_host_is_gone_is_unknown_to_another(front: Front) -> None:
    sids = [host.session_id() for host in front.hosts[:2]]
    for host, sid in zip(front.hosts, sids, strict=False):
        host.go()
        for method in ("GET", "POST"):
            answer = http(method, f"{front.url}{HANDSHAKE}&sid={sid}")
            assert (answer.status, answer.json()) == (400, f"Invalid session {sid}")
        with pytest.raises(HandshakeRefusedError, match="Invalid session"):
            open_websocket(front.url, sid=sid)
        host.serve()


@by_name
def test_a_session_of_a_container_without_a_name_is_unknown_to_another(front: Front) -> None:
    sid = GONE[front.name]
    answer = http("GET", f"{front.url}{HANDSHAKE}&sid={sid}")
    assert (answer.status, answer.json()) == (400, f"Invalid session {sid}")


@of_several
def test_where_nobody_serves_clients_are_told_so(front: Front) -> None:
    one, other, *_ = front.hosts
    one.fill()
    other.fill()
    for _ in range(4):
        answer = http("GET", f"{front.url}{HANDSHAKE}")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    one.go()
    other.go()
    assert http("GET", f"{front.url}{HANDSHAKE}").status == 502


@of_one
def test_new_clients_are_served_while_workers_die(front: Front) -> None:
    (host, *_) = front.hosts
    for number in range(4):
        host.die_once()
        assert front.visit(number) in (101, 200)
    host.die_once()
    assert http("POST", f"{front.url}/api/orders", b"one").status == 502
    assert front.taken("POST") == 1
