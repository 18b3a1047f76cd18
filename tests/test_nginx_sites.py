"""The generated nginx sites: accepted by the real nginx, and speaking TLS as they say."""

from __future__ import annotations

import contextlib
import re
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme

from baking import Bake
from proxies import check_site, nginx
from rawclient import PATIENCE
from secure import call_over_tls
from served import free_port, serve

SITES = ("one-host", "hosts", "sticky")
SITES_OF_DEBIAN = ("one-host", "hosts")
"""Cookies are routed by since 1.29.6, which no Debian has."""

DEFAULT_CERTIFICATE = "/etc/letsencrypt/live/example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate for this host, its key, and the authority to trust."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(directory / "fullchain.pem", append=True)
    authority.cert_pem.write_to_path(directory / "authority.pem")
    return directory


def plain(bake: Bake, name: str, port: int) -> str:
    """Return a site as it is generated, on a port of the test."""
    return (
        bake().text(f"deploy/nginx/{name}.conf").replace("listen 80;", f"listen 127.0.0.1:{port};")
    )


def encrypted(bake: Bake, directory: Path, name: str, port: int, certificates: Path) -> str:
    """Return a site that includes the TLS snippet, as its comment says."""
    snippet = bake().text("deploy/nginx/live-board-tls.conf")
    (directory / "tls.conf").write_text(
        snippet.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace(
            DEFAULT_CERTIFICATE, str(certificates)
        )
    )
    text = bake().text(f"deploy/nginx/{name}.conf")
    assert "`include snippets/live-board-tls.conf;`" in text
    return text.replace("listen 80;", f"include {directory}/tls.conf;")


@pytest.mark.parametrize("name", SITES)
def test_the_embedded_nginx_accepts_a_site(
    bake: Bake, tmp_path: Path, authority: Path, name: str
) -> None:
    assert check_site(tmp_path, plain(bake, name, free_port())) == ""
    assert check_site(tmp_path, encrypted(bake, tmp_path, name, free_port(), authority)) == ""


@pytest.mark.parametrize("name", SITES_OF_DEBIAN)
def test_the_nginx_of_debian_accepts_a_site(
    bake: Bake, tmp_path: Path, authority: Path, requires: Callable[[str], str], name: str
) -> None:
    binary = requires("nginx")
    assert check_site(tmp_path, plain(bake, name, free_port()), binary) == ""
    site = encrypted(bake, tmp_path, name, free_port(), authority)
    assert check_site(tmp_path, site, binary) == ""


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
