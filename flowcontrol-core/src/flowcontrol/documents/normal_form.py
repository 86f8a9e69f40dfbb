"""A document in its one canonical form: ids on all steps, keys in order, defaults left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..base import STEPS, BaseAction
from ..exceptions import DocumentError, Problem
from ..registry import actions
from .configuration import migrated
from .schema import DOCUMENT, FORMAT, LIMITS, MAX_ID_LENGTH, RETRY, STEP, TRIGGER, Key
from .validation import examine, model_label

__all__ = ["canonical", "in_utc", "insides", "normalise", "walk", "with_ids"]


def normalise(document: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical form, in which documents are stored and exported; of a canonical one the same.

    Ids are made up for steps without one; configurations of an older version are migrated where their action
    is installed. Raises ``DocumentError`` when it is not even in form; that it validates is not needed.
    """
    problems = [
        one for one in examine(document, is_draft=True) if isinstance(one, Problem) and one.level == "error"
    ]
    if problems:
        raise DocumentError(problems)
    return canonical(with_ids(document), migrate=True)


def walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All steps, each before those inside it."""
    for step in steps:
        yield step
        for _branch, inside in insides(step):
            yield from walk(inside)


def insides(step: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(name, steps) of each branch of a step; its own steps first."""
    if step.get("steps"):
        yield STEPS, step["steps"]
    yield from (step.get("branches") or {}).items()


def with_ids(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with an id on every step: after its action, and a number from the second on."""
    steps = [*walk(document["steps"])]
    taken = {step["id"] for step in steps if step.get("id")}
    if len(taken) == len(steps):
        return document
    made = _made_up(steps, taken)

    def named(inside: list[dict[str, Any]]) -> list[dict[str, Any]]:
        copies = []
        for step in inside:
            copy = {**step, "id": step.get("id") or next(made)}
            if step.get("steps"):
                copy["steps"] = named(step["steps"])
            if step.get("branches"):
                copy["branches"] = {name: named(branch) for name, branch in step["branches"].items()}
            copies.append(copy)
        return copies

    return {**document, "steps": named(document["steps"])}


def _made_up(steps: list[dict[str, Any]], taken: set[str]) -> Iterator[str]:
    numbers: dict[str, int] = {}
    for step in steps:
        if step.get("id"):
            continue
        base = step["action"].rpartition(".")[2][: MAX_ID_LENGTH - 6]
        number = numbers.get(base, 0) + 1
        while (made := base if number == 1 else f"{base}_{number}") in taken:
            number += 1
        numbers[base] = number
        taken.add(made)
        yield made


def canonical(document: Mapping[str, Any], *, migrate: bool = False) -> dict[str, Any]:
    """Keys in order and defaults left out; ids have to be there."""
    result = _ordered(document, DOCUMENT)
    result["flowcontrol"] = FORMAT
    if "object" in result:
        # Runs are kept under the concrete model, whichever proxy they were started with.
        result["object"] = model_label(result["object"])
    if "limits" in result:
        result["limits"] = _ordered(result["limits"], LIMITS)
        if not result["limits"]:
            del result["limits"]
    if "triggers" in result:
        result["triggers"] = [_trigger(trigger) for trigger in result["triggers"]]
    result["steps"] = [_step(step, migrate) for step in result["steps"]]
    return result


def _ordered(mapping: Mapping[str, Any], table: tuple[Key, ...]) -> dict[str, Any]:
    return {
        key.name: mapping[key.name]
        for key in table
        if key.is_required or (mapping.get(key.name) is not None and mapping[key.name] != key.default)
    }


def _trigger(trigger: Mapping[str, Any]) -> dict[str, Any]:
    result = _ordered(trigger, TRIGGER)
    if "active_since" in result:
        result["active_since"] = in_utc(datetime.fromisoformat(result["active_since"]))
    return result


def in_utc(time: datetime) -> str:
    """An aware time as documents spell it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _step(step: Mapping[str, Any], migrate: bool) -> dict[str, Any]:
    action = actions.resolve(step["action"])
    if isinstance(action, BaseAction) and migrate:
        step = _migrated(step, action)
    result = _ordered(step, STEP)
    branches: list[str] = []
    if isinstance(action, BaseAction):
        branches = list(action.branches)
        if "config" in result:
            result["config"] = _in_order(result["config"], [*action.Config.base_fields])
    if "retry" in result:
        result["retry"] = _ordered(result["retry"], RETRY)
    if "steps" in result:
        result["steps"] = [_step(inside, migrate) for inside in result["steps"]]
    if "branches" in result:
        result["branches"] = {
            name: [_step(inside, migrate) for inside in steps]
            for name, steps in _in_order(result["branches"], branches).items()
            if steps
        }
        if not result["branches"]:
            del result["branches"]
    return result


def _migrated(step: Mapping[str, Any], action: BaseAction) -> Mapping[str, Any]:
    try:
        config = migrated(action, step.get("config") or {}, step.get("config_version") or 1)
    except ValueError:
        # Said by validate; here the step stays as it is.
        return step
    return {
        **step,
        "config": config,
        "config_version": max(action.config_version, step.get("config_version") or 1),
    }


def _in_order(mapping: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    first = {name: mapping[name] for name in names if name in mapping}
    return {**first, **mapping}
