"""Which flows use which actions."""

from __future__ import annotations

from ..documents import walk
from ..engine.claims import database
from ..models import Flow

__all__ = ["flows_using"]


def flows_using(prefix: str) -> dict[str, list[str]]:
    """By slug: names of the actions that begin so in the published version of a flow. One query."""
    found: dict[str, list[str]] = {}
    for flow in Flow.objects.using(database()).with_published().exclude(published=None).order_by("slug"):
        assert flow.published is not None
        names = {str(step["action"]) for step in walk(flow.published.document["steps"])}
        used = sorted(name for name in names if name.startswith(prefix))
        if used:
            found[flow.slug] = used
    return found
