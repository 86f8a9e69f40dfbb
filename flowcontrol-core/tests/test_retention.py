"""Pruning: what is old goes, in chunks; what lives, what is young and what limits count stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from flowcontrol.documents import import_flow
from flowcontrol.engine import retention
from flowcontrol.engine.retention import Pruned, Pruning, prune_everything, prune_runs
from flowcontrol.models import Event, Flow, FlowRun, HistoryChunk, RunLimit, Worker
from flowcontrol.plugins.loaded import HookFunction
from flowcontrol.plugins.loaded import current as loaded_plugins

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_database]

DAY = timedelta(days=1)


@pytest.fixture
def flow() -> Flow:
    import_flow({"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": []})
    return Flow.objects.get()


def make(flow: Flow, count: int, days: float, status: str = "completed", **fields: Any) -> list[FlowRun]:
    """Ended runs, each with a row of history, that were made and ended so many days ago."""
    assert flow.published_id is not None
    then = timezone.now() - timedelta(days=days)
    ended = None if status in {"waiting", "pending"} else then
    runs = FlowRun.objects.bulk_create(
        FlowRun(
            flow=flow, version_id=flow.published_id, status=status, created_at=then, ended_at=ended, **fields
        )
        for _ in range(count)
    )
    HistoryChunk.objects.bulk_create(HistoryChunk(run=run, packed="[]") for run in runs)
    return runs


def prune(pruning: Pruning) -> list[Pruned]:
    """What each chunk deleted that deleted something."""
    return [pruned for pruned in prune_runs(pruning) if any(pruned)]


def test_ended_runs_that_are_old_go_with_their_history_and_nothing_else_does(flow: Flow) -> None:
    make(flow, 3, days=40)
    kept = [
        *make(flow, 1, days=40, status="waiting"),
        *make(flow, 1, days=40, status="pending"),
        *make(flow, 2, days=10),
    ]
    # Made long ago, and ended lately.
    late = make(flow, 1, days=40)[0]
    FlowRun.objects.filter(pk=late.pk).update(ended_at=timezone.now())

    assert prune(Pruning(30 * DAY)) == [Pruned(3, 3)]
    left = set(FlowRun.objects.values_list("pk", flat=True))
    assert left == {late.pk, *(run.pk for run in kept)}
    assert set(HistoryChunk.objects.values_list("run_id", flat=True)) == left


def test_only_the_statuses_and_the_flow_that_are_named(flow: Flow) -> None:
    import_flow({"flowcontrol": 1, "slug": "other", "name": "Other", "steps": []})
    other = Flow.objects.get(slug="other")
    for one in (flow, other):
        for status in ("completed", "failed", "cancelled"):
            make(one, 1, days=40, status=status)

    pruning = Pruning(DAY, statuses=["completed", "cancelled"], flow=flow)
    assert pruning.count() == 2
    assert prune(pruning) == [Pruned(2, 2)]
    left = FlowRun.objects.order_by("id").values_list("flow__slug", "status")
    assert list(left) == [("flow", "failed"), *(("other", s) for s in ("completed", "failed", "cancelled"))]


def test_the_history_alone(flow: Flow) -> None:
    make(flow, 2, days=40)
    make(flow, 1, days=1)
    pruning = Pruning(30 * DAY, is_history_only=True)

    assert pruning.count() == 2
    assert prune(pruning) == [Pruned(0, 2)]
    assert (FlowRun.objects.count(), HistoryChunk.objects.count(), pruning.count()) == (3, 1, 0)


def test_children_stay_without_their_parent_and_limits_remember(flow: Flow) -> None:
    (parent,) = make(flow, 1, days=40)
    (child,) = make(flow, 1, days=1, parent=parent)
    RunLimit.objects.create(flow=flow, object_model="auth.user", object_id="1", started=1)
    prune(Pruning(30 * DAY))

    child.refresh_from_db()
    assert child.parent_id is None
    assert RunLimit.objects.get().started == 1


def test_a_run_that_is_restarted_while_others_are_pruned_stays(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make(flow, 2, days=40)

    def windows(self: Pruning) -> Iterator[list[int]]:
        # Between the look for what is old and the deletion.
        FlowRun.objects.filter(pk=runs[0].pk).update(status="pending", ended_at=None)
        yield [run.pk for run in runs]

    monkeypatch.setattr(Pruning, "windows", windows)
    assert prune(Pruning(DAY)) == [Pruned(1, 1)]
    assert FlowRun.objects.get().pk == runs[0].pk


def test_five_thousand_runs_go_in_short_transactions_with_as_many_queries_for_each_chunk(flow: Flow) -> None:
    make(flow, 5_000, days=40, state_json=json.dumps({"text": "x" * 1_000}))
    make(flow, 10, days=1)
    with CaptureQueriesContext(connection) as captured:
        chunks = prune(Pruning(30 * DAY))

    assert chunks == [Pruned(1_000, 1_000)] * 5
    assert FlowRun.objects.count() == 10
    # What other apps have that refers to runs is their business.
    others = ("BEGIN", "COMMIT", "SAVEPOINT", 'DELETE FROM "flowcontrol_actions_')
    statements = [q["sql"] for q in captured if not q["sql"].startswith(others)]
    deletes = [sql for sql in statements if sql.startswith("DELETE")]
    assert all(sql.count(",") < 1_100 for sql in deletes)
    # A look for the next window, which runs to take, what refers to them, and Django's deletions of 100 rows each.
    # SQLite bounds the parameters of a statement, Django 6.1 less so than 5.2.
    assert len(statements) <= 5 * (18 if connection.vendor == "sqlite" else 16) + 1
    assert not any("state_json" in sql for sql in statements)


def test_what_is_kept_is_not_looked_at_again_and_again(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_CHUNK", 10)
    make(flow, 5, days=40)
    make(flow, 100, days=1)
    with CaptureQueriesContext(connection) as captured:
        assert prune(Pruning(30 * DAY)) == [Pruned(5, 5)]
    looks = [q for q in captured if "CASE WHEN" in q["sql"]]
    assert len(looks) == 1, "the first young run ends the search"


def test_a_worker_prunes_runs_only_when_the_settings_say_so(flow: Flow) -> None:
    make(flow, 2, days=40)
    Event.objects.create(name="old", created_at=timezone.now() - 40 * DAY)
    now = timezone.now()
    for number, seen in enumerate([now, now - 2 * DAY]):
        Worker.objects.create(name=str(number), host="h", pid=1, started_at=seen, seen_at=seen)

    assert list(prune_everything()) == [1, 1]
    assert (FlowRun.objects.count(), Event.objects.count()) == (2, 0)
    assert Worker.objects.get().name == "0"
    with override_settings(FLOWCONTROL={"RUN_RETENTION_DAYS": 30}):
        assert list(prune_everything()) == [2, 0]
    assert not FlowRun.objects.exists()


def test_plugins_are_told_to_prune_and_one_that_fails_keeps_nobody_from_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fails() -> None:
        told.append("bad")
        raise ValueError("no such table")

    hooks = {
        "flowcontrol_prune": (
            HookFunction("bad", fails, ()),
            HookFunction("good", lambda: told.append("good"), ()),
        )
    }
    loaded = replace(loaded_plugins(), hooks=hooks)
    monkeypatch.setattr("flowcontrol.plugins.loaded._current", loaded)
    assert list(prune_everything()) == [0]
    assert told == ["bad", "good"]
    assert "notification failed plugin=bad hook=flowcontrol_prune" in caplog.text


# -- the command ---------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("flowcontrol", "prune", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prunes_and_tells_how_far_it_is(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_CHUNK", 2)
    make(flow, 3, days=40)
    out, err = run("--older-than", "30")

    assert err == "2 runs deleted …\n3 runs deleted …\n"
    assert out == "3 runs deleted, and 3 rows of history with them.\n"
    assert not FlowRun.objects.exists()


def test_a_dry_run_deletes_nothing(flow: Flow) -> None:
    make(flow, 1, days=40)
    make(flow, 1, days=40, status="failed")
    told = run("--older-than", "30", "--dry-run", "--status", "completed,stopped", "--flow", "flow")

    assert told == ("1 run would be deleted.\n", "")
    assert run("--older-than", "30", "--dry-run", "--history-only")[0] == (
        "The history of 2 runs would be deleted.\n"
    )
    assert FlowRun.objects.count() == 2


def test_json_tells_how_many(flow: Flow) -> None:
    make(flow, 2, days=40)
    out, _ = run("--older-than", "30", "--history-only", "--json")
    assert json.loads(out) == {"runs": 0, "history": 2, "is_dry_run": False}


def test_the_age_comes_from_the_settings_unless_it_is_given(flow: Flow) -> None:
    make(flow, 1, days=40)
    with pytest.raises(
        CommandError, match="Say how old: --older-than DAYS, or the setting RUN_RETENTION_DAYS."
    ):
        run()
    with override_settings(FLOWCONTROL={"RUN_RETENTION_DAYS": 30}):
        assert run("--dry-run")[0] == "1 run would be deleted.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--flow", "flwo"], 'There is no flow "flwo"'),
        (["--status", "waiting"], "'waiting' is no status of an ended run"),
        (["--older-than", "-1"], "-1 is not 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(flow: Flow, arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run("--older-than", "30", *arguments)


def test_tick_deletes_old_events_where_there_is_no_worker() -> None:
    for days in (1, 40):
        Event.objects.create(name=f"{days}", created_at=timezone.now() - days * DAY)
    out = StringIO()
    call_command("flowcontrol", "tick", stdout=out)
    assert out.getvalue() == "Nothing was due.\n"
    assert Event.objects.get().name == "1"
