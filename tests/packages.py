"""A package index on this machine, with libraries that have nothing in them."""

from __future__ import annotations

import functools
import http.server
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path


class PackageIndex:
    """Wheels in folders, each named as its library; pip and uv read a listing of them as an index.

    See https://packaging.python.org/en/latest/specifications/simple-repository-api/

    :param folder: where the wheels are.
    :param address: where they are served.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.address = address
        self._folder = folder
        self.environment = {
            "UV_NO_CACHE": "1",
            "UV_DEFAULT_INDEX": address,
            "UV_INDEX_URL": address,
            "UV_EXTRA_INDEX_URL": f"{address}/",
            "UV_FIND_LINKS": f"{address}/harmless/",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_CONFIG_FILE": str(folder / "pip.conf"),
            "PIP_INDEX_URL": address,
            "PIP_EXTRA_INDEX_URL": f"{address}/",
            "PIP_FIND_LINKS": f"{address}/harmless/",
        }
        """What makes pip and uv take this index, in every way that there is to name one."""
        (folder / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")

    @classmethod
    @contextmanager
    def served(cls, folder: Path) -> Iterator[PackageIndex]:
        """Serve an empty index until the block ends."""
        folder.mkdir()
        with answering(functools.partial(_Listing, directory=str(folder))) as address:
            yield cls(folder, address.replace("://", "://someone:secret@"))

    def settings(self) -> Iterator[str]:
        """Yield the environment as ``env`` takes it."""
        return (f"{name}={value}" for name, value in self.environment.items())

    def add(self, name: str, release: str) -> None:
        """Publish a release of a library in which nothing is."""
        about = f"{name}-{release}.dist-info"
        self._publish(
            name,
            release,
            {
                f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n",
                f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                f"{about}/RECORD": "",
            },
        )

    def add_installed(self, name: str) -> None:
        """Publish a library of this environment, one of Python only, as it is installed."""
        installed = distribution(name)
        files = [file for file in installed.files or [] if file.suffix != ".pyc"]
        self._publish(
            name, installed.version, {str(file): file.read_text("utf-8") for file in files}
        )

    def _publish(self, name: str, release: str, files: dict[str, str]) -> None:
        wheel = self._folder / name / f"{name}-{release}-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)


class _Listing(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def answering(
    handler: type[http.server.BaseHTTPRequestHandler] | functools.partial[_Listing],
) -> Iterator[str]:
    """Answer requests until the block ends; return the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
