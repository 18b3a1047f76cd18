"""Give the new project a secret of its own, and say what to do next."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

# Read as data, so that no answer can become code.
PROJECT_SLUG: str = json.loads(
    r"""
    {{ cookiecutter.project_slug | tojson }}
    """
)

NEXT_STEPS = f"""\
cd {PROJECT_SLUG}
make run     # then open http://127.0.0.1:5000
make test    # the service's own tests"""


def write_environment_file(project: Path) -> None:
    """Write ``.env`` for its owner's eyes only; one that exists holds a secret in use and is kept."""
    try:
        descriptor = os.open(project / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(environment_file())


def environment_file() -> str:
    """Draw a secret that no other project shares."""
    return (
        "# What is particular to this machine; never commit it. .env.example lists every setting.\n"
        f"SECRET_KEY={secrets.token_urlsafe(48)}\n"
    )


def main() -> None:
    """Finish the project that cookiecutter has just written into the working directory."""
    write_environment_file(Path.cwd())
    print(NEXT_STEPS)


if __name__ == "__main__":
    main()
