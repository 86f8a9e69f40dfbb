"""Removing what nobody needs any more."""

from __future__ import annotations

from datetime import timedelta

from .. import conf
from ..models import Event
from .claims import database
from .clock import Clock

__all__ = ["prune_events"]

#: Rows deleted in one statement, so that no lock is held for long.
_CHUNK = 1_000


def prune_events() -> int:
    """Delete events older than ``FLOWCONTROL["EVENT_RETENTION_DAYS"]``; returns how many."""
    events = Event.objects.using(database())
    old = events.filter(created_at__lt=Clock().after(-timedelta(days=conf.get("EVENT_RETENTION_DAYS"))))
    removed = 0
    while ids := list(old.order_by("created_at").values_list("pk", flat=True)[:_CHUNK]):
        removed += events.filter(pk__in=ids).delete()[0]
    return removed
