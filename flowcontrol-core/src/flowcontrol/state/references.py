"""References of a state to model objects, and reading these: one by one, or a model's together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model

from ..exceptions import ObjectGone, StateError

__all__ = ["Found", "ModelReference", "read_together", "references", "resolved"]

#: The keys that every database has as a number.
_KEY_BITS = 63


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model object in a stored state, read when somebody asks for it."""

    model: str
    pk: Any

    def load(self, key: str) -> Model:
        """The object; one query. Raises ``ObjectGone`` naming the state's key."""
        try:
            model = apps.get_model(self.model)
            found: Model | None = model._base_manager.filter(pk=self.pk).first()
        except LookupError as error:
            raise ObjectGone(
                f'The state\'s "{key}" refers to the model {self.model}, which is not installed.'
            ) from error
        except (ValidationError, ValueError, TypeError) as error:
            raise StateError(f"{key}: {self.pk!r} is no key of the model {self.model}.") from error
        if found is None:
            raise ObjectGone(
                f'The {self.model} {self.pk} that the state\'s "{key}" refers to no longer exists.'
            )
        return found


Found = dict[ModelReference, Model]


def resolved(value: Any, key: str, found: Found) -> Any:
    """The value with every reference in it replaced, in place, by its object; one query for each not ``found``."""
    if isinstance(value, ModelReference):
        known = found.get(value)
        return value.load(key) if known is None else known
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, (ModelReference, dict, list)):
                value[name] = resolved(item, f"{key}.{name}", found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (ModelReference, dict, list)):
                value[index] = resolved(item, f"{key}[{index}]", found)
    return value


def references(value: Any) -> Iterator[ModelReference]:
    """Every reference in a value, however deep."""
    if isinstance(value, ModelReference):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (ModelReference, dict, list)):
                yield from references(item)


def read_together(asked: set[ModelReference]) -> Found:
    """Their objects, in a query per model. What is gone, or odd, is left for ``ModelReference.load`` to tell."""
    keys: dict[str, dict[ModelReference, Any]] = {}
    for reference in asked:
        with suppress(LookupError, ValidationError, ValueError, TypeError):
            keys.setdefault(reference.model, {})[reference] = _key_of(reference)
    found: Found = {}
    for label, wanted in keys.items():
        objects = apps.get_model(label)._base_manager.in_bulk(set(wanted.values())) if wanted else {}
        found |= {each: objects[key] for each, key in wanted.items() if key in objects}
    return found


def _key_of(reference: ModelReference) -> Any:
    """The key as the model has it. Raises for one that could be the end of a query, and of all others in it."""
    pk = reference.pk
    if (isinstance(pk, int) and pk.bit_length() > _KEY_BITS) or (isinstance(pk, str) and "\0" in pk):
        raise ValueError(f"{pk!r} is no key")
    key = apps.get_model(reference.model)._meta.pk.to_python(pk)
    hash(key)
    return key
