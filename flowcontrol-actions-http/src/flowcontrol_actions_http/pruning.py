"""Forgetting calls, replies and links that nobody needs any more."""

from __future__ import annotations

from django.utils import timezone

from .models import Call, Callback, Reply

__all__ = ["prune"]

#: Rows deleted by one statement, and such statements for each table each time.
_CHUNK, _CHUNKS = 1_000, 50


def prune() -> None:
    """What is too old, in small bites; what is too much for once is left to the next time."""
    now = timezone.now()
    for model in (Call, Reply, Callback):
        for _ in range(_CHUNKS):
            ids = list(model.old(now).values_list("pk", flat=True)[:_CHUNK])
            # By their keys: several workers may be at it.
            model._base_manager.filter(pk__in=ids).delete()
            if len(ids) < _CHUNK:
                break
