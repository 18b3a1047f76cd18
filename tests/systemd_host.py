"""A host whose init is systemd, made of namespaces of this machine.

Its files are this machine's below a layer in memory, its processes and its control groups are its own,
and the network is shared, so that clients of the tests reach what it serves. Of the units that Debian
brings, it starts the journal alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import BakedProject
from waiting import PATIENCE, eventually

TOOLS = ("systemctl", "unshare", "nsenter", "pivot_root")


PYTHON = Path("/opt/python")
"""Where the host has the interpreter of the tests, which may be below a home and hidden from services."""

LIBRARIES = Path("/opt/libraries")
"""Where it has the libraries that a project's virtual environment would have."""

BOOT = """\
set -e
root=$1 upper=$2 python=$3 libraries=$4
mount -t tmpfs tmpfs "$upper"
mkdir "$upper/files" "$upper/work"
mount -t overlay -o "lowerdir=/,upperdir=$upper/files,workdir=$upper/work" overlay "$root"
cd "$root"

mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --rbind /sys sys
umount --recursive sys/fs/cgroup
mount -t tmpfs tmpfs sys/fs
mkdir sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

mkdir -p opt/python opt/libraries
mount --bind "$python" opt/python
mount --bind "$libraries" opt/libraries

rm -rf etc/systemd/system lib/systemd/system/*.wants
mkdir -p etc/systemd/system/sysinit.target.wants
ln -s /lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants/
echo 0123456789abcdef0123456789abcdef > etc/machine-id

mkdir before
pivot_root . before
umount --lazy /before
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=multi-user.target --show-status=no
"""


class SystemdHost:
    """The host, while it runs.

    :param init: the process id of its init, as this machine counts.
    """

    def __init__(self, init: int) -> None:
        self._init = init

    def path(self, name: str) -> Path:
        """Return where a file of the host is on this machine."""
        return Path(f"/proc/{self._init}/root", name.lstrip("/"))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the host to its end, and return what it printed, whatever its exit status."""
        return subprocess.run(
            ["nsenter", f"--target={self._init}", "--mount", "--pid", "--cgroup", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def systemctl(self, *arguments: str) -> str:
        """Run ``systemctl`` and return what it printed; it must succeed."""
        outcome = self.run("systemctl", *arguments)
        assert outcome.returncode == 0, f"{outcome.stdout}\n{self.journal()}"
        return outcome.stdout

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def journal(self) -> str:
        """Return what services wrote, and systemd about them."""
        return self.run("journalctl", "--no-pager", "--output=short-precise").stdout

    def install(self, project: BakedProject, name: str, environment: str = ".venv") -> None:
        """Put a project where its units expect it, with what its ``make install`` would bring.

        :param project: the project.
        :param name: of its units.
        :param environment: the name of its virtual environment.
        """
        home = f"/srv/{name}"
        # As a clone has it: .env is never committed.
        shutil.copytree(project.path, self.path(home), ignore=shutil.ignore_patterns(".env"))
        base = Path(os.path.realpath(sys.executable)).relative_to(sys.base_prefix)
        made = self.run(
            *("env", f"LD_LIBRARY_PATH={PYTHON}/lib", str(PYTHON / base)),
            *("-m", "venv", "--without-pip", f"{home}/{environment}"),
        )
        assert made.returncode == 0, made.stdout
        (packages,) = self.path(f"{home}/{environment}").glob("lib/python*/site-packages")
        (packages / "tests.pth").write_text(f"{LIBRARIES}\n")
        gunicorn = self.path(f"{home}/{environment}/bin/gunicorn")
        gunicorn.write_text(
            f"#!{home}/{environment}/bin/python\n"
            "from gunicorn.app.wsgiapp import run\n"
            "raise SystemExit(run())\n"
        )
        gunicorn.chmod(0o755)
        for unit in (project.path / "deploy/systemd").glob(f"{name}*.s*"):
            shutil.copy(unit, self.path("/etc/systemd/system"))

    def configure(self, name: str, **environment: str) -> None:
        """Write the settings of a service, for root alone to read.

        :param name: of its units.
        :param environment: the variables.
        """
        path = self.path(f"/etc/{name}.env")
        path.touch(0o600)
        path.write_text(
            "".join(f"{variable}={value}\n" for variable, value in environment.items())
            # The interpreter of the tests may need its own library.
            + f"LD_LIBRARY_PATH={PYTHON}/lib\n"
        )

    @contextlib.contextmanager
    def amended(self, unit: str, text: str) -> Iterator[None]:
        """Amend a unit, as ``systemctl edit`` does, until the block ends.

        :param unit: its name.
        :param text: what its drop-in file has.
        """
        directory = self.path(f"/etc/systemd/system/{unit}.d")
        directory.mkdir()
        (directory / "override.conf").write_text(text)
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            shutil.rmtree(directory)
            self.systemctl("daemon-reload")


@contextlib.contextmanager
def systemd_host(directory: Path) -> Iterator[SystemdHost]:
    """Boot a host that runs until the block ends; skip the test where none can be.

    :param directory: where it may mount.
    """
    groups = _control_groups()
    if groups is None:
        pytest.skip("this machine mounts no unified hierarchy of control groups for systemd to use")
    for name in ("root", "upper"):
        (directory / name).mkdir()
    group = groups / f"systemd-host-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("who runs the tests may make no control group, which systemd needs")
    log = directory / "boot.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *("sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group)),
                *("unshare", "--mount", "--propagation=private", "--pid", "--fork"),
                *("--kill-child=KILL", "--uts", "--ipc", "--cgroup", "sh", "-c", BOOT, "boot"),
                *(str(directory / "root"), str(directory / "upper")),
                *(sys.base_prefix, sysconfig.get_path("purelib")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        host = SystemdHost(_init_of(process, log))
        # A boot is over when its target is reached; "degraded" would do, but nothing has failed.
        eventually(
            lambda: host.run("systemctl", "is-system-running").stdout.strip() == "running",
            lambda: f"systemd is up: {log.read_text()}\n{host.journal()}",
        )
        yield host
    finally:
        # The first process of the namespace takes all others with it.
        process.kill()
        process.wait()
        eventually(lambda: _removed(group), "the host's control groups are empty")


def _control_groups() -> Path | None:
    """Return where the unified hierarchy of control groups is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


def _init_of(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the process id of what has become systemd."""

    def found() -> int | None:
        assert process.poll() is None, log.read_text()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in map(int, children):
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return None

    init = eventually(found, lambda: f"systemd starts: {log.read_text()}")
    assert init
    return init


def _removed(group: Path) -> bool:
    """Remove a control group with those below it, unless a process is left in one."""
    deepest_first = sorted(group.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
    try:
        for path in (*deepest_first, group):
            path.rmdir()
    except OSError:
        return False
    return True
