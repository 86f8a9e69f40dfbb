"""Instances of models from rows of ready-made SQL, as the ORM makes them, without its making the query anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model

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
        values = list(row[: len(self.fields)])
        for index, convert in self._converters(alias):
            values[index] = convert(values[index])
        return self.model.from_db(alias, self.names, values)

    def _converters_of(self, alias: str) -> list[tuple[int, Callable[[Any], Any]]]:
        """By index what a column's values go through, as in Django's ``SQLCompiler.get_converters``."""
        operations = connections[alias].ops
        found: list[tuple[int, Callable[[Any], Any]]] = []
        for index, field in enumerate(self.fields):
            column = field.get_col(self.model._meta.db_table)
            steps = [
                *operations.get_db_converters(column),
                *column.get_db_converters(connections[alias]),
            ]
            if steps:
                found.append((index, _through(steps, column, alias)))
        return found


def _through(steps: Sequence[Callable[..., Any]], column: Any, alias: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connections[alias])
        return value

    return convert
