"""``flowcontrol runs`` and ``run``: what became of the flows that were started."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from ...documents.normal_form import walk
from ...exceptions import FlowNotFound
from ...models import Flow, FlowRun, StepRecord
from ...sentences import duration, standing, when
from ...suggestions import did_you_mean
from ..output import Console, columns, iso, shortened, table

__all__ = ["record_line", "run", "runs", "standing_of", "step_names"]


def runs(console: Console, options: Namespace) -> int:
    found = FlowRun.objects.select_related("flow", "version").defer(
        "flow__draft", "version__document", "state_json", "cursor_json", "traceback"
    )
    if options.flow:
        _require_flow(options.flow)
        found = found.filter(flow__slug=options.flow)
    if options.status:
        found = found.filter(status__in=options.status)
    now = timezone.now()
    shown = list(found.order_by("-id")[: options.limit])
    if options.as_json:
        console.json([_told(one, standing(one, now)) for one in shown])
    elif not shown:
        console.line("There are no such runs.")
    else:
        rows = [[one.pk, one.flow.slug, one.status, _object(one) or "-", standing(one, now)] for one in shown]
        console.lines(table(["RUN", "FLOW", "STATUS", "OBJECT", "STANDING"], rows))
    return 0


def _require_flow(slug: str) -> None:
    slugs = Flow.objects.values_list("slug", flat=True)
    if slug not in slugs:
        raise FlowNotFound(f"There is no flow “{slug}”. {did_you_mean(slug, slugs)}".rstrip())


def run(console: Console, options: Namespace) -> int:
    found = FlowRun.objects.select_related("flow", "version").filter(pk=options.id).first()
    if found is None:
        raise CommandError(f"There is no run {options.id}.")
    records = found.history()
    if options.as_json:
        console.json(_told_in_full(found, records))
    else:
        console.lines(_page(found, records, console))
    return 0


def step_names(found: FlowRun) -> dict[str, str]:
    """What people call the steps of the run's version, by id."""
    return {step["id"]: step.get("name") or step["id"] for step in walk(found.version.document["steps"])}


def standing_of(found: FlowRun) -> str:
    """The sentence, with the step's name."""
    return standing(found, timezone.now(), step_names(found).get(found.step, ""))


def _told(found: FlowRun, sentence: str) -> dict[str, Any]:
    return {
        "id": found.pk,
        "flow": found.flow.slug,
        "version": found.version.number,
        "status": str(found.status),
        "step": found.step,
        "standing": sentence,
        "reason": found.reason,
        "object_model": found.object_model,
        "object_id": found.object_id,
        "key": found.key,
        "parent": found.parent_id,
        "created_at": iso(found.created_at),
        "started_at": iso(found.started_at),
        "ended_at": iso(found.ended_at),
        "due_at": iso(found.due_at),
    }


def _told_in_full(found: FlowRun, records: Iterable[StepRecord]) -> dict[str, Any]:
    return {
        **_told(found, standing_of(found)),
        "wait_until": iso(found.wait_until),
        "wait_event": found.wait_event,
        "restart_count": found.restart_count,
        "visit_count": found.visit_count,
        "traceback": found.traceback,
        # As it is stored, so that --state takes it back: {"$datetime": …} for what JSON has no type for.
        "state": json.loads(found.state_json),
        "steps": [_told_record(record) for record in records],
    }


def _told_record(record: StepRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "step": record.step,
        "path": record.path,
        "phase": record.phase,
        "attempt": record.attempt,
        "started_at": iso(record.started_at),
        "duration_seconds": record.duration.total_seconds(),
        "decision": record.decision,
        "changes": record.changes,
        "error": record.error,
    }


def _page(found: FlowRun, records: list[StepRecord], console: Console) -> Iterator[str]:
    yield f"Run {found.pk} of {found.flow.slug} (version {found.version.number}): {found.status}"
    yield standing_of(found)
    facts: Mapping[str, object] = {
        "reason": shortened(found.reason, 1_000),
        "object": _object(found),
        "key": found.key,
        "parent run": found.parent_id,
        "created": when(found.created_at),
        "started": when(found.started_at),
        "ended": when(found.ended_at),
        "restarted": f"{found.restart_count} times" if found.restart_count else "",
    }
    yield ""
    yield from columns(facts)
    if records:
        names = step_names(found)
        yield ""
        yield f"Steps ({len(records)}):"
        yield from (f"  {record_line(record, names)}" for record in records)
    yield ""
    yield "State:"
    yield from (
        f"  {line}"
        for line in json.dumps(json.loads(found.state_json), indent=2, ensure_ascii=False).split("\n")
    )
    if found.traceback:
        yield ""
        yield console.bad("Traceback:")
        yield from (f"  {line}" for line in found.traceback.rstrip().split("\n"))


_ASKED = {
    "branch": ", branch ended",
    "event": ", event came",
    "time": ", wait over",
    "failure": ", failure inside",
}


def record_line(record: StepRecord, names: Mapping[str, str]) -> str:
    """``12:00:01  each:2/mail  Send a mail  → Next  (3 ms)  total = 7``"""
    place = f"{record.path}/{record.step}" if record.path else record.step
    name = names.get(record.step, record.step)
    asked = _ASKED.get(record.phase, "")
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    parts = [
        _clock(record.started_at),
        place + asked + attempt,
        *([name] if name != record.step else []),
        f"→ {record.decision} ({duration(record.duration)})",
        *([shortened(_changes(record.changes), 200)] if record.changes else []),
        *([shortened(record.error, 200)] if record.error else []),
    ]
    return "  ".join(parts)


def _clock(time: datetime) -> str:
    return timezone.localtime(time).strftime("%H:%M:%S")


def _changes(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in changes.items())


def _object(found: FlowRun) -> str:
    return f"{found.object_model}:{found.object_id}" if found.object_model else ""
