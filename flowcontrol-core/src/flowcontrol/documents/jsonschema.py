"""The format as a JSON Schema (draft 2020-12), with the configurations of the actions that are installed."""

from __future__ import annotations

import math
from typing import Any

from django import forms

from ..base import STEPS, BaseAction
from ..registry import MissingAction, actions, triggers
from .configuration import json_types
from .schema import DOCUMENT, LIMITS, RETRY, STEP, TRIGGER, Key

__all__ = ["json_schema"]

_STEPS = {"type": "array", "items": {"$ref": "#/$defs/step"}}


def json_schema() -> dict[str, Any]:
    """For editors, which complete and check by it as one types. Every document that validates passes it;
    expressions and whatever else only an action's form can tell are left to ``validate``.
    """
    installed = {spec.name: actions.resolve(spec.name) for spec in actions.specs()}
    document = _mapping(DOCUMENT)
    document["properties"]["limits"] = _optional(_mapping(LIMITS))
    document["properties"]["triggers"] = _optional({"type": "array", "items": {"$ref": "#/$defs/trigger"}})
    document["properties"]["steps"] = _STEPS
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flowcontrol document",
        **document,
        "$defs": {
            "trigger": _trigger(),
            "step": _step(installed),
            **{
                _name(name): _action(action)
                for name, action in installed.items()
                if isinstance(action, BaseAction)
            },
        },
    }


def _mapping(table: tuple[Key, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: _value(key) for key in table},
        "required": [key.name for key in table if key.is_required],
        "additionalProperties": False,
    }


def _value(key: Key) -> dict[str, Any]:
    schema = {"description": key.hint, **key.schema}
    return schema if key.is_required else _optional(schema)


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null, which means absent."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def _trigger() -> dict[str, Any]:
    schema = _mapping(TRIGGER)
    # An enum may not be empty.
    if names := [spec.name for spec in triggers.specs()]:
        schema["properties"]["on"] = {**schema["properties"]["on"], "enum": names}
    return schema


def _step(installed: dict[str, BaseAction | MissingAction]) -> dict[str, Any]:
    schema = _mapping(STEP)
    schema["properties"]["steps"] = _optional(_STEPS)
    schema["properties"]["retry"] = {
        **schema["properties"]["retry"],
        **_optional(_mapping(RETRY)),
    }
    schema["properties"]["branches"] = _optional({"type": "object", "additionalProperties": _STEPS})
    usable = [name for name, action in installed.items() if isinstance(action, BaseAction)]
    if usable:
        schema["properties"]["action"] = {**schema["properties"]["action"], "enum": usable}
        schema["allOf"] = [
            {"if": _uses(installed[name]), "then": {"$ref": f"#/$defs/{_name(name)}"}} for name in usable
        ]
    return schema


def _uses(action: BaseAction | MissingAction) -> dict[str, Any]:
    """Steps with the present configuration of an action: that of an earlier version has a shape nobody knows
    now.
    """
    uses: dict[str, Any] = {"properties": {"action": {"const": action.name}}, "required": ["action"]}
    if isinstance(action, BaseAction) and action.config_version > 1:
        uses["properties"]["config_version"] = {"const": action.config_version}
        uses["required"].append("config_version")
    return uses


def _name(action: str) -> str:
    return f"action.{action}"


def _action(action: BaseAction) -> dict[str, Any]:
    """What an action adds to the schema of its step."""
    config = _config(action)
    properties: dict[str, Any] = {"config": config if config["required"] else _optional(config)}
    named = [branch for branch in action.branches if branch != STEPS]
    properties["branches"] = {"properties": dict.fromkeys(named, True), "additionalProperties": False}
    if STEPS not in action.branches:
        properties["steps"] = {"maxItems": 0}
    schema: dict[str, Any] = {"title": str(action.label or action.name), "properties": properties}
    if action.description:
        schema["description"] = str(action.description)
    if config["required"]:
        schema["required"] = ["config"]
    return schema


def _config(action: BaseAction) -> dict[str, Any]:
    try:
        fields = action.Config().fields
    except Exception:  # noqa: BLE001  a plugin's form; validate says what is wrong with it
        return {"type": "object", "required": []}
    return {
        "type": "object",
        "properties": {name: _field(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required and field.initial is None],
        "additionalProperties": False,
    }


def _field(field: forms.Field) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if types := json_types(field):
        schema["type"] = list(types)
    if field.label:
        schema["title"] = str(field.label)
    if field.help_text:
        schema["description"] = str(field.help_text)
    if isinstance(field.initial, str | int | float):
        schema["default"] = field.initial
    return {**schema, **_choices(field)}


def _choices(field: forms.Field) -> dict[str, Any]:
    if not isinstance(field, forms.ChoiceField) or isinstance(field, forms.ModelChoiceField):
        return {}
    values = [one for value, _label in _flat(field.choices) for one in _spellings(str(value))]
    if isinstance(field, forms.MultipleChoiceField):
        return {"items": {"enum": values}}
    return {"enum": values if field.required else list(dict.fromkeys([*values, "", None]))}


def _spellings(value: str) -> list[Any]:
    """A choice as text and, where it reads as one, as a number or truth value: forms take either."""
    spellings: list[Any] = [value]
    if value in ("True", "False"):
        spellings.append(value == "True")
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        if str(number) == value and math.isfinite(number):
            spellings.append(number)
    return spellings


def _flat(choices: Any) -> list[tuple[Any, Any]]:
    """Choices without their groups."""
    flat: list[tuple[Any, Any]] = []
    for value, label in choices:
        flat.extend(label if isinstance(label, list | tuple) else [(value, label)])
    return flat
