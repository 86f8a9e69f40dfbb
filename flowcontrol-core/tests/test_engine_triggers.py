"""Triggers: they start, wake and restart runs, say what came of it, and never hurt their caller."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import Error, IntegrityError, OperationalError, connection, connections, transaction
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from engine_actions import ACTIONS, CALLS, Decide
from flowcontrol import registry
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    Fired,
    Started,
    continue_flowruns,
    fire_trigger,
    send_event,
    start_flow,
    triggers,
)
from flowcontrol.engine.deadlocks import repeated
from flowcontrol.exceptions import DocumentError
from flowcontrol.models import Event, Flow, FlowRun, Trigger
from flowcontrol.models.database import DatabaseNow


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping")
        CALLS.clear()
        Decide.answer.clear()
        yield


@pytest.fixture
def user() -> User:
    return User.objects.create(username="ann")


def flow(slug: str = "flow", steps: list[dict[str, Any]] | None = None, **keys: Any) -> Flow:
    steps = steps or [{"id": "rest", "action": "test.pause", "config": {"seconds": 60}}]
    return import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps, **keys})


def outcome() -> list[dict[str, Any]]:
    event = Event.objects.first()
    assert event is not None
    return event.outcome


@pytest.mark.django_db
def test_a_trigger_starts_its_flows_with_the_object_and_the_state(user: User) -> None:
    for slug in ("one", "two"):
        flow(slug, triggers=[{"on": "test.ping"}])
    flow("deaf")

    fire_trigger("test.ping", user, {"source": "web"})

    runs = FlowRun.objects.order_by("id")
    assert [(run.flow.slug, run.object_id, dict(run.state)) for run in runs] == [
        ("one", str(user.pk), {"source": "web"}),
        ("two", str(user.pk), {"source": "web"}),
    ]
    assert [run.trigger for run in runs] == list(Trigger.objects.order_by("id"))
    assert [(each["flow"], each["result"], each["run"]) for each in outcome()] == [
        (run.flow.slug, "started", run.pk) for run in runs
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("object.is_active", {"result": "started"}),
        ("source == 'web'", {"result": "started"}),
        ("not object.is_active", {"result": "refused", "reason": "condition"}),
        ("object.is_activ", {"result": "error"}),
        ("source > 3", {"result": "error"}),
    ],
)
def test_a_condition_decides_and_a_broken_one_is_an_error_of_this_trigger_only(
    user: User, condition: str, result: dict[str, str]
) -> None:
    flow("judged", triggers=[{"on": "test.ping", "condition": condition}])
    flow("other", triggers=[{"on": "test.ping"}])

    fire_trigger("test.ping", user, {"source": "web"})

    judged, other = outcome()
    assert judged.items() >= result.items()
    assert judged["result"] == "started" or judged["detail"]
    assert other["result"] == "started"
    assert FlowRun.objects.filter(flow__slug="judged").count() == (result["result"] == "started")


@pytest.mark.django_db
def test_only_active_triggers_of_active_flows_since_their_date_listen(user: User) -> None:
    flow("off", triggers=[{"on": "test.ping", "active": False}])
    flow("inactive", triggers=[{"on": "test.ping"}], active=False)
    flow(
        "later",
        triggers=[{"on": "test.ping", "active_since": (timezone.now() + timedelta(days=1)).isoformat()}],
    )
    flow(
        "since",
        triggers=[{"on": "test.ping", "active_since": (timezone.now() - timedelta(days=1)).isoformat()}],
    )
    fire_trigger("test.ping", user)
    assert [run.flow.slug for run in FlowRun.objects.all()] == ["since"]


@pytest.mark.django_db
def test_a_naive_active_since_is_refused_and_nothing_is_stored() -> None:
    with pytest.raises(DocumentError, match=r"triggers\[0\].active_since"):
        flow(triggers=[{"on": "test.ping", "active_since": "2026-01-01T00:00:00"}])
    assert not Flow.objects.exists()


@pytest.mark.django_db
def test_a_flow_about_another_model_is_an_error_of_its_trigger_and_not_of_the_caller(user: User) -> None:
    flow(object="auth.group", triggers=[{"on": "test.ping"}])
    fire_trigger("test.ping", user)
    assert outcome()[0]["result"] == "error"
    assert "is about an object of auth.group, and got an object of auth.user" in outcome()[0]["detail"]


@pytest.mark.django_db
def test_a_restarting_trigger_moves_the_objects_live_runs_to_its_step(user: User) -> None:
    steps = [
        {"id": "count", "action": "test.count"},
        {"id": "rest", "action": "test.pause", "config": {"seconds": 60}},
    ]
    registry.register_trigger("test.again")
    flow(
        steps=steps, triggers=[{"on": "test.ping"}, {"on": "test.again", "does": "restart", "step": "count"}]
    )
    for each in (user, User.objects.create(username="ben")):
        fire_trigger("test.ping", each)
    continue_flowruns()

    fire_trigger("test.again", user)
    continue_flowruns()

    assert [dict(run.state) for run in FlowRun.objects.order_by("id")] == [{"n": 2}, {"n": 1}]
    fire_trigger("test.again", User.objects.create(username="cem"))
    assert outcome()[0]["reason"] == "no live run"


@pytest.mark.django_db
def test_a_limited_flow_is_admitted_by_the_worker_and_what_it_refuses_is_recorded(user: User) -> None:
    flow(triggers=[{"on": "test.ping"}], limits={"concurrent_per_object": 1})
    fire_trigger("test.ping", user)
    fire_trigger("test.ping", user)
    continue_flowruns()
    assert [(run.status, run.reason) for run in FlowRun.objects.order_by("id")] == [
        ("waiting", ""),
        ("discarded", "Not started: limit concurrent_per_object=1 is reached."),
    ]


# -- what came of it -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_firing_tells_the_event_and_the_runs_that_were_started_and_restarted(user: User) -> None:
    registry.register_trigger("test.again")
    flow("one", triggers=[{"on": "test.ping"}, {"on": "test.again", "does": "restart"}])
    flow("two", triggers=[{"on": "test.ping", "condition": "source == 'web'"}])

    started = fire_trigger("test.ping", user, {"source": "post"})
    (run,) = FlowRun.objects.all()
    event = Event.objects.get()
    assert started == Fired(event.pk, runs=(run.pk,))

    continue_flowruns()
    restarted = fire_trigger("test.again", user)
    assert restarted == Fired(event.pk + 1, restarted=(run.pk,))
    assert fire_trigger("test.nobody_listens") == Fired(event.pk + 2)


@pytest.mark.django_db
def test_firing_tells_when_nothing_of_the_event_was_kept() -> None:
    flow(triggers=[{"on": "test.ping"}])
    fired = fire_trigger("test.ping", None, {"odd": object()}, key="k")
    assert (fired.runs, fired.is_new) == ((), True)
    assert fired.error.startswith("StateError: odd")
    assert fired.event == Event.objects.get().pk
    assert fire_trigger("test.ping", None, {}, key="k").runs, "what failed may be fired again"


@pytest.mark.django_db
def test_the_same_event_twice_is_one_and_answers_as_the_first_did(user: User) -> None:
    flow(triggers=[{"on": "test.ping"}])
    registry.register_trigger("test.pong")
    first = fire_trigger("test.ping", user, {"n": 1}, key="evt_1")
    again = fire_trigger("test.ping", user, {"n": 2}, key="evt_1")
    assert again == replace(first, is_new=False)
    assert [dict(run.state) for run in FlowRun.objects.all()] == [{"n": 1}]
    others = [
        fire_trigger("test.ping", user, key=key) for key in ("EVT_1", "evt_1 ", "x" * 10_000, None, None)
    ]
    others.append(fire_trigger("test.pong", user, key="evt_1"))
    assert all(other.is_new for other in others), (
        "another key, none, or another trigger type is another event"
    )
    assert (FlowRun.objects.count(), Event.objects.count()) == (6, 7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.every_database
def test_the_same_event_at_once_is_one() -> None:
    flow(triggers=[{"on": "test.ping"}])

    def fire(number: int) -> Fired:
        try:
            return fire_trigger("test.ping", None, {"n": number}, key="evt_1")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(fire, range(40)))
    run = FlowRun.objects.get()
    assert {(one.runs, one.error) for one in told} == {((run.pk,), "")}
    assert [one.is_new for one in told].count(True) == 1
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_key_whose_transaction_was_rolled_back_is_free_again() -> None:
    flow(triggers=[{"on": "test.ping"}])
    with transaction.atomic():
        fire_trigger("test.ping", key="evt_1")
        transaction.set_rollback(True)
    assert fire_trigger("test.ping", key="evt_1").is_new


@pytest.mark.django_db
def test_a_sent_event_wakes_who_waits_for_it_and_starts_nothing() -> None:
    flow(triggers=[{"on": "test.ping"}])
    waits = [{"id": "it", "action": "test.pause", "config": {"event": "test.answer.7"}}]
    early, late = flow("early", waits), flow("late", waits)
    started = [start_flow(early)]
    continue_flowruns()
    sent = send_event("test.answer.7", {"said": "yes"}, key="once")
    started.append(start_flow(late))
    assert sent == Fired(Event.objects.get().pk)
    assert not send_event("test.answer.7", {"said": "no"}, key="once").is_new
    continue_flowruns()
    runs = [FlowRun.objects.get(pk=one.run.pk) for one in started if isinstance(one, Started)]
    assert [(run.status, dict(run.state)) for run in runs] == [
        ("completed", {"woken": {"said": "yes"}}),
        ("waiting", {}),
    ], "what came before a run was made is not its own"
    assert FlowRun.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.every_database
def test_a_time_of_the_database_is_not_before_itself_once_it_was_read() -> None:
    """What happened in the moment in which a run was made happened since: SQLite compares times as text."""
    made = Event.objects.create(name="test.ping", created_at=DatabaseNow())
    made.refresh_from_db()
    at_that_time = Event.objects.filter(created_at__gte=made.created_at, created_at__lte=made.created_at)
    assert at_that_time.get() == made


# -- the caller's transaction ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_rollback_of_the_caller_undoes_all(user: User) -> None:
    flow(triggers=[{"on": "test.ping"}])
    with transaction.atomic():
        fire_trigger("test.ping", user)
        assert FlowRun.objects.count() == 1
        transaction.set_rollback(True)
    assert (FlowRun.objects.count(), Event.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_an_error_in_the_trigger_leaves_the_callers_transaction_intact(
    user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flow(triggers=[{"on": "test.ping"}])

    def broken(*args: Any, **kwargs: Any) -> None:
        # A real error of the database, which on PostgreSQL breaks a transaction without a savepoint.
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")

    monkeypatch.setattr("flowcontrol.engine.triggers._insert", broken)
    with transaction.atomic():
        Group.objects.create(name="before")
        fire_trigger("test.ping", user)
        Group.objects.create(name="after")

    assert Group.objects.count() == 2
    assert not FlowRun.objects.exists()
    assert outcome()[0]["result"] == "error"
    assert "there_is_no_such_table" in outcome()[0]["detail"]
    assert "trigger failed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_trigger_in_a_broken_transaction_says_so_and_raises_nothing(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    flow(triggers=[{"on": "test.ping"}])
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            User.objects.create(username="ann")
        fire_trigger("test.ping", user)
        transaction.set_rollback(True)
    assert "is broken and will be rolled back" in caplog.text


@pytest.mark.django_db
def test_a_payload_that_cannot_be_stored_is_recorded_and_raised_to_nobody(user: User) -> None:
    flow(triggers=[{"on": "test.ping"}])
    fire_trigger("test.ping", user, {"bad": object()})
    assert outcome()[0]["result"] == "error"
    assert "bad" in outcome()[0]["detail"]


@pytest.mark.django_db(transaction=True)
def test_an_event_committed_while_the_run_began_to_wait_still_wakes_it(user: User) -> None:
    flow(
        steps=[{"id": "rest", "action": "test.pause", "config": {"event": "test.ping"}}],
        triggers=[{"on": "test.ping"}],
    )
    fire_trigger("test.ping", user)
    continue_flowruns()
    with transaction.atomic():
        fire_trigger("test.ping", user, {"in": "transaction"})
    continue_flowruns()
    assert dict(FlowRun.objects.order_by("id")[0].state) == {"woken": {"in": "transaction"}}


# -- signals ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_signal_handler_fires_with_the_instance_and_is_not_collected() -> None:
    handler_model = Group
    post_save.connect(
        registry.register_trigger_as_signal_handler("test.group_saved", model=handler_model),
        sender=handler_model,
        dispatch_uid="test",
    )
    try:
        gc.collect()
        flow(object="auth.group", triggers=[{"on": "test.group_saved"}])
        group = Group.objects.create(name="new")
        assert FlowRun.objects.get().object_id == str(group.pk)
    finally:
        post_save.disconnect(sender=handler_model, dispatch_uid="test")


@pytest.mark.django_db
def test_a_registered_trigger_is_a_function_to_call(user: User) -> None:
    paid = registry.register_trigger("test.paid")
    flow(triggers=[{"on": "test.paid"}])
    paid(user, {"amount": 3})
    assert dict(FlowRun.objects.get().state) == {"amount": 3}


# -- cost ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_trigger_of_many_flows_takes_as_many_statements_as_one_of_one(user: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            fire_trigger("test.ping", user)
        return len(captured)

    flow("first", triggers=[{"on": "test.ping"}])
    one = cost()
    for number in range(20):
        flow(f"more_{number}", triggers=[{"on": "test.ping"}])
    many = cost()
    assert FlowRun.objects.count() == 22
    assert many == one <= 12


def works_and_fires() -> None:
    with transaction.atomic():
        Group.objects.create(name="work of the caller")
        fire_trigger("test.ping")


@pytest.mark.django_db(transaction=True)
@pytest.mark.every_database
def test_a_caller_whose_transaction_the_database_has_undone_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow(triggers=[{"on": "test.ping"}])
    record = triggers._record

    def cut_off(*about: Any) -> Any:
        connection.connection.close()
        return record(*about)

    monkeypatch.setattr(triggers, "_record", cut_off)
    with pytest.raises(Error):
        works_and_fires()
    connection.close()
    assert not Group.objects.exists(), "which is why silence would not do"


def deadlock(times: int) -> Any:
    """Work that the database undoes so many times, as MariaDB tells it."""
    tries = iter(range(times))

    def work() -> str:
        if next(tries, None) is not None:
            raise OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
        return "done"

    return work


@pytest.mark.django_db(transaction=True)
def test_what_a_deadlock_undid_is_done_again_and_not_for_ever() -> None:
    assert repeated(deadlock(4)) == "done"
    with pytest.raises(OperationalError, match="1213"):
        repeated(deadlock(5))
    with pytest.raises(OperationalError, match="1213"), transaction.atomic():
        repeated(deadlock(1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_deadlock_of_postgresql_is_known_as_one() -> None:
    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'both wait' USING ERRCODE = 'deadlock_detected'; END $$"
            )

    tries: list[int] = []
    with pytest.raises(OperationalError, match="both wait"):
        repeated(lambda: (tries.append(1), work()))
    assert len(tries) == 5
