"""Images that tests build and run for real, with neither a daemon nor a registry.

The official images that a Dockerfile begins with are stood in for: Debian's Python, and the Node of
this machine. So every stage is built and the result runs, but nothing is proven about the official
images themselves. A container here is a mount namespace with the image as its root, read-only, and a
user without rights; the network and the processes are those of the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from baking import BakedProject
from waiting import PATIENCE

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "images"

TOOLS = ("buildah", "debootstrap", "unshare", "chroot", "npm")

DEBIAN = "bookworm"

PYTHON_IMAGE = "docker.io/library/python:3.13-slim"
"""By its name: it has the Python of that Debian."""

NODE_IMAGE = "docker.io/library/node:24-slim"

MOUNTS = """\
set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount --rbind /dev "$0/dev"
mount --rbind /proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev/shm"
mount -t tmpfs tmpfs "$0/tmp"
exec "$@"
"""


class BuildError(Exception):
    """A build failed; the message is all that it printed."""


@pytest.fixture(scope="module")
def builder(requires: Callable[[str], str]) -> Callable[[BakedProject, str], str]:
    """What builds the image of a project, its dependencies locked before."""
    for tool in ("make", *TOOLS):
        requires(tool)
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("who runs the tests may not mount, which unpacking and entering an image needs")

    def build_locked(project: BakedProject, tag: str) -> str:
        locked = project.run("make", "lock", f"TOOLS={sys.prefix}")
        assert locked.returncode == 0, locked.stdout
        return build(project, tag)

    return build_locked


def build(project: BakedProject, tag: str) -> str:
    """Build a project's image and return its name.

    :param project: with a ``Dockerfile``.
    :param tag: what to call it.
    :raises BuildError: with what the build printed.
    """
    with _locked():
        _stand_in_for_the_official_images()
        _buildah(
            *("bud", "--format", "docker", "--layers", "--force-rm", "--pull=false", "--tag", tag),
            *("--isolation", "chroot", "--network", "host"),
            *(f"--volume={path}:{path}:ro" for path in _package_settings()),
            str(project.path),
        )
    return tag


def save(image: str, archive: Path) -> None:
    """Write an image into a file that ``docker load`` takes."""
    _buildah("push", image, f"docker-archive:{archive}:{image}:latest")


@dataclass(frozen=True)
class Container:
    """An image that is unpacked, in which commands can run.

    :param root: its root directory.
    :param config: what the image says of how to run it, as Docker writes it.
    """

    root: Path
    config: dict[str, Any]

    def start(
        self, command: list[str], output: Path, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command as the image's user, over a read-only root.

        :param command: the command and its arguments.
        :param output: where it writes to.
        :param environment: what is set beside the image's own variables.
        """
        own = dict(entry.split("=", 1) for entry in self.config["Env"])
        with output.open("ab") as file:
            return subprocess.Popen(
                self._command(command, own | environment), stdout=file, stderr=subprocess.STDOUT
            )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return what it printed, whatever its exit status."""
        own = dict(entry.split("=", 1) for entry in self.config["Env"])
        return subprocess.run(
            self._command(list(command), own | environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def path(self, name: str) -> Path:
        """Return where a file of the image is on this machine."""
        return self.root / name.lstrip("/")

    def _command(self, command: list[str], environment: Mapping[str, str]) -> list[str]:
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTS),
            *(str(self.root), "chroot", f"--userspec={self.config['User']}", str(self.root)),
            *("env", "-i", "-C", self.config["WorkingDir"]),
            *(f"{name}={value}" for name, value in environment.items()),
            *command,
        ]


def linked_libraries(program: Path) -> list[Path]:
    """Return the libraries that a program is linked to, none if it has them within."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [Path(name) for name in re.findall(r"(/\S+) \(0x", listed.stdout)]


@contextlib.contextmanager
def unpacked(image: str) -> Iterator[Container]:
    """Unpack an image until the block ends."""
    inspected = json.loads(_buildah("inspect", "--type", "image", image))
    name = _buildah("from", "--pull=false", image)
    try:
        yield Container(Path(_buildah("mount", name)), inspected["Docker"]["config"])
    finally:
        _buildah("umount", name)
        _buildah("rm", name)
        # Mounted over itself by buildah, it could not be removed; in use by another test, it stays.
        subprocess.run(["umount", "--quiet", str(CACHE / "storage" / "overlay")], check=False)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Build one image at a time: the tests of several processes share their layers."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _buildah(*arguments: str) -> str:
    places = ("--root", str(CACHE / "storage"), "--runroot", str(CACHE / "run"))
    outcome = subprocess.run(
        ["buildah", *places, *arguments], capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        raise BuildError(outcome.stdout + outcome.stderr)
    return outcome.stdout.strip()


def _stand_in_for_the_official_images() -> None:
    if not _buildah("images", "--quiet", "--filter", f"reference={PYTHON_IMAGE}"):
        tree = CACHE / "debian"
        shutil.rmtree(tree, ignore_errors=True)
        packages = "python3,python3-venv,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", DEBIAN, str(tree)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        _commit("scratch", tree, PYTHON_IMAGE)
        shutil.rmtree(tree)
    if not _buildah("images", "--quiet", "--filter", f"reference={NODE_IMAGE}"):
        tree = CACHE / "node"
        shutil.rmtree(tree, ignore_errors=True)
        _copy_node(tree)
        _commit(PYTHON_IMAGE, tree, NODE_IMAGE)
        shutil.rmtree(tree)


def _commit(base: str, tree: Path, image: str) -> None:
    """Make an image of another one and the files of a directory."""
    name = _buildah("from", "--pull=false", base)
    _buildah("add", name, f"{tree}/", "/")
    _buildah("commit", "--rm", name, image)


def _copy_node(tree: Path) -> None:
    """Copy Node and npm of this machine into a directory, with the libraries that Node is linked to."""
    node, npm = (Path(shutil.which(name) or name).resolve() for name in ("node", "npm"))
    in_the_image = ("libc.", "ld-")
    libraries = [path for path in linked_libraries(node) if not path.name.startswith(in_the_image)]
    for file in (node, *(path.resolve() for path in libraries)):
        (tree / file.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tree / file.relative_to("/"))
    # Debian's npm finds what it requires beside itself.
    modules = npm.parents[2]
    shutil.copytree(modules / "npm", tree / modules.relative_to("/") / "npm", symlinks=True)
    programs = tree / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, program in {"node": node, "npm": npm}.items():
        (programs / name).symlink_to(program)


def _package_settings() -> set[Path]:
    """Return what pip and npm of this machine need to find packages: their settings, and what these name."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "debug"], capture_output=True, text=True, check=True
    ).stdout
    files = {Path(name) for name in re.findall(r"(/\S+), exists: True", listed)}
    for setting in ("userconfig", "globalconfig"):
        named = subprocess.run(
            ["npm", "config", "get", setting], capture_output=True, text=True, check=True
        )
        files.add(Path(named.stdout.strip()))
    files = {file for file in files if file.is_file()}
    named_in_them = {
        Path(name)
        for file in files
        for name in re.findall(r"(?<![\w/])/[\w.-]+(?:/[\w.-]+)+", file.read_text())
    }
    certificates = Path("/etc/ssl/certs")
    return files | {
        path
        for path in {certificates, *named_in_them}
        if path.exists() and (path == certificates or certificates not in path.parents)
    }
