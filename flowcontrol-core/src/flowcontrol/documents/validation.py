"""Everything that is wrong with a document, at once, and how to mend it. Never raises."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps

from ..base import STEPS, BaseAction
from ..exceptions import ExpressionSyntaxError, Problem
from ..expressions import compile_expression
from ..registry import MissingAction, actions, triggers
from ..suggestions import did_you_mean
from .configuration import check_config, in_words, json_type, migrated, unknown_key
from .paths import join, shorten
from .schema import (
    DOCUMENT,
    EXCEPTION_PATTERN,
    LIMITS,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NESTING,
    MAX_STEPS,
    RETRY,
    STEP,
    TRIGGER,
    Key,
)

__all__ = ["CredentialReference", "FlowReference", "examine", "model_label", "problems_among"]

_MAX_VALUES = 500_000
_MAX_INTEGER = 2**63


@dataclass(frozen=True)
class FlowReference:
    """A place that names another flow, which has to exist: the caller asks for all of them in one query."""

    path: str
    slug: str


@dataclass(frozen=True)
class CredentialReference:
    """A place that names a credential, which has to exist, and to be of one of these kinds (none: of any)."""

    path: str
    name: str
    kinds: tuple[str, ...]


Finding = Problem | FlowReference | CredentialReference
_Place = tuple["_Place", str | int] | None


def examine(document: object, *, is_draft: bool = False) -> list[Finding]:
    """What is wrong with a document, and which flows and credentials it names, in its order. No query.

    Of a draft only the form counts: keys, types, ids, bounds; its actions may be missing and its
    configurations unfinished.
    """
    unfit: list[Finding] = [*_unfit_for_json(document)]
    if unfit:
        return unfit
    if not isinstance(document, dict):
        return [Problem("", f"A document is a mapping, not {in_words(json_type(document))}.", document)]
    if len(json.dumps(document)) > MAX_BYTES:
        return [Problem("", f"The document is larger than {MAX_BYTES // 1024**2} MB; split the flow.")]
    return list(_Examination(document, is_draft).findings())


def problems_among(
    findings: Iterable[Finding], known_flows: Collection[str], known_credentials: Mapping[str, str]
) -> list[Problem]:
    """The problems, with one for each flow that is not among ``known_flows``, and for each credential that is not
    among ``known_credentials`` (kinds by name) or of a kind that will not do.
    """
    problems = []
    for finding in findings:
        if isinstance(finding, Problem):
            problems.append(finding)
        elif isinstance(finding, CredentialReference):
            problems += _wrong_credential(finding, known_credentials)
        elif finding.slug not in known_flows:
            problems.append(_unknown_flow(finding, known_flows))
    return problems


def _wrong_credential(reference: CredentialReference, known: Mapping[str, str]) -> Iterator[Problem]:
    name, kinds = reference.name, reference.kinds
    fitting = sorted(one for one, kind in known.items() if not kinds or kind in kinds)
    way_out = did_you_mean(name, fitting) or (
        f"There are: {', '.join(fitting[:10])}." if fitting else "Add one in the admin."
    )
    if name not in known:
        yield Problem(reference.path, f"There is no credential “{shorten(name)}”. {way_out}", name)
    elif name not in fitting:
        yield Problem(
            reference.path,
            f"The credential “{name}” is of the kind {known[name]}; this takes {' or '.join(kinds)}. {way_out}",
            name,
        )


def _unknown_flow(reference: FlowReference, known: Collection[str]) -> Problem:
    way_out = did_you_mean(reference.slug, known) or "Import it first or together with this one."
    return Problem(reference.path, f"There is no flow “{shorten(reference.slug)}”. {way_out}", reference.slug)


# -- what can be kept as JSON --------------------------------------------------------------------------------


def _unfit_for_json(document: object) -> Iterator[Problem]:
    """Values that no database could give back. Without recursion: nothing is known about the document yet."""
    # Places are linked, (place above, key or index), and spelled out for a complaint only.
    stack: list[tuple[_Place, Any, int]] = [(None, document, 0)]
    count = 0
    while stack:
        place, value, depth = stack.pop()
        count += 1
        if count > _MAX_VALUES:
            yield Problem("", f"The document has more than {_MAX_VALUES:,} values; split the flow.")
            return
        if type(value) not in (dict, list):
            if message := _unfit_value(value):
                yield Problem(_spelled(place), message, value)
        elif depth >= MAX_NESTING:
            message = f"This is nested more than {MAX_NESTING} deep; make the flow flatter."
            yield Problem(_spelled(place), message)
            return  # what contains itself would be told at every turn
        elif type(value) is list:
            stack.extend(((place, index), value[index], depth + 1) for index in reversed(range(len(value))))
        else:
            unfit = {key: message for key in value if (message := _unfit_key(key))}
            for key, message in unfit.items():
                yield Problem(_spelled(place), f"The key {_shown(key)} {message}", key)
            stack.extend(((place, key), value[key], depth + 1) for key in reversed(value) if key not in unfit)


def _spelled(place: _Place) -> str:
    parts: list[str | int] = []
    while place is not None:
        place, part = place
        parts.append(part)
    return join("", *reversed(parts))


def _unfit_key(key: object) -> str:
    if type(key) is not str:
        return "is not text; put it in quotes."
    return "has a character that cannot be stored; remove it." if _unfit_text(key) else ""


def _unfit_text(text: str) -> bool:
    return "\x00" in text or (not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text))


def _unfit_value(value: object) -> str:
    match value:
        case bool() | None:
            return ""
        case str() if type(value) is str:
            if _unfit_text(value):
                return (
                    "This text has a character that cannot be stored (NUL, or half a character); remove it."
                )
            return ""
        case int() if type(value) is int:
            return "" if abs(value) < _MAX_INTEGER else "This number is too large; write it in quotes."
        case float() if type(value) is float:
            return (
                "" if math.isfinite(value) else "Infinity and NaN cannot be stored; write a number or text."
            )
    return (
        f"A {type(value).__name__} is no JSON; write text, a number, true, false, null, a list or a mapping."
    )


def _shown(value: object) -> str:
    try:
        return shorten(repr(value))
    except Exception:  # noqa: BLE001  anybody's object
        return f"of type {type(value).__name__}"


# -- what it says --------------------------------------------------------------------------------------------


class _Examination:
    """One walk through one document of sound JSON."""

    def __init__(self, document: dict[str, Any], is_draft: bool) -> None:
        self.document = document
        self.is_draft = is_draft
        self.step_count = 0
        #: Where each id was met first.
        self.ids: dict[str, str] = {}

    def findings(self) -> Iterator[Finding]:
        document = self.document
        yield from _keys(document, DOCUMENT, "")
        if not self.is_draft:
            yield from _model(document.get("object"))
            yield from _expression(document.get("condition"), "condition")
        if isinstance(document.get("limits"), dict):
            yield from _keys(document["limits"], LIMITS, "limits")
        # Steps first, since triggers name their ids; yet triggers stand before them.
        steps = list(self.steps(document.get("steps"), "steps", 1))
        for index, trigger in enumerate(_as_list(document.get("triggers"))):
            yield from self.trigger(trigger, join("triggers", index))
        yield from steps

    # -- triggers

    def trigger(self, trigger: object, path: str) -> Iterator[Finding]:
        if not isinstance(trigger, dict):
            yield _not_a_mapping(trigger, path, "A trigger", "{on: shop.order_paid}")
            return
        yield from _keys(trigger, TRIGGER, path)
        if isinstance(trigger.get("on"), str) and not self.is_draft:
            yield from self.trigger_type(trigger["on"], join(path, "on"))
        if not self.is_draft:
            yield from _expression(trigger.get("condition"), join(path, "condition"))
        yield from _time(trigger.get("active_since"), join(path, "active_since"))
        yield from self.restart_step(trigger, join(path, "step"))

    def trigger_type(self, name: str, path: str) -> Iterator[Problem]:
        spec = triggers.get(name)
        if spec is None:
            known = [one.name for one in triggers.specs()]
            way_out = did_you_mean(name, known) or (
                f"Install the plugin that provides it, or register it. Known: {', '.join(known) or 'none'}."
            )
            yield Problem(path, f"No trigger type “{shorten(name)}” is registered. {way_out}", name)
            return
        about = self.document.get("object")
        if isinstance(about, str) and about and spec.model and model_label(about) != model_label(spec.model):
            yield Problem(
                path,
                f"{name} fires with a {spec.model}, and the flow is about a {about}: it will not start runs. "
                "Change one of them.",
                name,
                level="warning",
            )

    def restart_step(self, trigger: Mapping[str, Any], path: str) -> Iterator[Problem]:
        step = trigger.get("step")
        if not isinstance(step, str) or not step:
            return
        if trigger.get("does") != "restart":
            yield Problem(path, "A step is only for a trigger that restarts runs; add does: restart.", step)
        elif step not in self.ids:
            way_out = (
                did_you_mean(step, self.ids)
                or "Write the id of a step, or leave it out to restart at the first."
            )
            yield Problem(path, f"There is no step “{shorten(step)}” in the flow. {way_out}", step)

    # -- steps

    def steps(self, steps: object, path: str, depth: int) -> Iterator[Finding]:
        if depth > MAX_DEPTH and steps:
            yield Problem(
                path,
                f"Steps are more than {MAX_DEPTH} deep inside each other; move some to a flow of their own.",
            )
            return
        for index, step in enumerate(_as_list(steps)):
            self.step_count += 1
            if self.step_count > MAX_STEPS:
                if self.step_count == MAX_STEPS + 1:
                    yield Problem(
                        "steps", f"The flow has more than {MAX_STEPS:,} steps; split it into several flows."
                    )
                return
            yield from self.step(step, join(path, index), depth, self.step_count)

    def step(self, step: object, path: str, depth: int, number: int) -> Iterator[Finding]:
        if not isinstance(step, dict):
            yield _not_a_mapping(step, path, "A step", "{action: builtin.stop}")
            return
        yield from _keys(step, STEP, path)
        yield from self.unique_id(step.get("id"), join(path, "id"))
        name = step.get("action")
        is_named = isinstance(name, str) and not _wrong(_ACTION, name)
        action = actions.resolve(str(name)) if is_named and not self.is_draft else None
        if isinstance(action, MissingAction):
            yield _missing(action, step, join(path, "action"), number)
        elif isinstance(action, BaseAction):
            yield from _config(action, step, path)
        yield from _retry(step.get("retry"), join(path, "retry"))
        yield from self.insides(step, action, path, depth)

    def unique_id(self, step_id: object, path: str) -> Iterator[Problem]:
        if not isinstance(step_id, str):
            return
        first = self.ids.setdefault(step_id, path)
        if first != path:
            yield Problem(
                path,
                f"{first} has this id too. Ids are unique in a flow; change one or leave it out.",
                step_id,
            )

    def insides(self, step: dict[str, Any], action: object, path: str, depth: int) -> Iterator[Finding]:
        allowed = action.branches if isinstance(action, BaseAction) else None
        if step.get("steps"):
            if allowed is not None and STEPS not in allowed:
                yield Problem(
                    join(path, "steps"), f"{step['action']} has no steps inside it; move them behind it."
                )
            yield from self.steps(step["steps"], join(path, "steps"), depth + 1)
        branches = step.get("branches")
        if not isinstance(branches, dict):
            return
        for branch, steps in branches.items():
            where = join(path, "branches", branch)
            yield from _branch(branch, steps, allowed, where, str(step.get("action")))
            yield from self.steps(steps, where, depth + 1)


def _branch(
    branch: str, steps: object, allowed: tuple[str, ...] | None, path: str, action: str
) -> Iterator[Problem]:
    if branch == STEPS:
        yield Problem(path, "Write these as steps: of the step itself.")
    elif allowed is not None and branch not in allowed:
        named = [name for name in allowed if name != STEPS]
        way_out = did_you_mean(branch, named) or (f"It has: {', '.join(named)}." if named else "Remove it.")
        yield Problem(path, f"{shorten(action)} has no branch “{shorten(branch)}”. {way_out}")
    if not isinstance(steps, list):
        yield Problem(path, f"A branch is a list of steps, not {in_words(json_type(steps))}.", steps)


def _config(action: BaseAction, step: dict[str, Any], path: str) -> Iterator[Finding]:
    config, version = step.get("config"), step.get("config_version")
    version = 1 if version is None else version
    if not (config is None or isinstance(config, dict)) or json_type(version) != "integer" or version < 1:
        return
    where = join(path, "config")
    try:
        present = migrated(action, config or {}, version)
    except ValueError as error:
        yield Problem(where, f"{error} {_version_hint(action, version)}".rstrip(), config)
        return
    checked = check_config(action, present, where)
    for problem in checked.problems:
        hint = _version_hint(action, version)
        yield Problem(problem.path, f"{problem.message} {hint}".rstrip(), problem.value)
    for name, slug in checked.flows.items():
        yield FlowReference(join(where, name), slug)
    for name, (credential, kinds) in checked.credentials.items():
        yield CredentialReference(join(where, name), credential, kinds)


def _version_hint(action: BaseAction, version: int) -> str:
    if version < action.config_version:
        present = f"add config_version: {action.config_version}"
        return f"(Read as version {version}; if it is written for the present one, {present}.)"
    return "Update the plugin." if version > action.config_version else ""


def _retry(retry: object, path: str) -> Iterator[Problem]:
    if not isinstance(retry, dict):
        return
    problems = [*_keys(retry, RETRY, path), *_exceptions(retry.get("on"), join(path, "on"))]
    yield from problems
    given = {key.name: key.default if retry.get(key.name) is None else retry[key.name] for key in RETRY}
    if not problems and given["delay"] > given["max_delay"]:
        yield Problem(
            join(path, "delay"),
            f"The first wait of {given['delay']} seconds is longer than max_delay, {given['max_delay']}, allows. "
            "Raise max_delay, or shorten delay.",
            given["delay"],
        )


def _exceptions(names: object, path: str) -> Iterator[Problem]:
    for index, name in enumerate(_as_list(names)):
        if not isinstance(name, str) or not re.fullmatch(EXCEPTION_PATTERN, name):
            yield Problem(
                join(path, index),
                "This is the name of no exception class; write one such as TimeoutError or "
                "requests.ConnectionError.",
                name,
            )


def _missing(action: MissingAction, step: dict[str, Any], path: str, number: int) -> Problem:
    name = step.get("name")
    called = f" “{shorten(name)}”" if isinstance(name, str) and name else ""
    return Problem(
        path,
        f"Step {number}{called} uses the action “{shorten(action.name)}”, which no loaded plugin provides. "
        f"{action.reason} {action.hint} Or remove the step.",
        step["action"],
    )


# -- single keys ---------------------------------------------------------------------------------------------

_ACTION = next(key for key in STEP if key.name == "action")


def _keys(mapping: Mapping[str, Any], table: tuple[Key, ...], path: str) -> Iterator[Problem]:
    """Unknown and absent keys of a mapping, and values that are not as the table says."""
    known = [key.name for key in table]
    for key in [key for key in mapping if key not in known]:
        yield Problem(join(path, key), unknown_key(key, known), mapping[key])
    for one in table:
        value = mapping.get(one.name)
        if value is None:
            if one.is_required:
                yield Problem(join(path, one.name), f"This key is missing. {one.hint}")
        elif wrong := _wrong(one, value):
            yield Problem(join(path, one.name), f"{wrong} {one.hint}", value)


def _wrong(key: Key, value: object) -> str:
    """What a key's schema has against a value; empty for nothing."""
    schema = key.schema
    if "const" in schema and (type(value) is bool or value != schema["const"]):
        return f"{_shown(value)} is not supported."
    if "enum" in schema and value not in schema["enum"]:
        return f"{_shown(value)} is none of these."
    if "type" in schema and not _is_of_type(value, schema["type"]):
        return f"This has to be {in_words(schema['type'])}, not {in_words(json_type(value))}."
    if isinstance(value, str):
        return _wrong_text(schema, value)
    return _wrong_number(schema, value) if isinstance(value, (int, float)) else ""


def _is_of_type(value: object, expected: str) -> bool:
    found = json_type(value)
    return found == expected or (found == "integer" and expected == "number")


def _wrong_number(schema: Mapping[str, Any], value: float) -> str:
    if value < schema.get("minimum", value):
        return f"{value} is less than {schema['minimum']}."
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"{value} is not more than {schema['exclusiveMinimum']}."
    if value > schema.get("maximum", value):
        return f"{value} is more than {schema['maximum']}."
    return ""


def _wrong_text(schema: Mapping[str, Any], value: str) -> str:
    if len(value) < schema.get("minLength", 0):
        return "This is empty."
    if len(value) > schema.get("maxLength", len(value)):
        return f"This has {len(value)} characters."
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return f"{_shown(value)} does not have the right form."
    return ""


def _as_list(value: object) -> list[Any]:
    """A list as it is, and nothing for all else: that it is no list was said when its key was looked at."""
    return value if isinstance(value, list) else []


def _not_a_mapping(value: object, path: str, what: str, example: str) -> Problem:
    return Problem(path, f"{what} is a mapping such as {example}, not {in_words(json_type(value))}.", value)


def _expression(source: object, path: str) -> Iterator[Problem]:
    if not isinstance(source, str) or not source:
        return
    try:
        compile_expression(source)
    except ExpressionSyntaxError as error:
        yield Problem(path, str(error), source)


def _time(text: object, path: str) -> Iterator[Problem]:
    if not isinstance(text, str):
        return
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        yield Problem(path, "This is no date and time; write it as 2026-01-31T09:00:00Z.", text)
        return
    if time.tzinfo is None:
        yield Problem(
            path, f"This has no time zone; write {time.isoformat()}Z for UTC, or +01:00 instead of Z.", text
        )
    elif not 1 < time.year < 9999:
        yield Problem(path, "This is too far away; leave it out.", text)


def model_label(name: str) -> str:
    """The ``app.model`` of the concrete model behind a name; the name in lower case when there is none."""
    try:
        return str(apps.get_model(name)._meta.concrete_model._meta.label_lower)
    except (LookupError, ValueError):
        return name.lower()


def _model(name: object) -> Iterator[Problem]:
    if not isinstance(name, str) or not name:
        return
    try:
        apps.get_model(name)
    except (LookupError, ValueError):
        labels = [model._meta.label_lower for model in apps.get_models()]
        way_out = did_you_mean(name.lower(), labels) or "Write app.model, and put its app in INSTALLED_APPS."
        yield Problem("object", f"There is no model “{shorten(name)}”. {way_out}", name)
