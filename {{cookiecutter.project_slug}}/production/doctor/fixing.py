"""Changing what is safe to change: with libcst, which keeps every space and comment."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from production.doctor.model import Finding
from production.doctor.report import check_folder

if TYPE_CHECKING:
    import libcst

REMOVED_OPTIONS = frozenset({"FSP101", "FSP103", "FSP112", "FSP113", "FSP412"})
"""Codes whose fix is to delete the keyword argument on the finding's line."""

WITH_PARAMETER = frozenset({"FSP401", "FSP402"})
"""Codes whose fix is ``reason=None`` as the handler's last parameter."""

WHOLE_NUMBERS = "FSP107"
RENAMED_ROOM = "FSP413"

FROM_MARKUPSAFE = frozenset({"FSP601", "FSP603"})
"""Codes whose fix is another module for ``escape`` and ``Markup``."""

FIXABLE = REMOVED_OPTIONS | WITH_PARAMETER | FROM_MARKUPSAFE | {WHOLE_NUMBERS, RENAMED_ROOM}
"""Codes that have a fix which cannot change what a correct app does."""

MISSING_LIBRARY = (
    "--fix and --diff need libcst, which is not installed: python -m pip install libcst"
)


def fix_folder(root: Path, ignored: Collection[str] = (), *, write: bool) -> str:
    """Fix what is safe to fix in a folder's Python files.

    :param root: the folder.
    :param ignored: codes that are left out.
    :param write: whether the files are changed, or only the difference is made.
    :return: the difference, in the form of ``diff -u``; empty if there is none.
    :raises ModuleNotFoundError: if libcst is not installed.
    :raises NotADirectoryError: if it is no folder.
    """
    try:
        import libcst  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError(MISSING_LIBRARY) from None
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for one in check_folder(root, ignored).findings:
        if one.code in FIXABLE and one.path.endswith((".py", ".pyw")):
            by_file[one.path].append(one)
    return "".join(_fix_file(root / name, name, found, write) for name, found in by_file.items())


def _fix_file(path: Path, name: str, findings: Sequence[Finding], write: bool) -> str:
    before = path.read_bytes()
    after = fixed(before, findings)
    if after == before:
        return ""
    if write:
        path.write_bytes(after)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    )


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines(keepends=True)


def fixed(data: bytes, findings: Sequence[Finding]) -> bytes:
    """Return a file with its findings fixed, every other byte as it was.

    :param data: the file.
    :param findings: those of its findings that can be fixed.
    :return: the same bytes where the file cannot be read by libcst.
    """
    import libcst
    from libcst.metadata import MetadataWrapper

    from production.doctor.transforming import Fixer

    try:
        wrapper = MetadataWrapper(libcst.parse_module(data))
    except (libcst.ParserSyntaxError, UnicodeDecodeError, LookupError, RecursionError):
        return data
    return _encoded(wrapper.visit(Fixer(findings)), data)


def _encoded(module: libcst.Module, original: bytes) -> bytes:
    mark = b"\xef\xbb\xbf"
    data = module.bytes
    return mark + data if original.startswith(mark) and not data.startswith(mark) else data
