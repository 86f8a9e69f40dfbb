"""Who refers to credentials beside flows: rows of other apps, by foreign keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from django.db.models import Count, F, ManyToOneRel, Model

from ..models import Credential

__all__ = ["CountedRows", "rows_by_credential"]


class CountedRows(NamedTuple):
    """How many rows of a model refer to a credential; as text, “2 webhook endpoints”."""

    model: type[Model]
    number: int

    def __str__(self) -> str:
        meta = self.model._meta
        return f"{self.number} {meta.verbose_name if self.number == 1 else meta.verbose_name_plural}"


def rows_by_credential(names: Collection[str]) -> dict[str, list[CountedRows]]:
    """By name, the rows of whatever model has a foreign key to credentials. One query for each such model.

    Counted in the database: nobody knows how many a project has.
    """
    found: dict[str, list[CountedRows]] = defaultdict(list)
    for relation in Credential._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ManyToOneRel):
            continue
        model = relation.related_model
        rows: Any = model._base_manager.filter(**{f"{relation.field.name}__name__in": list(names)})
        named = rows.order_by().values(of=F(f"{relation.field.name}__name"))
        for name, number in named.annotate(number=Count("pk")).values_list("of", "number"):
            found[name].append(CountedRows(model, number))
    return found
