"""Objects that runs and events are about, as people type them into a search."""

from __future__ import annotations

import uuid

from django.apps import apps

from ..models import Flow
from ..registry import triggers

__all__ = ["object_models", "spellings"]


def object_models() -> list[str]:
    """All models that an object may be of: those installed, and those that flows and triggers still name."""
    named = {spec.model.lower() for spec in triggers.specs()} | set(
        Flow.objects.values_list("object_model", flat=True)
    )
    return sorted({model._meta.label_lower for model in apps.get_models()} | named - {""})


def spellings(term: str) -> list[str]:
    """The key as it was typed, and the one way in which it is stored when it is a UUID."""
    try:
        return sorted({term, str(uuid.UUID(term))})
    except ValueError:
        return [term]
