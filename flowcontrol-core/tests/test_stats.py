"""The figures: what is due and late, what runs, waits and fails, and who works."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from flowcontrol.documents import import_flow
from flowcontrol.engine.presence import Presence, active_plugins
from flowcontrol.engine.statistics import Blocked, FlowFigures, statistics
from flowcontrol.engine.worker import seconds_until_due
from flowcontrol.management.command_line import SUBCOMMANDS
from flowcontrol.models import Flow, FlowRun, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_database]

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def flow(slug: str, queue: str = "default") -> Flow:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": []})
    Flow.objects.filter(slug=slug).update(queue=queue)
    return Flow.objects.get(slug=slug)


def make(
    of: Flow, status: str, *, due: timedelta | None = None, ended: timedelta | None = None, **fields: Any
) -> None:
    """A run that is due so much from now on, or ended so much ago."""
    now = timezone.now()
    assert of.published_id is not None
    FlowRun.objects.create(
        flow=of,
        version_id=of.published_id,
        status=status,
        due_at=None if due is None else now + due,
        ended_at=None if ended is None else now - ended,
        created_at=now,
        **{"admitted_at": now, **fields},
    )


@pytest.fixture
def world() -> None:
    orders, mails = flow("orders"), flow("mails", "slow")
    flow("idle")
    make(orders, "pending", due=-100 * SECOND)
    make(orders, "pending", due=-10 * SECOND, admitted_at=None)
    make(orders, "pending", due=HOUR)
    make(orders, "running", due=30 * SECOND)
    # Its worker vanished: the lease is over.
    make(orders, "running", due=-5 * SECOND)
    make(orders, "waiting", due=HOUR)
    make(orders, "waiting")
    make(orders, "paused")
    make(orders, "completed", ended=SECOND)
    make(orders, "failed", ended=2 * HOUR)
    make(orders, "failed", ended=30 * HOUR)
    for reason in ("A", "B", "A"):
        make(mails, "blocked", due=30 * SECOND, reason=reason)
    for _ in range(10):
        make(mails, "failed", ended=60 * SECOND)


def test_figures_of_flows_and_queues(world: None) -> None:
    told = statistics()
    idle, mails, orders = sorted(told.flows, key=lambda each: each.flow)

    assert 100 <= orders.lag_seconds < 160
    orders.lag_seconds = 0
    assert orders == FlowFigures(
        "default",
        "orders",
        due=3,
        overdue=1,
        pending=3,
        running=2,
        waiting=2,
        paused=1,
        failed=1,
        ended_per_minute=0.2,
    )
    assert mails == FlowFigures("slow", "mails", blocked=3, failed=10, ended_per_minute=2.0)
    assert idle == FlowFigures("default", "idle")
    assert idle.is_idle
    assert [(each.queue, each.flow, each.due, each.failed) for each in told.queues] == [
        ("default", "", 3, 1),
        ("slow", "", 0, 10),
    ]
    assert told.blocked == [Blocked("mails", "A", 2), Blocked("mails", "B", 1)]


def test_the_figures_take_eight_queries_whatever_there_is(world: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        statistics()
    assert len(captured) == 8


def test_workers_are_alive_as_long_as_they_say_so() -> None:
    presence = Presence(["mail", "slow"], lambda: 7)
    presence.start()
    gone = timezone.now() - HOUR
    Worker.objects.create(name="gone:1:x", host="gone", pid=1, started_at=gone, seen_at=gone, plugins={})
    try:
        here, dead = sorted(statistics().workers, key=lambda each: not each.is_alive)
        assert (here.name, here.queues, here.executed) == (presence.name, "mail,slow", 7)
        assert (here.is_alive, here.is_stopping, here.plugins) == (True, False, active_plugins())
        assert "flowcontrol" in here.plugins
        assert (dead.name, dead.is_alive) == ("gone:1:x", False)
        assert dead.seen_seconds > 3_000
    finally:
        presence.remove()
    assert [each.name for each in statistics().workers] == ["gone:1:x"]


def test_how_long_until_something_is_due() -> None:
    assert (seconds_until_due(), seconds_until_due(["slow"])) == (None, None)
    make(flow("orders"), "waiting", due=HOUR)
    make(flow("mails", "slow"), "waiting", due=2 * HOUR)
    flow("idle", "slow")
    first, slow = seconds_until_due(), seconds_until_due(["slow", "other"])
    assert first is not None
    assert slow is not None
    assert 3_500 < first <= 3_600
    assert 7_100 < slow <= 7_200
    make(Flow.objects.get(slug="mails"), "pending", due=-HOUR)
    late = seconds_until_due(["slow"])
    assert late is not None
    assert -3_700 < late <= -3_600


@pytest.mark.postgresql
def test_what_is_asked_often_uses_an_index_and_not_the_finished_runs(world: None) -> None:
    orders = Flow.objects.get(slug="orders")
    now = timezone.now()
    FlowRun.objects.bulk_create(
        FlowRun(
            flow=orders, version_id=orders.published_id, status="completed", created_at=now, admitted_at=now,
            ended_at=now - HOUR * 100,
        )
        for _ in range(5_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE flowcontrol_flowrun")
    with CaptureQueriesContext(connection) as captured:
        statistics()
        seconds_until_due()
    looks = [query["sql"] for query in captured if "flowcontrol_flowrun" in query["sql"]]
    assert len(looks) == 7
    with connection.cursor() as cursor:
        for sql in looks:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            # Runs that ended lately: there is no index over the ends of runs.
            if 'ended_at" >=' not in sql:
                assert "Seq Scan on flowcontrol_flowrun" not in plan, f"{sql}\n{plan}"


# -- the command ---------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("flowcontrol", "stats", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_shows_what_lives_and_what_is_late(world: None) -> None:
    told = [line.split() for line in run().splitlines()]
    assert told[0][:5] == ["QUEUE", "FLOW", "DUE", "LAG", "OVERDUE"]
    rows = {tuple(line[:2]): line for line in told[1:5]}
    assert set(rows) == {("default", "(all)"), ("slow", "(all)"), ("default", "orders"), ("slow", "mails")}
    assert rows["default", "orders"][2:] == ["3", "1", "min", "1", "3", "2", "2", "1", "0", "1", "0.2"]
    assert "1 flow more: no live run, and none that ended lately." in run()
    assert "2        mails  A" in run()
    assert "No worker is at work, or none has said so." in run()


def test_the_command_without_flows_says_so() -> None:
    assert run() == "There are no flows.\n\nNo worker is at work, or none has said so.\n"


def test_the_command_lists_workers(world: None) -> None:
    now = timezone.now()
    for pid, seen, is_stopping in [(1, now, False), (2, now, True), (3, now - HOUR, False)]:
        Worker.objects.create(
            name=str(pid), host="web", pid=pid, started_at=seen, seen_at=seen, is_stopping=is_stopping,
            executed=5, plugins={"flowcontrol": "1.0", "own": ""},
        )  # fmt: skip
    lines = run().splitlines()
    assert [line.split()[:2] for line in lines[-3:]] == [
        ["web:1", "alive"],
        ["web:2", "stopping"],
        ["web:3", "dead"],
    ]
    assert lines[-1].endswith("1 h ago    5         all     flowcontrol 1.0, own")


def test_json_has_the_keys_that_the_help_tells(world: None) -> None:
    with override_settings(FLOWCONTROL={"WORKER_HEARTBEAT_SECONDS": 5}):
        told = json.loads(run("--json"))
    assert set(told) == {"queues", "flows", "blocked", "workers"}
    assert set(told["flows"][0]) == set(SUBCOMMANDS["stats"].keys)
    assert set(told["queues"][0]) == set(SUBCOMMANDS["stats"].keys) - {"flow"}
    assert told["blocked"][0] == {"flow": "mails", "reason": "A", "count": 2}
