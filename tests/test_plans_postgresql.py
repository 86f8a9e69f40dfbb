"""With a million rows beside them, due runs are found and limits are held by an index."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, claims, continue_flowruns, start_flow
from flowcontrol.engine.clock import Clock
from flowcontrol.models import Flow, FlowRun

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="plans of PostgreSQL"),
]

ROWS = 1_000_000


def fill(flow: Flow, status: str, due_at: str, ended_at: str, admitted_at: str) -> None:
    """A million runs of the flow, about as many objects."""
    template = FlowRun(flow=flow, version_id=flow.published_id, created_at=flow.created_at)
    fields = [field for field in FlowRun._meta.concrete_fields if not field.primary_key]
    values: dict[str, Any] = {
        field.column: field.get_prep_value(getattr(template, field.attname)) for field in fields
    }
    computed = {
        "status": f"'{status}'",
        "due_at": due_at,
        "ended_at": ended_at,
        "admitted_at": admitted_at,
        "object_model": "'auth.group'",
        "object_id": "(n %% 100000)::text",
    }
    columns = list(values)
    chosen = [computed.get(column, "%s") for column in columns]
    parameters = [values[column] for column in columns if column not in computed]
    table = connection.ops.quote_name(FlowRun._meta.db_table)
    with connection.cursor() as cursor:
        # Without the checks of foreign keys, which would take most of the time.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM generate_series(1, {ROWS}) n",
            parameters,
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(f"ANALYZE {table}")


def scanned(captured: CaptureQueriesContext) -> set[str]:
    """How the runs' table is read by what was captured and begins with a look: index names, or "Seq Scan"."""
    ways: set[str] = set()

    def look(plan: dict[str, Any]) -> None:
        if plan.get("Relation Name") == FlowRun._meta.db_table or "Index Name" in plan:
            ways.add(plan.get("Index Name") or plan["Node Type"])
        for child in plan.get("Plans", ()):
            look(child)

    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if query["sql"].startswith(("SELECT", "WITH")) and FlowRun._meta.db_table in query["sql"]:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                found = cursor.fetchone()[0]
                look((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
    return ways - {"Bitmap Heap Scan", "ModifyTable"}


@pytest.fixture
def flow() -> Flow:
    return import_flow(
        {
            "flowcontrol": 1,
            "slug": "busy",
            "name": "Busy",
            "limits": {"concurrent": 3, "concurrent_per_object": 1},
            "steps": [{"id": "rest", "action": "builtin.delay", "config": {"seconds": 3600}}],
        }
    )


def test_due_runs_among_a_million_waiting_ones_are_found_by_the_index(flow: Flow) -> None:
    fill(flow, "waiting", "now() + interval '1 day' + n * interval '1 second'", "NULL", "now()")
    late = FlowRun.objects.order_by("id")[:5]
    FlowRun.objects.filter(pk__in=[run.pk for run in late]).update(due_at="2020-01-01T00:00:00Z")

    with CaptureQueriesContext(connection) as captured:
        assert len(claims.claim(100, Clock())) == 5

    assert scanned(captured) == {"flowcontrol_run_due", "flowcontrol_flowrun_pkey"}


def test_starting_with_limits_never_reads_a_million_finished_runs(flow: Flow) -> None:
    fill(flow, "completed", "NULL", "now()", "now()")
    group = Group.objects.create(name="one")

    with CaptureQueriesContext(connection) as captured:
        assert isinstance(start_flow("busy", group), Started)
        continue_flowruns()

    ways = scanned(captured)
    assert "flowcontrol_run_admitted" in ways
    # Few rows are due, and both indexes of the due hold no others.
    due = {"flowcontrol_run_due", "flowcontrol_run_flow_due"}
    assert ways <= {"flowcontrol_run_admitted", "flowcontrol_flowrun_pkey", *due}
