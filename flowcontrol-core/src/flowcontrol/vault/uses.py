"""Who refers to credentials beside flows: rows of other apps, by foreign keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import ForeignKey, ManyToOneRel, Model

from ..models import Credential

__all__ = ["rows_by_credential"]


def rows_by_credential(names: Collection[str]) -> dict[str, list[Model]]:
    """By name, the rows of whatever model has a foreign key to credentials. One query for each such model."""
    found: dict[str, list[Model]] = defaultdict(list)
    for relation in Credential._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ManyToOneRel):
            continue
        field: ForeignKey[Any, Any] = relation.field
        rows: Any = relation.related_model._base_manager.filter(**{f"{field.name}__name__in": list(names)})
        for row in rows.select_related(field.name).order_by("pk"):
            found[getattr(row, field.name).name].append(row)
    return found
