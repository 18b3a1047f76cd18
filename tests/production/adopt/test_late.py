"""Modules that are changed when they are imported."""

from __future__ import annotations

import importlib
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from production.adopt.late import when_imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a module in it, which nobody has imported."""
    (tmp_path / "late_package").mkdir()
    (tmp_path / "late_package" / "__init__.py").write_text("from .part import value\n")
    (tmp_path / "late_package" / "part.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in ("late_package", "late_package.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "late_package"


def change(module: Any) -> None:
    module.value += 1


def test_it_is_changed_before_anybody_sees_it(package: str) -> None:
    when_imported(f"{package}.part", change)
    when_imported(f"{package}.part", change)
    module = importlib.import_module(package)
    assert module.value == 3
    assert type(module.__loader__).__module__.startswith(("_frozen", "importlib"))
    part = importlib.import_module(f"{package}.part")
    assert type(part.__loader__).__name__ == "SourceFileLoader"
    assert files(package).joinpath("part.py").is_file()


def test_it_is_changed_at_once_if_it_is_there(package: str) -> None:
    importlib.import_module(package)
    when_imported(f"{package}.part", change)
    assert sys.modules[f"{package}.part"].value == 2


def test_what_is_never_imported_is_left_alone() -> None:
    finders = list(sys.meta_path)
    when_imported("no_such_library", change)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_library")
    assert sys.meta_path == finders
