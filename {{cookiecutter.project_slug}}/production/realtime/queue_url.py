"""The URL of Redis or Valkey: what it may say, and what is said about one that says something else.

One server       ``redis://``, ``rediss://`` (TLS), ``unix:///path``; ``valkey://`` and ``valkeys://``
                 are the same, since both servers speak one protocol
Sentinel         ``redis+sentinel://host1:26379,host2:26379/0/mymaster``, as python-socketio writes it:
                 the database, then the name of the master; the other order is understood too
Cluster          ``redis+cluster://host1:6379,host2:6379``: some of the nodes, they name the others

``+sentinel`` and ``+cluster`` go behind any scheme but ``unix``; behind ``rediss`` and ``valkeys`` all
connections use TLS. Options follow ``?``, see :data:`OPTIONS`: each is honoured, and any other is
refused: ``rediss://host/0?ssl_ca_certs=/etc/ca.pem``, ``?socket_connect_timeout=5``. The user and the
password in front of the hosts are those of the servers with the data; Sentinels that ask for some of
their own are given ``?sentinel_username=…&sentinel_password=…``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import RedisError
from redis.connection import SSLConnection

SCHEMES = {"redis": False, "rediss": True, "valkey": False, "valkeys": True, "unix": False}
"""The schemes, and whether they stand for TLS."""

EXAMPLES = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, "
    "redis+sentinel://host1:26379,host2:26379/0/mymaster or redis+cluster://host1:6379,host2:6379"
)

REDIS_PORT = 6379
SENTINEL_PORT = 26379

SENTINELS_OWN = "sentinel_"
"""How the options begin that are for the Sentinels only."""


class Form(StrEnum):
    """How servers are found and how many there are."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Address:
    """What a URL says.

    :param form: how the servers are found.
    :param nodes: hosts and ports to ask for the others; none where there is a single server.
    :param master: the name of the master, with Sentinel.
    :param options: for the connections to the servers with the data.
    :param tls: whether all connections use TLS.
    :param to_sentinels: for the connections to the Sentinels, beside time-outs and TLS.
    """

    form: Form
    nodes: tuple[tuple[str, int], ...]
    master: str
    options: dict[str, Any]
    tls: bool = False
    to_sentinels: tuple[tuple[str, str], ...] = ()

    @property
    def database(self) -> int:
        """The number of the database; channels know none, see ``redis_connection.name``."""
        return int(self.options.get("db", 0))


def parse(url: str) -> Address:
    """Read a URL.

    :raises ValueError: one sentence that does not repeat the URL, which may hold a password.
    """
    scheme, separator, _ = url.partition("://")
    plain, _, suffix = scheme.lower().partition("+")
    forms = {"": Form.SINGLE, "sentinel": Form.SENTINEL, "cluster": Form.CLUSTER}
    form = forms.get(suffix)
    if not separator or plain not in SCHEMES or form is None:
        raise ValueError(f"is no URL of Redis or Valkey: write {EXAMPLES}")
    parts = urlsplit(url)
    if parts.fragment:
        raise ValueError("contains #, which has to be written as %23 in a password")
    options = _options(parts.query, form, tls=SCHEMES[plain], unix=plain == "unix")
    credentials, _, hosts = parts.netloc.rpartition("@")
    options |= _credentials(credentials, options)
    if plain == "unix":
        return _behind_unix_socket(form, hosts, parts.path, options)
    port = SENTINEL_PORT if form is Form.SENTINEL else REDIS_PORT
    nodes = tuple(_host_and_port(host, port) for host in hosts.split(","))
    if form is Form.SINGLE and len(nodes) > 1:
        raise ValueError(f"names several hosts: write {EXAMPLES}")
    database, master = _database_and_master(parts.path, form)
    options |= _chosen_database(database, options)
    to_sentinels = tuple(
        (option.removeprefix(SENTINELS_OWN), options.pop(option))
        for option in list(options)
        if option.startswith(SENTINELS_OWN)
    )
    if form is Form.SINGLE:
        options["host"], options["port"] = nodes[0]
        return Address(form, (), "", options, SCHEMES[plain])
    if form is Form.CLUSTER and options.pop("db", 0):
        raise ValueError("names a database, and in a cluster there is only 0: leave it out")
    return Address(form, nodes, master, options, SCHEMES[plain], to_sentinels)


def check_url(url: str) -> None:
    """Make sure that a URL and its options can be used, without connecting.

    :raises ValueError: one sentence that does not repeat the URL, which may hold a password.
    """
    address = parse(url)
    if not address.tls:
        return
    given = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
    _check_files(given)
    try:
        SSLConnection(**given)
    except (TypeError, ValueError, RedisError) as error:
        raise ValueError(f"has options that do not go together: {error}") from None


# Options


def _number(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError
    return int(text)


def _switch(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
        text.lower()
    ]


def _demand(text: str) -> str:
    if text not in {"none", "optional", "required"}:
        raise ValueError
    return text


def _tls_release(text: str) -> ssl.TLSVersion:
    return {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[text]


OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "db": (_whole, "a whole number"),
    "username": (str, "a text"),
    "password": (str, "a text"),
    "client_name": (str, "a text"),
    "socket_timeout": (_number, "a number of seconds"),
    "socket_connect_timeout": (_number, "a number of seconds"),
    "socket_keepalive": (_switch, "true or false"),
    "health_check_interval": (_whole, "a whole number of seconds"),
    "ssl_ca_certs": (str, "a path"),
    "ssl_ca_path": (str, "a path"),
    "ssl_certfile": (str, "a path"),
    "ssl_keyfile": (str, "a path"),
    "ssl_password": (str, "a text"),
    "ssl_cert_reqs": (_demand, "none, optional or required"),
    "ssl_check_hostname": (_switch, "true or false"),
    "ssl_min_version": (_tls_release, "1.2 or 1.3"),
    "ssl_ciphers": (str, "a text"),
    "sentinel_username": (str, "a text"),
    "sentinel_password": (str, "a text"),
}
"""What may follow ``?``: how it is read, and what it has to be. The names are redis-py's, but for the
last two."""


def _options(query: str, form: Form, *, tls: bool, unix: bool) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("has an option without a value: write ?name=value&name=value") from None
    options: dict[str, Any] = {}
    for name, text in pairs:
        if name == "ssl":
            raise ValueError("asks for TLS by an option: write rediss:// or valkeys:// instead")
        if name not in OPTIONS:
            raise ValueError(
                f"has an option that does not exist, {name!r}: there are {', '.join(OPTIONS)}"
            )
        if name in options:
            raise ValueError(f"gives the option {name} twice")
        if name.startswith("ssl_") and not tls:
            raise ValueError(f"has the option {name} without TLS: write rediss:// or valkeys://")
        if name == "socket_keepalive" and unix:
            raise ValueError(f"has the option {name}, and a unix socket has none")
        if name.startswith(SENTINELS_OWN) and form is not Form.SENTINEL:
            raise ValueError(f"has the option {name} without Sentinels: write redis+sentinel://")
        read, kind = OPTIONS[name]
        try:
            options[name] = read(text)
        except (KeyError, ValueError):
            raise ValueError(f"has an invalid value for {name!r}: it has to be {kind}") from None
    if "sentinel_username" in options and "sentinel_password" not in options:
        raise ValueError("has the option sentinel_username without sentinel_password")
    return options


def _credentials(text: str, options: dict[str, Any]) -> dict[str, str]:
    """Return the user and the password in front of the hosts.

    :raises ValueError: if options say them too.
    """
    username, _, password = text.partition(":")
    given = {"username": unquote(username), "password": unquote(password)}
    given = {name: value for name, value in given.items() if value}
    for name in given.keys() & options.keys():
        raise ValueError(f"gives the {name} twice: in front of the host and as an option")
    return given


def _chosen_database(path: str, options: dict[str, Any]) -> dict[str, int]:
    if not path:
        return {}
    if "db" in options:
        raise ValueError("gives the database twice: in the path and as the option db")
    return {"db": int(path)}


def _check_files(options: dict[str, Any]) -> None:
    """Make sure that the files of TLS are there, and that what they hold can be used.

    :raises ValueError: one sentence that names the option.
    """
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        try:
            with Path(options.get(name, __file__)).open("rb"):
                pass
        except OSError as error:
            raise ValueError(
                f"names a file in {name} that cannot be read: {error.strerror}"
            ) from None
    if not Path(options.get("ssl_ca_path", "/")).is_dir():
        raise ValueError("names a directory in ssl_ca_path that is not there")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("has the option ssl_keyfile without ssl_certfile")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key, password = options.get("ssl_keyfile"), options.get("ssl_password", "")
    uses: dict[str, Callable[[str], None]] = {
        "ssl_ca_certs": context.load_verify_locations,
        "ssl_certfile": lambda path: context.load_cert_chain(path, key, password),
        "ssl_ciphers": context.set_ciphers,
    }
    for name, use in uses.items():
        try:
            if name in options:
                use(options[name])
        except ssl.SSLError:
            raise ValueError(f"has an option {name} that cannot be used by OpenSSL") from None


# The rest of a URL


def _behind_unix_socket(form: Form, host: str, path: str, options: dict[str, Any]) -> Address:
    if form is not Form.SINGLE:
        raise ValueError(f"asks for a {form} behind a unix socket: write {EXAMPLES}")
    if host or not path:
        raise ValueError("names no socket: write unix:///path/to/socket")
    return Address(form, (), "", {**options, "path": unquote(path)})


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        return unquote(parts.hostname or "localhost"), parts.port or default_port
    except ValueError:
        # Python's own sentence would repeat what may be a part of the password.
        raise ValueError(
            "names a host or port that is none; special characters in a password have to be "
            "percent-encoded"
        ) from None


def _database_and_master(path: str, form: Form) -> tuple[str, str]:
    """Return the database and the name of the master, wherever each stands."""
    segments = [unquote(segment) for segment in path.split("/") if segment]
    numbers = [segment for segment in segments if segment.isdecimal()]
    names = [segment for segment in segments if not segment.isdecimal()]
    if form is Form.SENTINEL:
        if len(names) != 1 or len(numbers) > 1:
            raise ValueError("names no master: write redis+sentinel://host1,host2/0/mymaster")
    elif names or len(numbers) > 1:
        raise ValueError("has a path that is no database: write a number, as in redis://host/0")
    return "".join(numbers), "".join(names)
