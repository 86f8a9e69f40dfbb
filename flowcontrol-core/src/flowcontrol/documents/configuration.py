"""A step's configuration through its action's form: what is wrong with it, and what it cleans to."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from ..base import BaseAction
from ..exceptions import Problem
from ..forms import CredentialField, ExpressionField, FlowField, StateField
from ..suggestions import did_you_mean
from .paths import join

__all__ = ["Checked", "check_config", "in_words", "json_type", "json_types", "migrated", "unknown_key"]

logger = logging.getLogger(__name__)

_NUMBERS = ("integer", "number", "string")
_TEXT = ("string", "integer", "number")
#: JSON types that the value of a field may have; the first that fits counts, so narrower classes come first.
#: Fields that are not here decide for themselves.
_TYPES: tuple[tuple[type[forms.Field], tuple[str, ...]], ...] = (
    (StateField, ("object",)),
    (forms.JSONField, ()),
    (ExpressionField, ("string", "integer", "number", "boolean")),
    (forms.CharField, _TEXT),
    (forms.NullBooleanField, ("boolean", "null")),
    (forms.BooleanField, ("boolean",)),
    (forms.IntegerField, _NUMBERS),
    (forms.DurationField, _NUMBERS),
    (forms.DateField, ("string",)),
    (forms.DateTimeField, ("string",)),
    (forms.TimeField, ("string",)),
    (forms.MultipleChoiceField, ("array",)),
    (forms.ModelMultipleChoiceField, ("array",)),
    (forms.TypedChoiceField, (*_TEXT, "boolean")),
    (forms.ChoiceField, _TEXT),
    (forms.UUIDField, ("string",)),
)
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def json_type(value: object) -> str:
    """The name that JSON Schema has for the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    return type(value).__name__


def in_words(types: str | tuple[str, ...]) -> str:
    """JSON types for a message: ``text or a whole number``."""
    words = [_WORDS.get(name, name) for name in ((types,) if isinstance(types, str) else types)]
    return " or ".join(words)


def json_types(form_field: forms.Field) -> tuple[str, ...]:
    """JSON types that the value of a form field may have; empty for any."""
    for field_class, types in _TYPES:
        if isinstance(form_field, field_class):
            return types if form_field.required or not types else tuple(dict.fromkeys((*types, "null")))
    return ()


@dataclass
class Checked:
    """What became of a configuration: ``cleaned`` counts without problems only.

    By key, ``flows`` are slugs, and ``credentials`` names with the kinds that will do (none: any).
    """

    cleaned: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    flows: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def migrated(action: BaseAction, config: dict[str, Any], version: int) -> dict[str, Any]:
    """A stored configuration as the installed action wants it; the same object when it is so already.

    Raises ``ValueError``, saying why, when it is newer than the action or the action cannot migrate it.
    """
    if version == action.config_version:
        return config
    if version > action.config_version:
        raise ValueError(
            f"Its configuration is written for version {version} of {action.name}'s configuration, "
            f"and the installed plugin knows up to version {action.config_version}."
        )
    try:
        result = action.migrate_config(copy.deepcopy(config), version)
    except Exception as error:  # a plugin's code: its error is the step's, not ours
        logger.exception("config cannot be migrated action=%s version=%s", action.name, version)
        raise ValueError(
            f"{action.name} cannot bring its configuration from version {version} "
            f"to {action.config_version}: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(result, dict):
        found = in_words(json_type(result))
        raise ValueError(f"{action.name}.migrate_config returned {found}, not a mapping.")
    return result


def check_config(action: BaseAction, config: dict[str, Any], path: str = "config") -> Checked:
    """Clean a configuration of the action's present version. Never raises.

    A key that is left out takes its field's ``initial``, if it has one.
    """
    try:
        form = action.Config(config)
        form.data = {**_initials(form, config), **config}
        problems = [*_unknown_keys(form, config, path), *_wrong_types(form, config, path)]
        wrong = {problem.path for problem in problems}
        form.errors  # noqa: B018  cleans
    except Exception as error:  # a plugin's form: whatever it raises is said about the step
        logger.exception("config cannot be checked action=%s", action.name)
        message = f"The form of {action.name} cannot read this: {type(error).__name__}: {error}."
        # A value of the wrong type is what makes forms raise; then that is what to say.
        return Checked(problems=_typed(action, config, path) or [Problem(path, message, config)])
    for name, errors in form.errors.as_data().items():
        where = path if name == NON_FIELD_ERRORS else join(path, name)
        if where not in wrong:
            value = config if where == path else form.data.get(name)
            problems.extend(Problem(where, str(text), value) for error in errors for text in error.messages)
    return Checked(form.cleaned_data, problems, _flows(form), _credentials(form))


def _initials(form: forms.Form, config: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        name: form.get_initial_for_field(one, name) for name, one in form.fields.items() if name not in config
    }
    return {name: value for name, value in values.items() if value is not None}


def _unknown_keys(form: forms.Form, config: Mapping[str, Any], path: str) -> list[Problem]:
    return [
        Problem(join(path, key), unknown_key(key, form.fields), value)
        for key, value in config.items()
        if key not in form.fields
    ]


def unknown_key(key: str, known: Any) -> str:
    """That a key is not known, and what is."""
    listed = f"Known keys: {', '.join(known)}." if known else "No keys are known here."
    return f"Unknown key; remove it. {did_you_mean(key, known) or listed}"


def _wrong_types(form: forms.Form, config: Mapping[str, Any], path: str) -> list[Problem]:
    return [
        Problem(
            join(path, name),
            f"This has to be {in_words(tuple(kind for kind in types if kind != 'null'))}, "
            f"not {in_words(json_type(config[name]))}.",
            config[name],
        )
        for name, form_field in form.fields.items()
        if config.get(name) is not None
        and (types := json_types(form_field))
        and json_type(config[name]) not in types
    ]


def _typed(action: BaseAction, config: dict[str, Any], path: str) -> list[Problem]:
    try:
        return _wrong_types(action.Config(config), config, path)
    except Exception:  # noqa: BLE001  a plugin's form that cannot even be made; check_config has said so
        return []


def _flows(form: forms.Form) -> dict[str, str]:
    return {
        name: slug
        for name, one in form.fields.items()
        if isinstance(one, FlowField) and (slug := form.cleaned_data.get(name))
    }


def _credentials(form: forms.Form) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {
        name: (credential, one.kinds)
        for name, one in form.fields.items()
        if isinstance(one, CredentialField) and (credential := form.cleaned_data.get(name))
    }
