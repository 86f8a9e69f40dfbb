"""What expressions may read of a model object: concrete fields and relations, three deep, and what was opened."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import Error as DatabaseProblem
from django.db.models import Field, ForeignKey, Model
from django.db.models.fields.files import FieldFile

from .. import conf
from ..exceptions import EvaluationError, FlowcontrolError, ObjectGone
from ..suggestions import did_you_mean
from .kinds import is_model
from .missing import Missing, NotReadable
from .values import opened_names

__all__ = ["MAX_RELATIONS", "is_denied", "read"]

#: How many relations an expression may follow, one after the other.
MAX_RELATIONS = 3


def read(obj: Model, name: str, path: str, depth: int) -> tuple[Any, int]:
    """The field ``name`` of an object, and how many relations deep that is. Raises ``UnknownName``."""
    model = type(obj)
    if name in opened_names(model):
        value = _property(obj, name, path)
        # An opened relation is a relation, or objects that know each other could be followed for ever.
        return (value, _deeper(path, name, depth)) if is_model(value) else (value, depth)
    field = _field(model, name)
    if field is None:
        raise NotReadable(f'"{path}" has no field "{name}" that can be read. {_hint(model, name)}'.rstrip())
    if _is_closed(field, name):
        raise NotReadable(
            f'"{path}.{name}" may not be read: its name is denied by the setting EXPRESSION_DENIED_NAMES. '
            f'The deployer can open it with EXPRESSION_PROPERTIES = {{"{model._meta.label_lower}": ["{name}"]}}.'
        )
    if isinstance(field, ForeignKey) and name == field.name:
        return _related(obj, field, path), _deeper(path, name, depth)
    return _stored(obj, field, path), depth


def is_denied(name: str) -> bool:
    return _matches(conf.get("EXPRESSION_DENIED_NAMES"), name)


def _is_closed(field: Field[Any, Any], name: str) -> bool:
    # By each of its names: `owner_id` tells what a denied `owner` does, and `pk` what a denied key field does.
    return is_denied(field.name) or is_denied(field.attname) or is_denied(name)


@lru_cache(maxsize=4_096)
def _matches(patterns: tuple[str, ...], name: str) -> bool:
    lowered = name.lower()
    return any(fnmatchcase(lowered, pattern.lower()) for pattern in patterns)


def _deeper(path: str, name: str, depth: int) -> int:
    if depth >= MAX_RELATIONS:
        raise NotReadable(f'"{path}.{name}" follows more than {MAX_RELATIONS} relations.')
    return depth + 1


def _property(obj: Model, name: str, path: str) -> Any:
    """A property or method that the deployer opened."""
    try:
        value = getattr(obj, name)
        if not callable(value) or is_model(value):
            return _file_name(value)
        if getattr(value, "alters_data", False):
            raise EvaluationError(f'"{path}.{name}" cannot be read: it changes data.')
        return value()
    except (DatabaseProblem, FlowcontrolError):
        # A database that is away is no fault of the expression, and may be back for the next attempt.
        raise
    except Exception as error:
        # The project's own code: whatever it raises is told as what it is.
        raise EvaluationError(f'"{path}.{name}" cannot be read: {type(error).__name__}: {error}') from error


@lru_cache(maxsize=4_096)
def _field(model: type[Model], name: str) -> Field[Any, Any] | None:
    """The concrete field of this name or attribute name."""
    if name == "pk":
        field: Any = model._meta.pk
    else:
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            return None
    return field if isinstance(field, Field) and field.concrete and not field.many_to_many else None


def _hint(model: type[Model], name: str) -> str:
    readable = [field.name for field in model._meta.concrete_fields if not _is_closed(field, field.name)]
    return did_you_mean(name, readable) if len(name) <= 60 else ""


def _stored(obj: Model, field: Field[Any, Any], path: str) -> Any:
    # Straight from the instance's dictionary: a descriptor or property of the model's own is never run.
    stored = obj.__dict__
    if field.attname not in stored:
        stored[field.attname] = _deferred(obj, field, path)
    return _file_name(stored[field.attname])


def _file_name(value: Any) -> Any:
    """Of a file, its name; every other value as it is."""
    return value.__dict__.get("name") if issubclass(type(value), FieldFile) else value


def _deferred(obj: Model, field: Field[Any, Any], path: str) -> Any:
    """A field that was not read with its object. Not by ``refresh_from_db``, which a model may replace."""
    keys = {key.attname: obj.__dict__.get(key.attname) for key in obj._meta.pk_fields}
    if None in keys.values():
        return None
    rows = type(obj)._base_manager.using(obj._state.db).filter(**keys).values_list(field.attname, flat=True)
    for value in rows[:1]:
        return value
    raise ObjectGone(f'The {obj._meta.label} that "{path}" stands for no longer exists.')


def _related(obj: Model, field: ForeignKey[Any, Any], path: str) -> Model | None:
    if field.is_cached(obj):
        cached: Model | None = field.get_cached_value(obj)
        return cached
    key = _stored(obj, field, path)
    if key is None:
        return None
    model = field.remote_field.model
    related_objects = model._base_manager.db_manager(hints={"instance": obj})
    try:
        related: Model = related_objects.get(**{field.target_field.attname: key})
    except ObjectDoesNotExist:
        raise Missing(
            f'"{path}.{field.name}" refers to a {model._meta.label} {key} that no longer exists.'
        ) from None
    field.set_cached_value(obj, related)
    return related
