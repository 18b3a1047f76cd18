"""The changes themselves. Imported only where libcst is installed."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
from libcst.metadata import PositionProvider

from production.doctor.fixing import (
    FROM_MARKUPSAFE,
    REMOVED_OPTIONS,
    RENAMED_ROOM,
    WHOLE_NUMBERS,
    WITH_PARAMETER,
)
from production.doctor.model import Finding

MARKUPSAFE_NAMES = frozenset({"Markup", "escape"})


class Fixer(cst.CSTTransformer):
    """Changes what the findings of one file name, and nothing else.

    :param findings: those that can be fixed.
    """

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__()
        self._places = {(one.code, one.line, one.subject) for one in findings}

    def _found(self, codes: frozenset[str], node: cst.CSTNode, subject: str) -> bool:
        line = self.get_metadata(PositionProvider, node).start.line
        return any((code, line, subject) in self._places for code in codes)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        """Delete, rename or correct keyword arguments."""
        arguments: list[cst.Arg] = []
        for original, updated in zip(original_node.args, updated_node.args, strict=True):
            name = original.keyword.value if original.keyword else ""
            if name and self._found(REMOVED_OPTIONS, original, name):
                continue
            if name and self._found(frozenset({RENAMED_ROOM}), original, name):
                arguments.append(updated.with_changes(keyword=cst.Name("to")))
            elif name and self._found(frozenset({WHOLE_NUMBERS}), original, name):
                arguments.append(updated.with_changes(value=_whole(updated.value)))
            else:
                arguments.append(updated)
        if len(arguments) < len(updated_node.args):
            arguments = _closed(updated_node.args, arguments)
        return updated_node.with_changes(args=arguments)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        """Give a disconnect handler its parameter."""
        name = original_node.name.value
        # ast counts a function from its ``def``, and so does a finding; a decorator comes before.
        line = self.get_metadata(PositionProvider, original_node.name).start.line
        if not any((code, line, name) in self._places for code in WITH_PARAMETER):
            return updated_node
        reason = cst.Param(
            cst.Name("reason"),
            default=cst.Name("None"),
            equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
        )
        parameters = updated_node.params
        return updated_node.with_changes(
            params=parameters.with_changes(params=[*parameters.params, reason])
        )

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        """Import ``escape`` and ``Markup`` from where they are now."""
        match original_node.body:
            case [cst.ImportFrom(names=[*aliases])]:
                pass
            case _:
                return updated_node
        moved = [
            alias
            for alias in aliases
            if isinstance(alias.name, cst.Name)
            and alias.name.value in MARKUPSAFE_NAMES
            and self._found(FROM_MARKUPSAFE, alias, alias.name.value)
        ]
        statement = updated_node.body[0]
        if not moved or not isinstance(statement, cst.ImportFrom):
            return updated_node
        new = statement.with_changes(
            module=cst.Name("markupsafe"),
            names=[alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in moved],
            lpar=None,
            rpar=None,
        )
        kept = [alias for alias in aliases if alias not in moved]
        if not kept:
            return updated_node.with_changes(body=[new])
        if statement.rpar is None:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        old = updated_node.with_changes(body=[statement.with_changes(names=kept)])
        return cst.FlattenSentinel([old, cst.SimpleStatementLine([new])])


def _closed(before: Sequence[cst.Arg], kept: list[cst.Arg]) -> list[cst.Arg]:
    """Give the last argument that is left the comma and the space of the one that was last."""
    if kept and kept[-1] is not before[-1]:
        kept[-1] = kept[-1].with_changes(
            comma=before[-1].comma, whitespace_after_arg=before[-1].whitespace_after_arg
        )
    return kept


def _whole(value: cst.BaseExpression) -> cst.BaseExpression:
    """Write a literal float out as an integer; leave anything else alone."""
    if isinstance(value, cst.Float) and float(value.value).is_integer():
        return cst.Integer(str(int(float(value.value))))
    return value
