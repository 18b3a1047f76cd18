"""Give the new project a secret of its own, or put the layer beside an existing app.

What cookiecutter wrote for an existing app is in a directory of its own inside the app's folder. From
there it goes into the folder, as far as its names are free; then that directory is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

# Read as data, so that no answer can become code.
PROJECT_SLUG: str = json.loads(
    r"""
    {{ cookiecutter.project_slug | tojson }}
    """
)
EXISTING_APP: str = json.loads(
    r"""
    {{ cookiecutter.existing_app | tojson }}
    """
)

NEXT_STEPS = f"""\
cd {PROJECT_SLUG}
make run     # installs for a minute, then open http://127.0.0.1:5000
make test    # the service's own tests"""

# Where it is written, as cruft writes it, what the layer is generated from, and what was brought.
RECORD = "production/.cruft.json"

# Where a file goes whose name is taken.
TO_MERGE = "production/to_merge"

# What an existing app gets beside production/, files and whole directories; the rest is for a new
# service. With each, what its owner has to merge of a file whose name is taken.
ADDED = {
    "wsgi.py": "nothing: gunicorn.conf.py serves production/adopt/wsgi.py instead",
    "gunicorn.conf.py": f"nothing if `gunicorn --config {TO_MERGE}/gunicorn.conf.py` serves; otherwise all of it, "
    "your own options at the end",
    "production.toml": "the lines that yours lacks",
    ".env.example": "the settings that you change, into production.env",
    "Makefile": f"its targets; or use `make -f {TO_MERGE}/Makefile run`",
    "requirements-production.txt": "nothing: the Makefile reads the layer's from there",
    "deploy": "what yours lacks, if you deploy that way",
    "Dockerfile": f"nothing if `docker build --file {TO_MERGE}/Dockerfile .` does; otherwise its last stage",
    ".dockerignore": "the lines that yours lacks, the secrets first",
    "compose.yaml": f"nothing if `docker compose --project-directory . --file {TO_MERGE}/compose.yaml up` does; "
    "otherwise its services",
    "compose.dev.yaml": "nothing: name it with --file",
    "Procfile": "its line `web`",
    "MIGRATION.md": "nothing: read it there",
}

# Names that mean the same to the program that reads the file.
SAME_FILE = {
    "Makefile": ("GNUmakefile", "makefile", "Makefile"),
    "compose.yaml": ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"),
}

# What another file says where a name is taken, so that all of it works without merging: the name
# that is taken, the file, and the words there before and after.
INSTEAD = (
    ("wsgi.py", "gunicorn.conf.py", '"wsgi:app"', '"production.adopt.wsgi:app"'),
    (
        "gunicorn.conf.py",
        "Makefile",
        "export PIP_DISABLE_PIP_VERSION_CHECK := 1\n",
        "export PIP_DISABLE_PIP_VERSION_CHECK := 1\n"
        f"export GUNICORN_CMD_ARGS := --config {TO_MERGE}/gunicorn.conf.py $(GUNICORN_CMD_ARGS)\n",
    ),
    (
        "gunicorn.conf.py",
        "deploy/systemd/*.service",
        "ExecStart=",
        f'Environment="GUNICORN_CMD_ARGS=--config {TO_MERGE}/gunicorn.conf.py"\nExecStart=',
    ),
    (
        "requirements-production.txt",
        "Makefile",
        "requirements-production.txt",
        f"{TO_MERGE}/requirements-production.txt",
    ),
    ("Makefile", "MIGRATION.md", "    make ", f"    make -f {TO_MERGE}/Makefile "),
    ("Makefile", "Makefile", "make lock", f"make -f {TO_MERGE}/Makefile lock"),
    ("Makefile", "deploy/*README.md", " make -C ", f" make -f {TO_MERGE}/Makefile -C "),
    ("Makefile", "deploy/*README.md", "make lock", f"make -f {TO_MERGE}/Makefile lock"),
    ("Makefile", "deploy/*README.md", "make run", f"make -f {TO_MERGE}/Makefile run"),
    ("Makefile", "Dockerfile", "run make lock", f"run make -f {TO_MERGE}/Makefile lock"),
    (
        "gunicorn.conf.py",
        "Dockerfile",
        'CMD ["gunicorn"',
        f'CMD ["gunicorn", "--config", "{TO_MERGE}/gunicorn.conf.py"',
    ),
    (
        "gunicorn.conf.py",
        "Procfile",
        " gunicorn",
        f" gunicorn --config {TO_MERGE}/gunicorn.conf.py",
    ),
    (
        "Dockerfile",
        "deploy/docker/README.md",
        "docker build ",
        f"docker build --file {TO_MERGE}/Dockerfile ",
    ),
    (
        "compose.yaml",
        "deploy/*README.md",
        "docker compose up",
        f"docker compose --project-directory . --file {TO_MERGE}/compose.yaml up",
    ),
    (
        "compose.yaml",
        "deploy/docker/README.md",
        "docker compose -f compose.yaml",
        f"docker compose --project-directory . -f {TO_MERGE}/compose.yaml",
    ),
    (
        "Dockerfile",
        "compose.yaml",
        "build: .",
        f"build:\n      context: .\n      dockerfile: {TO_MERGE}/Dockerfile",
    ),
)


def write_environment_file(project: Path) -> None:
    """Write ``.env`` for its owner's eyes only; one that exists holds a secret in use and is kept."""
    try:
        descriptor = os.open(project / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(environment_file())


def environment_file() -> str:
    """Draw secrets that no other project shares."""
    return (
        "# What is particular to this machine; never commit it. .env.example lists every setting.\n"
        f"SECRET_KEY={secrets.token_urlsafe(48)}\n"
        "# Of the message queue that compose.yaml runs.\n"
        f"VALKEY_PASSWORD={secrets.token_urlsafe(24)}\n"
    )


def app_settings() -> str:
    """Return what ``production.toml`` says of an existing app.

    Not a part of the template's file, which is TOML as it stands, since the layer reads it there.
    """
    return (
        "\n# How the app is started where it is developed. The layer does the same, up to the call that"
        " serves.\n"
        f"existing_app = {json.dumps(EXISTING_APP, ensure_ascii=False)}\n"
    )


class Delivery:
    """Brings what was generated into an app's folder, and takes it back if that fails.

    :param staged: the directory that cookiecutter wrote.
    :param project: the app's folder.
    """

    def __init__(self, staged: Path, project: Path) -> None:
        self._staged = staged
        self._project = project
        self._created: list[Path] = []
        self._replaced: dict[Path, bytes] = {}
        self._recorded = recorded(project)
        self._brought: dict[str, list[str]] = {}
        self.updating = (project / "production").is_dir()
        self.added: list[str] = []
        self.renewed: list[str] = []
        self.kept: dict[str, str] = {}

    def run(self) -> None:
        """Bring everything, or nothing."""
        with (self._staged / "production.toml").open("a", encoding="utf-8", newline="\n") as file:
            file.write(app_settings())
        self._brought = {name: list(self._files_of(name)) for name in ADDED}
        for name in ADDED:
            if name == "MIGRATION.md":
                # It says what else is taken.
                self._write_migration()
            self.kept.update(
                {file: ADDED[name] for file in self._brought[name] if self._is_taken(file)}
            )
        try:
            self._bring_layer()
            for name, files in self._brought.items():
                if [file for file in files if self._bring(file)]:
                    self.added.append(_shown(name, files))
            self._write_record()
        except BaseException:
            self._take_back()
            raise

    def _files_of(self, name: str) -> Iterator[str]:
        """Yield a file, or every file below a directory, relative to the project."""
        path = self._staged / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file.relative_to(self._staged).as_posix() for file in found if file.is_file())

    def kept_names(self) -> Iterator[tuple[str, str]]:
        """Yield what stays the app's, a directory of which nothing was brought as one, and what to merge."""
        for name, files in self._brought.items():
            kept = [file for file in files if file in self.kept]
            yield from (
                (file, ADDED[name]) for file in ([_shown(name, files)] if kept == files else kept)
            )

    def _the_layers(self) -> Iterable[str]:
        """Return what the app's owner can remove: nothing in it is the app's."""
        theirs = set(self.kept)
        if not self._may_be_ours("MIGRATION.md"):
            theirs.add("MIGRATION.md")
        ours = [file for files in self._brought.values() for file in files if file not in theirs]
        return dict.fromkeys(self._outermost(file, set(ours)) for file in ours)

    def _may_be_ours(self, name: str) -> bool:
        """Tell whether a file is not there or begins as the layer's, of which the rest is not known yet."""
        path = self._project / name
        if not os.path.lexists(path):
            return True
        title = self._text(name).partition("\n")[0]
        return path.is_file() and path.read_bytes().startswith(title.encode())

    def _outermost(self, file: str, ours: set[str]) -> str:
        """Return the outermost directory around a file that holds nothing else, or the file."""
        for directory in _directories(file):
            if self._is_ours(directory, ours):
                return f"{directory.as_posix()}/"
        return file

    def _is_ours(self, directory: Path, ours: set[str]) -> bool:
        """Tell whether a directory has, or will have, nothing but the layer's files in it."""
        return all(
            path.relative_to(self._project).as_posix() in ours
            for path in (self._project / directory).rglob("*")
            if path.is_symlink() or not path.is_dir()
        )

    def _is_taken(self, name: str) -> bool:
        """Tell whether the app has another file of that name; one as it was brought is not the app's.

        A directory that is a link, or no directory at all, takes every name in it.
        """
        directories = [self._project / parent for parent in _directories(name)]
        if any(os.path.lexists(path) and not _is_own_directory(path) for path in directories):
            return True
        for taken in SAME_FILE.get(name, (name,)):
            path = self._project / taken
            if os.path.lexists(path):
                return not path.is_file() or not (
                    path.read_bytes() == self._text(name).encode() or self._is_as_brought(taken)
                )
        return False

    def is_aside(self, name: str) -> bool:
        """Tell whether the layer's file is used from where it is put aside.

        One that was brought, and changed by its owner, goes on to be used.
        """
        return name in self.kept and name not in self._recorded

    def _is_as_brought(self, name: str) -> bool:
        return self._recorded.get(name) == _digest(self._project / name)

    def _text(self, name: str) -> str:
        return (self._staged / name).read_text(encoding="utf-8")

    def _bring_layer(self) -> None:
        """Put ``production`` there; an earlier one of the layer is brought up to date."""
        target = self._project / "production"
        if not self.updating:
            self._created.append(target)
            self.added.append("production/")
        shutil.rmtree(self._project / TO_MERGE, ignore_errors=True)
        shutil.copytree(self._staged / "production", target, dirs_exist_ok=True)

    def _bring(self, name: str) -> bool:
        """Put a file there, or aside if its name is taken; tell whether it is there now and was not."""
        text = self._text(name)
        for taken, place, old, new in INSTEAD:
            if self.is_aside(taken) and fnmatchcase(name, place):
                text = text.replace(old, new)
        target = self._project / name
        if name in self.kept:
            self._write(self._project / TO_MERGE / name, name, text)
            return False
        if not os.path.lexists(target):
            self._make_directory(target.parent)
            self._created.append(target)
            self._write(target, name, text)
            return True
        if not target.is_symlink() and target.read_bytes() != text.encode():
            self._replaced[target] = target.read_bytes()
            self.renewed.append(name)
            self._write(target, name, text)
        return False

    def _write(self, target: Path, name: str, text: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        shutil.copymode(self._staged / name, target)

    def _write_record(self) -> None:
        """Note what was brought, so that the next time it is told from what the app's owner changed.

        In the layer and not beside it: the app may come from a template of its own.
        """
        origin = json.loads(self._text(".cruft.json"))
        origin["brought"] = self._recorded | {
            file: _digest(self._project / file)
            for files in self._brought.values()
            for file in files
            if file not in self.kept
        }
        text = json.dumps(origin, indent=2, ensure_ascii=False)
        (self._project / RECORD).write_text(text, encoding="utf-8", newline="\n")

    def _make_directory(self, directory: Path) -> None:
        if not directory.exists():
            self._make_directory(directory.parent)
            self._created.append(directory)
            directory.mkdir()

    def _take_back(self) -> None:
        for path in self._created:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path, content in self._replaced.items():
            path.write_bytes(content)

    def _write_migration(self) -> None:
        path = self._staged / "MIGRATION.md"
        text = with_findings(path.read_text(encoding="utf-8"), self._staged, self._project)
        kept = (
            f"`{name}` is yours and stays; the layer's is `{TO_MERGE}/{name}`. To merge: {what}."
            for name, what in self.kept_names()
        )
        notes = packaging_notes(self._project)
        text = text.replace("<!-- kept -->\n", "".join(f"- {line}\n" for line in kept))
        text = text.replace("<!-- packaging -->\n", "".join(f"6. {line}\n" for line in notes))
        text = text.replace(
            "<!-- added -->", "      " + " \\\n      ".join(_lines(self._the_layers()))
        )
        path.write_text(text, encoding="utf-8", newline="\n")


def recorded(project: Path) -> dict[str, str]:
    """Return what an earlier generation has brought: digests by name."""
    try:
        text = (project / RECORD).read_text(encoding="utf-8")
        brought: dict[str, str] = json.loads(text).get("brought", {})
    except (OSError, ValueError):
        return {}
    return brought


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shown(name: str, files: list[str]) -> str:
    return name if files == [name] else f"{name}/"


def _directories(file: str) -> list[Path]:
    """Return the directories that a file is in, the outermost first, without the project's own."""
    return list(reversed(Path(file).parents))[1:]


def _is_own_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _lines(names: Iterable[str]) -> list[str]:
    """Put names on lines that a terminal shows in one piece."""
    return textwrap.wrap(" ".join(names), 88, break_long_words=False, break_on_hyphens=False)


def packaging_notes(project: Path) -> list[str]:
    """Say what a build of the app's own package would take the layer for."""
    try:
        text = (project / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    backend = re.search(r"^build-backend\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
    by_setuptools = backend is None or backend[1].startswith("setuptools")
    named = re.search(
        r"^\[tool\.setuptools(\.packages|\])|^packages\s*=|^py-modules\s*=", text, re.MULTILINE
    )
    if "[project]" not in text or not by_setuptools or named or (project / "src").is_dir():
        return []
    return [
        "**Your own build.** `pyproject.toml` lets setuptools find the packages, and it refuses to choose "
        "between yours and `production`. Name yours before you build it: `[tool.setuptools]` with "
        '`packages = ["…"]`.'
    ]


def with_findings(text: str, staged: Path, project: Path) -> str:
    """Put what the static checker, which needs the standard library only, finds into the report.

    :param text: the report, with a mark for each group of findings.
    :param staged: where the layer is.
    :param project: the app's folder.
    """
    filled = subprocess.run(  # noqa: S603  this very template
        [sys.executable, "-B", "-m", "production.adopt.migration", str(project)],
        cwd=staged,
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if filled.returncode:
        return f"{text}\nThe checker failed:\n\n```text\n{filled.stderr.strip()}\n```\n"
    return filled.stdout


def adopt(staged: Path) -> str:
    """Put the layer beside the app in the folder around a directory, and remove that directory.

    :param staged: what cookiecutter wrote.
    :return: what to say to the user.
    """
    delivery = Delivery(staged, staged.parent)
    try:
        delivery.run()
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return what_came_of(delivery)


def what_came_of(delivery: Delivery) -> str:
    """Say what was brought, what stays the app's, and what to do next."""
    makefile = f"-f {TO_MERGE}/Makefile " if delivery.is_aside("Makefile") else ""
    migration = f"{TO_MERGE}/MIGRATION.md" if "MIGRATION.md" in delivery.kept else "MIGRATION.md"
    lines = []
    if delivery.added:
        lines.append(f"Added to {PROJECT_SLUG}: {', '.join(delivery.added)}")
    if delivery.updating:
        lines.append(f"Brought up to date: {', '.join(['production/', *delivery.renewed])}")
    if delivery.kept:
        kept = ", ".join(name for name, _ in delivery.kept_names())
        lines.append(f"Yours and kept, see {migration}: {kept}")
    lines += [
        f"cd {shlex.quote(PROJECT_SLUG)}",
        f"make {makefile}run     # installs for a minute, then open http://127.0.0.1:5000",
        f"{migration} says what is left to mend.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Finish what cookiecutter has just written into the working directory."""
    if EXISTING_APP:
        print(adopt(Path.cwd()))
        return
    write_environment_file(Path.cwd())
    print(NEXT_STEPS)


if __name__ == "__main__":
    main()
