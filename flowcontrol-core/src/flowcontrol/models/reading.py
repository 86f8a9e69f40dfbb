"""Instances of models from rows of ready-made SQL, as the ORM makes them, without its making the query anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model
from django.db.models.base import ModelState

__all__ = ["Reader"]

_M = TypeVar("_M", bound=Model)


class Reader(Generic[_M]):
    """Reads some columns of a model; ``columns`` is their list for a SELECT or RETURNING.

    An instance that lacks some reads them when they are asked for, as with ``only()``.
    """

    def __init__(self, model: type[_M], *names: str) -> None:
        fields = model._meta.concrete_fields
        self.model = model
        self.fields = [field for field in fields if not names or field.attname in names]
        self.names = [field.attname for field in self.fields]
        self.columns = ", ".join(str(field.column) for field in self.fields)
        self._converters = cache(self._converters_of)

    def instance(self, row: Sequence[Any], alias: str) -> _M:
        """The instance in the first columns of the row, which was read from the database ``alias``."""
        instance = self.model.__new__(self.model)
        # Plain columns, none of them a relation: what ``Model.from_db`` would do, without its asking every field.
        attributes = vars(instance)
        attributes.update(zip(self.names, row, strict=False))
        for name, convert in self._converters(alias):
            attributes[name] = convert(attributes[name])
        instance._state = state = ModelState()
        state.db, state.adding = alias, False
        return instance

    def _converters_of(self, alias: str) -> list[tuple[str, Callable[[Any], Any]]]:
        """By name what a column's values go through, as in Django's ``SQLCompiler.get_converters``."""
        operations = connections[alias].ops
        found: list[tuple[str, Callable[[Any], Any]]] = []
        for field in self.fields:
            column = field.get_col(self.model._meta.db_table)
            steps = [
                *operations.get_db_converters(column),
                *column.get_db_converters(connections[alias]),
            ]
            if steps:
                found.append((field.attname, _through(steps, column, alias)))
        return found


def _through(steps: Sequence[Callable[..., Any]], column: Any, alias: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connections[alias])
        return value

    return convert
