"""What actions answer: asking them, checking that it can be followed, and telling it in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from .. import state as states
from ..base import Decision, EnterBranch, Fail, Next, StopFlow, Wait
from ..documents.program import Node
from . import cursor
from .context import StepContext
from .cursor import Position

__all__ = ["ActionFailed", "asked", "check_storable", "checked", "told"]

_NEXT = Next()

#: Types that need no look before they are stored: a loop's counter is one.
_PLAIN = frozenset({bool, int, str, type(None)})


class ActionFailed(Exception):
    """An action answered ``Fail`` with a text."""


def asked(node: Node, position: Position, context: StepContext) -> Decision:
    """What the action answers to a question that is not about a wait."""
    action: Any = node.action
    is_reached = position[1] == cursor.RUN
    decision = action.run(context) if is_reached else action.after_branch(context, position[2])
    return _NEXT if decision is None else checked(decision)


def checked(decision: Decision | None) -> Decision:
    """The decision, when it can be followed; raises what it says failed, or why it cannot."""
    if decision is None:
        return _NEXT
    if type(decision) is Next:
        return decision
    if type(decision) is EnterBranch:
        check_storable(decision.variables)
        return decision
    match decision:
        case Fail(error=BaseException() as error):
            raise error
        case Fail(error=error):
            raise ActionFailed(error)
        case Wait(until=until) if until is not None and timezone.is_naive(until):
            raise ValueError(f"The wait until {until} has no time zone; use an aware datetime.")
    return decision


def told(decision: Decision) -> str:
    """The decision in a word or two for the history."""
    if type(decision) is Next:
        return "Next"
    match decision:
        case EnterBranch(name=name):
            return f"EnterBranch {name}"
        case Wait(until=until, event=event):
            times = [f"until {until.isoformat()}"] if until else []
            return " ".join(["Wait", *times, *([f"for {event}"] if event else [])])
        case StopFlow(reason=reason) if reason:
            return f"StopFlow {reason[:200]}"
    return type(decision).__name__


def check_storable(values: Mapping[str, Any]) -> None:
    """Raises ``StateError`` for values that a cursor cannot keep."""
    for value in values.values():
        if type(value) not in _PLAIN:
            states.encode(values)
            return
