"""``flowcontrol flows``: what there is to start."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.db.models import Count

from ...models import Flow, FlowRun
from ..output import Console, table

__all__ = ["flows"]


def flows(console: Console, options: Namespace) -> int:
    stored = (
        Flow.objects.with_published()
        .defer("draft", "published__document")
        .annotate(triggers_there=Count("triggers"))
    )
    # Of the live runs alone, and apart from the flows: finished ones may be millions.
    counts = FlowRun.objects.live().order_by().values_list("flow").annotate(Count("pk"))
    live: dict[int, int] = dict(counts)
    found = [_told(flow, live.get(flow.pk, 0)) for flow in stored.order_by("slug")]
    if options.as_json:
        console.json(found)
    elif not found:
        console.line("There are no flows. Try: manage.py flowcontrol import FILE")
    else:
        header = ["FLOW", "NAME", "ACTIVE", "VERSION", "OBJECT", "TRIGGERS", "LIVE RUNS"]
        console.lines(table(header, map(_row, found)))
    return 0


def _told(flow: Any, live_runs: int) -> dict[str, Any]:
    return {
        "slug": flow.slug,
        "name": flow.name,
        "is_active": flow.is_active,
        "version": flow.published.number if flow.published else None,
        "object": flow.object_model,
        "triggers": flow.triggers_there,
        "live_runs": live_runs,
    }


def _row(told: dict[str, Any]) -> tuple[object, ...]:
    return (
        told["slug"],
        told["name"],
        "yes" if told["is_active"] else "no",
        told["version"] or "draft",
        told["object"] or "-",
        told["triggers"],
        told["live_runs"],
    )
