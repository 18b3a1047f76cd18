"""What the tests of a generated project may do, and what they do not depend on."""

from __future__ import annotations

import sys
from pathlib import Path

from baking import Bake

UPLOAD = """
import io

from flask import request


def test_a_large_upload_is_read(app, http):
    @app.post("/upload")
    def upload():
        return {"bytes": len(request.files["file"].read())}

    answer = http.post("/upload", data={"file": (io.BytesIO(bytes(600_000)), "large.bin")})
    assert answer.json == {"bytes": 600_000}


def test_the_next_one_has_nothing_to_do_with_it(http):
    assert http.get("/health/live").status_code == 200
"""


def test_a_test_may_upload_a_file(bake: Bake, tmp_path: Path) -> None:
    project = bake().copy(tmp_path / "project")
    (project.path / "tests/test_upload.py").write_text(UPLOAD)
    done = project.run(sys.executable, "-m", "pytest", "-q", "tests/test_upload.py")
    assert done.returncode == 0, done.stdout


def test_they_see_nothing_of_how_the_machine_is_set_up(bake: Bake, tmp_path: Path) -> None:
    project = bake().copy(tmp_path / "project")
    with (project.path / ".env").open("a") as settings:
        settings.write("ENVIRONMENT=development\nDIAGNOSTICS_PAGE=false\nMAX_REQUEST_BYTES=10\n")
    command = (sys.executable, "-m", "pytest", "-q", "tests/test_http.py", "tests/test_board.py")
    done = project.run("env", "ENVIRONMENT=development", "MAX_REQUEST_BYTES=5", *command)
    assert done.returncode == 0, done.stdout
