"""The ends that the runs have to come to, and the comparison with those they came to. Pure: no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BUILT_IN_ACTIONS", "EXPECTED", "Comparison", "End", "compare"]


@dataclass(frozen=True)
class End:
    """Where a run is left: ``state`` are keys that count, with their values; others may be there too."""

    flow: str
    about: str
    status: str
    step: str
    state: Mapping[str, Any] = field(default_factory=dict)


#: Nothing here depends on how fast the machine is.
EXPECTED = (
    End("intake", "Ada's city bike", "completed", "is_small", {"minutes": 20, "price": 35}),
    End("intake", "Grace's touring bike", "completed", "is_small", {"minutes": 70, "price": 85}),
    End("intake", "Alan's racing bike", "completed", "is_small", {"minutes": 120, "price": 135}),
    End("intake", "Edsger's folding bike", "stopped", "give_up", {"minutes": 15}),
    End("quote", "Grace's touring bike", "completed", "is_yes", {"answer": "yes"}),
    End("quote", "Alan's racing bike", "stopped", "no_deal", {"answer": "", "reminders": 2}),
    End("stand", "Ada's city bike", "completed", "done"),
    End("stand", "Grace's touring bike", "completed", "done"),
    End("pick-up", "Ada's city bike", "discarded", "pause"),
    End("pick-up", "Grace's touring bike", "waiting", "saturday", {"reminders": 2}),
    End("goodbye", "Ada's city bike", "completed", "later"),
    End("feedback", "Ada's city bike", "completed", "question"),
)

BUILT_IN_ACTIONS = frozenset(
    f"builtin.{name}"
    for name in (
        "if", "while", "for", "return", "leave_branch", "stop",
        "set_state", "update_state", "start_flow", "delay",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One line of the table; ``difference`` is empty when the run is where it should be."""

    end: End
    difference: str = ""


def compare(expected: Iterable[End], actual: Iterable[End]) -> list[Comparison]:
    """Each expected end with how the actual one differs, then what nobody expected."""
    left = list(actual)
    lines = []
    for end in expected:
        found = next((one for one in left if (one.flow, one.about) == (end.flow, end.about)), None)
        if found is None:
            lines.append(Comparison(end, "there is no such run"))
            continue
        left.remove(found)
        lines.append(Comparison(end, _difference(end, found)))
    return lines + [Comparison(end, f"nobody expected this run, which is {end.status}") for end in left]


def _difference(expected: End, found: End) -> str:
    parts = [
        f"{name} is {getattr(found, name) or 'none'}"
        for name in ("status", "step")
        if getattr(found, name) != getattr(expected, name)
    ]
    missing = object()
    for key, value in expected.state.items():
        given = found.state.get(key, missing)
        if given != value:
            parts.append(f"{key} is missing" if given is missing else f"{key} is {given!r}")
    return ", ".join(parts)
