"""What changed between two documents, step by step."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .normal_form import insides
from .paths import join, shorten
from .schema import DOCUMENT, STEP

__all__ = ["Change", "diff"]

_ABSENT: Any = object()


@dataclass(frozen=True)
class Change:
    """One difference. ``step`` is the id of a step, or "" for the flow itself; ``key`` is what changed in it.

    Of an added or removed step ``after`` or ``before`` is the step without those inside it, which are changes
    of their own; of a moved one both are places: ``inside "loop" (steps), after "first"``. None: was or is
    not there.
    """

    kind: Literal["added", "removed", "changed", "moved"]
    step: str = ""
    key: str = ""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        what = f'step "{self.step}"' if self.step else "flow"
        if self.kind == "moved":
            return f"moved {what}: from {self.before} to {self.after}"
        if not self.key:
            step = self.after if self.kind == "added" else self.before
            return f"{self.kind} {what} ({step['action']})"
        values = {"added": _shown(self.after), "removed": _shown(self.before)}
        told = values.get(self.kind, f"{_shown(self.before)} → {_shown(self.after)}")
        return f"{self.kind} {what}: {self.key}: {told}"


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), 200)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """How to get from one normalised document to another: the flow's own keys, then steps by their ids."""
    before, after = _steps(old), _steps(new)
    changes = [*_changes("", _without(old, "steps"), _without(new, "steps"), [key.name for key in DOCUMENT])]
    changes += [
        Change("removed", step_id, before=one.own) for step_id, one in before.items() if step_id not in after
    ]
    moved = _moved(before, after)
    for step_id, one in after.items():
        if step_id not in before:
            changes.append(Change("added", step_id, after=one.own))
            continue
        if step_id in moved:
            changes.append(Change("moved", step_id, before=before[step_id].place, after=one.place))
        changes += _changes(step_id, before[step_id].own, one.own, [key.name for key in STEP])
    return changes


@dataclass(frozen=True)
class _Placed:
    """A step without those inside it, and where it is."""

    own: dict[str, Any]
    parent: str
    branch: str
    after: str

    @property
    def place(self) -> str:
        inside = f'inside "{self.parent}" ({self.branch})' if self.parent else "the top"
        return f'{inside}, after "{self.after}"' if self.after else f"{inside}, first"


def _steps(document: Mapping[str, Any]) -> dict[str, _Placed]:
    placed: dict[str, _Placed] = {}

    def place(steps: list[dict[str, Any]], parent: str, branch: str) -> None:
        after = ""
        for step in steps:
            placed[step["id"]] = _Placed(_without(step, "id", "steps", "branches"), parent, branch, after)
            after = step["id"]
            for name, inside in insides(step):
                place(inside, step["id"], name)

    place(document["steps"], "", "")
    return placed


def _without(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _moved(before: Mapping[str, _Placed], after: Mapping[str, _Placed]) -> set[str]:
    """Ids of the steps that are elsewhere, with as few as possible in branches that were merely reordered."""
    moved = {one for one in after if one in before and _home(before[one]) != _home(after[one])}
    stayed: dict[tuple[str, str], list[str]] = {}
    for one, placed in after.items():
        if one in before and one not in moved:
            stayed.setdefault(_home(placed), []).append(one)
    position = {one: index for index, one in enumerate(before)}
    for branch in stayed.values():
        moved |= set(branch) - _longest_rising(branch, position)
    return moved


def _home(placed: _Placed) -> tuple[str, str]:
    return placed.parent, placed.branch


def _longest_rising(names: list[str], position: Mapping[str, int]) -> set[str]:
    """The most names one can keep so that their positions rise."""
    tails: list[int] = []
    tops: list[str] = []
    previous: dict[str, str | None] = {}
    for name in names:
        at = bisect_left(tails, position[name])
        previous[name] = tops[at - 1] if at else None
        if at == len(tails):
            tails.append(position[name])
            tops.append(name)
        else:
            tails[at], tops[at] = position[name], name
    kept: set[str] = set()
    name_or_none = tops[-1] if tops else None
    while name_or_none is not None:
        kept.add(name_or_none)
        name_or_none = previous[name_or_none]
    return kept


def _changes(step: str, old: Mapping[str, Any], new: Mapping[str, Any], order: list[str]) -> Iterator[Change]:
    """Differences of two mappings, key by key; one level deep into mappings (``config.seconds``)."""
    for key in sorted({**old, **new}, key=lambda one: order.index(one) if one in order else len(order)):
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if all(isinstance(one, Mapping) for one in (before, after) if one is not _ABSENT):
            first, second = ({} if one is _ABSENT else one for one in (before, after))
            for name in {**first, **second}:
                where = join(key, name)
                yield from _change(step, where, first.get(name, _ABSENT), second.get(name, _ABSENT))
        else:
            yield from _change(step, key, before, after)


def _change(step: str, key: str, before: Any, after: Any) -> Iterator[Change]:
    if before is _ABSENT and after is not _ABSENT:
        yield Change("added", step, key, after=after)
    elif after is _ABSENT and before is not _ABSENT:
        yield Change("removed", step, key, before=before)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Change("changed", step, key, before=before, after=after)
