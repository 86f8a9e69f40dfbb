"""A program as nested rows that a template can draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base import BaseAction
from ..registry import MissingAction

if TYPE_CHECKING:
    from ..documents.program import Program

__all__ = ["Branch", "Row", "rows_of"]


@dataclass
class Row:
    """A step: its number (2.1.1, as people say it), what it does, and what is to be told about it."""

    number: str
    id: str
    name: str
    action: str
    summary: str
    is_enabled: bool
    #: Why it cannot be run, when it cannot.
    missing: str
    #: Live runs that stand here.
    standing: int
    branches: list[Branch] = field(default_factory=list)


@dataclass
class Branch:
    #: Empty for the step's own steps.
    name: str
    rows: list[Row]


def rows_of(document: Mapping[str, Any], program: Program, standing: Mapping[str, int]) -> list[Row]:
    """The steps of a document; ``standing`` counts live runs by the id of the step they stand at."""
    return _rows(document.get("steps", []), program, standing, "")


def _rows(
    steps: list[Mapping[str, Any]], program: Program, standing: Mapping[str, int], prefix: str
) -> list[Row]:
    return [_row(step, program, standing, f"{prefix}{number}") for number, step in enumerate(steps, start=1)]


def _row(step: Mapping[str, Any], program: Program, standing: Mapping[str, int], number: str) -> Row:
    node = program.nodes[program.by_id[step["id"]]]
    action = node.action
    row = Row(
        number=number,
        id=node.id,
        name=step.get("name") or "",
        action=str(action.label) if isinstance(action, BaseAction) and action.label else node.action_name,
        summary=_summary(action, node.config),
        is_enabled=step.get("enabled", True) is not False,
        missing=f"{action.reason} {action.hint}".strip() if isinstance(action, MissingAction) else "",
        standing=standing.get(node.id, 0),
    )
    if step.get("steps"):
        row.branches.append(Branch("", _rows(step["steps"], program, standing, f"{number}.")))
    for name, inside in (step.get("branches") or {}).items():
        row.branches.append(Branch(name, _rows(inside, program, standing, f"{number}.{name}.")))
    return row


def _summary(action: BaseAction | MissingAction, config: Mapping[str, Any]) -> str:
    if isinstance(action, MissingAction):
        return ""
    try:
        return action.summary(config)
    except Exception as error:  # noqa: BLE001  see below
        # A pack's own code: a page about a flow must not break over one of its steps.
        return f"{type(error).__name__}: {error}"
