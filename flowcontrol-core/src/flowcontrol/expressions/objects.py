"""What expressions may read of a model object: concrete fields and relations, three deep, and what was opened."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db.models import Field, ForeignKey, Model
from django.db.models.fields.files import FieldFile

from .. import conf
from ..exceptions import EvaluationError, UnknownName
from ..suggestions import did_you_mean

__all__ = ["MAX_RELATIONS", "read"]

#: How many relations an expression may follow, one after the other.
MAX_RELATIONS = 3


def read(obj: Model, name: str, path: str, depth: int) -> tuple[Any, int]:
    """The field ``name`` of an object, and how many relations deep that is. Raises ``UnknownName``."""
    model = type(obj)
    if name in _opened(model):
        return _property(obj, name, path), depth
    field = obj._meta.pk if name == "pk" else _field(model, name)
    if field is None:
        raise UnknownName(f'"{path}" has no field "{name}". {did_you_mean(name, _readable(model))}'.rstrip())
    if is_denied(field.name) or is_denied(name):
        raise UnknownName(
            f'"{path}.{name}" may not be read: its name is denied by the setting EXPRESSION_DENIED_NAMES. '
            f'The deployer can open it with EXPRESSION_PROPERTIES = {{"{model._meta.label_lower}": ["{name}"]}}.'
        )
    if isinstance(field, ForeignKey) and name == field.name:
        if depth >= MAX_RELATIONS:
            raise UnknownName(f'"{path}.{name}" follows more than {MAX_RELATIONS} relations.')
        return _related(obj, field, path), depth + 1
    return _stored(obj, field), depth


def is_denied(name: str) -> bool:
    lowered = name.lower()
    return any(fnmatchcase(lowered, pattern.lower()) for pattern in conf.get("EXPRESSION_DENIED_NAMES"))


def _opened(model: type[Model]) -> frozenset[str]:
    opened = conf.get("EXPRESSION_PROPERTIES")
    if not opened:
        return frozenset()
    labels = [
        base._meta.label_lower for base in model.__mro__ if issubclass(base, Model) and hasattr(base, "_meta")
    ]
    return frozenset(name for label in labels for name in opened.get(label, ()))


def _property(obj: Model, name: str, path: str) -> Any:
    """A property or method that the deployer opened."""
    try:
        value = getattr(obj, name)
        return value() if callable(value) and not isinstance(value, Model) else value
    except Exception as error:
        # The project's own code: whatever it raises is told as what it is.
        raise EvaluationError(f'"{path}.{name}" cannot be read: {type(error).__name__}: {error}') from error


@lru_cache(maxsize=1_024)
def _field(model: type[Model], name: str) -> Field[Any, Any] | None:
    """The concrete field of this name or attribute name."""
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        field = next((one for one in model._meta.concrete_fields if one.attname == name), None)  # type: ignore[assignment]
    return field if isinstance(field, Field) and field.concrete and not field.many_to_many else None


def _readable(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if not is_denied(field.name)]


def _stored(obj: Model, field: Field[Any, Any]) -> Any:
    if field.attname in obj.get_deferred_fields():
        obj.refresh_from_db(fields=[field.attname])
    # Straight from the instance's dictionary: a descriptor or property of the model's own is never run.
    value = obj.__dict__.get(field.attname)
    return value.name if isinstance(value, FieldFile) else value


def _related(obj: Model, field: ForeignKey[Any, Any], path: str) -> Model | None:
    if field.is_cached(obj):
        cached: Model | None = field.get_cached_value(obj)
        return cached
    key = obj.__dict__.get(field.attname)
    if key is None:
        return None
    model = field.remote_field.model
    try:
        related: Model = model._base_manager.get(**{field.target_field.attname: key})
    except ObjectDoesNotExist:
        raise UnknownName(
            f'"{path}.{field.name}" refers to a {model._meta.label} {key} that no longer exists.'
        ) from None
    field.set_cached_value(obj, related)
    return related
