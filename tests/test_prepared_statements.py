"""The engine on PostgreSQL where Django is set to have it remember statements, as docs/operations.md advises."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone
from flowcontrol import registry
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    Started,
    cancel_runs,
    continue_flowruns,
    execute_run,
    fire_trigger,
    pause_runs,
    restart_run,
    resume_runs,
    start_flow,
)
from flowcontrol.models import FlowRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

STEPS = [
    {"id": "count", "action": "builtin.update_state", "config": {"state": {"n": 1}}},
    {"id": "rest", "action": "builtin.delay", "config": {"seconds": 60}},
    {"id": "listen", "action": "builtin.wait_for_trigger", "config": {"trigger": "test.ping"}},
    {"id": "fail", "action": "builtin.if", "config": {"condition": "object.nothing_of_this_name"}},
]


@pytest.fixture(autouse=True)
def _remembering() -> Iterator[None]:
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    # From the first time on, so that every kind of statement is prepared here.
    connection.settings_dict["OPTIONS"] = {**options, "server_side_binding": True, "prepare_threshold": 0}
    try:
        with registry.triggers.preserved():
            registry.register_trigger("test.ping")
            yield
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = options


def started(number: int) -> list[int]:
    runs = []
    for each in range(number):
        found = start_flow("tour", obj=Group.objects.create(name=str(each)), key=f"k{each}")
        assert isinstance(found, Started)
        runs.append(found.run.pk)
    return runs


def statuses() -> list[str]:
    return sorted(FlowRun.objects.order_by("pk").values_list("status", flat=True))


def test_all_that_runs_go_through_works_with_prepared_statements() -> None:
    import_flow(
        {
            "flowcontrol": 1,
            "slug": "tour",
            "name": "Tour",
            "object": "auth.group",
            "limits": {"concurrent_per_object": 1},
            "steps": STEPS,
        }
    )
    runs = started(6)
    execute_run(runs[0])
    assert continue_flowruns().executed == 5, "the others, in one batch"
    assert pause_runs(FlowRun.objects.filter(pk=runs[1])).done == (runs[1],)
    assert resume_runs(FlowRun.objects.filter(pk=runs[1])).done == (runs[1],)
    assert cancel_runs(FlowRun.objects.filter(pk=runs[2])).done == (runs[2],)
    later = timezone.now() + timedelta(minutes=2)
    continue_flowruns(now=later)
    assert statuses() == ["cancelled", *["waiting"] * 5]
    for group in Group.objects.all():
        fire_trigger("test.ping", group)
    continue_flowruns(now=later)
    assert statuses() == ["cancelled", *["failed"] * 5]
    restart_run(FlowRun.objects.get(pk=runs[0]), "count")
    continue_flowruns(now=later)
    assert statuses() == ["cancelled", *["failed"] * 4, "waiting"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%flowcontrol_flowrun%'"
        )
        remembered = [statement for (statement,) in cursor.fetchall()]
    assert len(remembered) > 5, "claims, ends, starts and more"
