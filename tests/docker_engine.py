"""A Docker Engine with Compose, real and of the tests' own.

It is Debian's, unpacked instead of installed. Its daemon has namespaces of its own for mounts, processes
and the network, so that its rules, bridges and containers are no part of this machine, and end with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from namespaces import NAMESPACES, Host, network
from waiting import eventually

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "docker"

TOOLS = ("apt-get", "dpkg-deb", "ip", "iptables", "nsenter", "runc", "unshare")

DEBIAN = "trixie"
"""The first with what ``compose.yaml`` asks for: Docker 25 and Compose 2.24. It has 26.1 and 2.26."""

PACKAGES = ("docker.io", "docker-cli", "docker-compose", "containerd", "busybox-static")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"

CONTROL_GROUPS = Path("/sys/fs/cgroup")


# What the daemon and containerd write outside their own directories is lost with the mounts.
MOUNTS = """\
set -e
mount -t tmpfs tmpfs /run
mkdir /run/opt /run/work
mount -t overlay overlay -o lowerdir=/opt,upperdir=/run/opt,workdir=/run/work /opt
exec "$@"
"""

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

NEEDED = (
    "ip link add engine type bridge && iptables --table nat --list && mount -t tmpfs tmpfs /run"
)
"""What no daemon can do without."""


def obstacle() -> str:
    """Return why no engine can run on this machine, or nothing."""
    tried = subprocess.run(
        [*UNSHARE, "--net", "sh", "-c", NEEDED], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


@dataclass(frozen=True)
class Engine:
    """An engine that runs.

    :param host: the network in which it publishes ports.
    :param directory: where it keeps everything, and listens.
    :param packages: the root directory of the unpacked packages.
    """

    host: Host
    directory: Path
    packages: Path

    def docker(self, *arguments: str) -> str:
        """Run ``docker`` and return what it printed.

        :raises subprocess.CalledProcessError: if it fails.
        """
        done = self.run(*arguments)
        if done.returncode:
            raise subprocess.CalledProcessError(
                done.returncode, arguments, done.stdout, done.stderr
            )
        return done.stdout

    def run(
        self, *arguments: str, directory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker``, whatever its exit status.

        :param directory: where.
        """
        return subprocess.run(
            [str(self.packages / "usr/bin/docker"), *arguments],
            cwd=directory,
            env={
                "DOCKER_HOST": f"unix://{self.directory}/socket",
                "DOCKER_CONFIG": str(self.directory),
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            check=False,
        )


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Run an engine until the block ends."""
    packages = _unpacked_packages()
    with contextlib.ExitStack() as stack:
        # A path of pytest's would be too long for the sockets in it.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docker-")))
        host = stack.enter_context(network(0)).middle
        stack.callback(_remove_control_groups, directory.name)
        plugins = packages / "usr/libexec/docker/cli-plugins"
        (directory / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}))
        stack.enter_context(_daemon(directory, packages, host))
        yield Engine(host, directory, packages)


@contextlib.contextmanager
def _daemon(directory: Path, packages: Path, host: Host) -> Iterator[None]:
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *("nsenter", f"--net={NAMESPACES / host.name}", *UNSHARE),
                *("sh", "-c", MOUNTS, "sh", "dockerd", "--log-level", "warn"),
                *("--data-root", str(directory / "data"), "--exec-root", str(directory / "run")),
                *("--pidfile", str(directory / "pid"), "--host", f"unix://{directory}/socket"),
                *("--exec-opt", "native.cgroupdriver=cgroupfs"),
                *("--cgroup-parent", f"/{directory.name}"),
            ],
            env={
                "PATH": f"{packages}/usr/sbin:{packages}/usr/bin:/usr/sbin:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(
            lambda: (directory / "socket").exists() or process.poll() is not None,
            log.read_text,
        )
        assert process.poll() is None, log.read_text()
        yield
    finally:
        # The daemon is the first process of its namespace, and takes all others with it.
        if process.poll() is None:
            for daemon in psutil.Process(process.pid).children():
                daemon.kill()
            process.wait()


def _remove_control_groups(name: str) -> None:
    """Remove what is left of the containers' control groups; of either version, see cgroups(7)."""
    for top in (*CONTROL_GROUPS.glob(name), *CONTROL_GROUPS.glob(f"*/{name}")):
        for group, _, _ in os.walk(top, topdown=False):
            eventually(functools.partial(_is_removed, Path(group)), f"{group} is empty")


def _is_removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def _unpacked_packages() -> Path:
    """Fetch and unpack the packages, once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    root = CACHE / DEBIAN
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as directory:
                unpacked = Path(directory) / "root"
                for package in _fetched_packages(Path(directory)):
                    subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
                unpacked.rename(root)
    return root


def _fetched_packages(directory: Path) -> list[Path]:
    """Fetch the packages from where this machine has its own from, past its own list of them.

    :raises LookupError: if that is not Debian's archive.
    """
    for part in ("lists/partial", "archives/partial"):
        (directory / part).mkdir(parents=True)
    listed = ["apt-get", "indextargets", "--format", "$(SITE)", "Label: Debian"]
    sites = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    if not sites:
        raise LookupError(
            "apt knows of no archive of Debian: is this Debian, after apt-get update?"
        )
    (directory / "sources.list").write_text(f"deb [signed-by={KEYS}] {sites[0]} {DEBIAN} main\n")
    settings = {
        "Dir::State": directory,
        "Dir::State::Status": "/dev/null",
        "Dir::Cache": directory,
        "Dir::Etc::SourceList": directory / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"--option={name}={value}" for name, value in settings.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", *PACKAGES], cwd=directory, check=True)
    return list(directory.glob("*.deb"))
