"""What has to hold after every scenario, asked in SQL: I1 to I8 of the reliability plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection
from faultapp import outside
from faultapp.models import Call
from flowcontrol.models import HistoryChunk
from flowcontrol.models.records import StepRecord

__all__ = ["SECRET", "copy_calls", "problems", "scalar"]

#: In the state of each run, and in nothing that is logged.
SECRET = "s33d-5ecret-7f3a"

_ENDED = "('completed', 'stopped', 'failed', 'cancelled', 'discarded')"


def rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def scalar(sql: str) -> int:
    return int(rows(sql)[0][0] or 0)


def copy_calls() -> None:
    """What the outside world wrote down, as rows beside the others."""
    Call.objects.all().delete()
    Call.objects.bulk_create([Call(**row) for row in outside.received()], batch_size=500)


def problems(log: Path, may_fail: bool = False) -> Iterator[str]:
    """A sentence for each thing that does not hold."""
    copy_calls()
    yield from _lost(may_fail)
    yield from _applied()
    yield from _called()
    yield from _claimed()
    yield from _history()
    if log.exists() and SECRET in log.read_text(errors="replace"):
        yield "I8 a secret of the state is in the log"


def _lost(may_fail: bool) -> Iterator[str]:
    for flow, key, number in rows(
        "SELECT flow_id, key_, n FROM (SELECT flow_id, {key} AS key_, count(*) AS n FROM flowcontrol_flowrun "
        "WHERE {key} IS NOT NULL GROUP BY flow_id, {key}) AS k WHERE n <> 1".format(
            key=connection.ops.quote_name("key")
        )
    ):
        yield f"I1 {number} runs of flow {flow} have the key {key}"
    for status, number in rows(
        f"SELECT status, count(*) FROM flowcontrol_flowrun WHERE status NOT IN {_ENDED} GROUP BY status"
    ):
        yield f"I1 {number} runs are left {status}"
    if not may_fail:
        for reason, number in rows(
            "SELECT reason, count(*) FROM flowcontrol_flowrun WHERE status = 'failed' GROUP BY reason"
        ):
            yield f"I1 {number} runs failed: {reason}"
    running = scalar("SELECT count(*) FROM flowcontrol_flowrun WHERE ended_at IS NOT NULL AND token <> ''")
    if running:
        yield f"I7 {running} ended runs still have a lease"


def _applied() -> Iterator[str]:
    for run, step, number in rows(
        "SELECT run, step, count(*) FROM faultapp_audit GROUP BY run, step, "
        f"{connection.ops.quote_name('key')} HAVING count(*) > 1"
    ):
        yield f"I2 the step {step} of run {run} was applied {number} times"


def _called() -> Iterator[str]:
    key = connection.ops.quote_name("key")
    for run, number in rows(
        f"SELECT run, count(DISTINCT {key}) - count(DISTINCT step) FROM faultapp_call GROUP BY run "
        f"HAVING count(DISTINCT {key}) <> count(DISTINCT step)"
    ):
        yield f"I3 run {run} called with {number} keys too many"


def _claimed() -> Iterator[str]:
    due, changed = "old_due_at", "changed_at"
    if connection.vendor == "sqlite":
        # Milliseconds are all that its clock has.
        due, changed = "substr(old_due_at, 1, 23)", "substr(changed_at, 1, 23)"
    for run, old, _new in rows(
        f"SELECT run, old_token, new_token FROM faultapp_claim WHERE new_token <> '' AND {due} > {changed}"
    ):
        what = "while another had its lease" if old else "before it was due"
        yield f"I4 run {run} was claimed {what}"
    if connection.vendor == "postgresql":
        late = scalar(
            "SELECT count(*) FROM faultapp_claim WHERE old_token <> '' AND new_token <> '' "
            "AND changed_at > old_due_at + interval '90 seconds'"
        )
        if late:
            yield f"I7 {late} leases had been over for 90 s before somebody took the run"


def _history() -> Iterator[str]:
    """Records without gaps, which lead from the first state to the last."""
    records: dict[int, list[StepRecord]] = {}
    for chunk in HistoryChunk.objects.order_by("id").iterator():
        records.setdefault(chunk.run_id, []).extend(chunk.records())
    ended = rows(
        f"SELECT id, state_json, visit_count, status FROM flowcontrol_flowrun WHERE status IN {_ENDED} ORDER BY id"
    )
    for run, state_json, visit_count, status in ended:
        told = records.get(run, [])
        numbers = [record.number for record in told]
        if numbers != list(range(visit_count)):
            yield f"I5 the history of run {run} ({status}) has {_short(numbers)}, wanted 0 to {visit_count - 1}"
            continue
        yield from _folded(run, state_json, told)


def _folded(run: int, state_json: str, told: list[StepRecord]) -> Iterator[str]:
    wanted = json.loads(state_json)
    folded: dict[str, Any] = {}
    for record in told:
        folded.update(record.changes or {})
    for key, value in folded.items():
        if value != "…" and wanted.get(key) != value:
            yield f"I5 the history of run {run} leads to {key}={value!r}, its state says {wanted.get(key)!r}"


def _short(numbers: list[int]) -> str:
    return f"{len(numbers)} records, {numbers[:12]}{'…' if len(numbers) > 12 else ''}"
