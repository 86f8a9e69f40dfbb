"""The schedulers of the core, held to the contract; and how one is chosen, given options and asked how it is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import TestCase, override_settings
from django.utils import timezone
from engine_actions import ACTIONS, CALLS
from flowcontrol import registry, tasks
from flowcontrol.base import BaseAction
from flowcontrol.documents import import_flow
from flowcontrol.engine import (
    Route,
    continue_flowruns,
    count_due,
    restart_run,
    routes,
    seconds_until_due,
    start_flow,
    tidy,
)
from flowcontrol.engine.inline import InlineScheduler
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.management.diagnosis import Level, diagnose
from flowcontrol.models import Event, FlowRun, Worker
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.registry import SchedulerSpec
from flowcontrol.schedulers import BaseScheduler, SchedulerHealth, forget_scheduler, get_scheduler
from flowcontrol.testing import SchedulerConformance
from flowcontrol_tests.databases import chosen

#: Draining is what takes long; where no server was set up, less will do.
MANY = 1_000 if chosen().name == "sqlite" else 10_000


@pytest.mark.every_database
class TestPolling(SchedulerConformance):
    scheduler = "polling"
    options: ClassVar[dict[str, Any]] = {"poll_seconds": 0.2}
    many = MANY


@pytest.mark.every_database
class TestPollingInThreads(SchedulerConformance):
    scheduler = "polling"
    options: ClassVar[dict[str, Any]] = {"poll_seconds": 0.2, "threads": 4}
    many = 500


@pytest.mark.every_database
class TestInline(SchedulerConformance):
    scheduler = "inline"
    many = MANY

    def tick(self) -> None:
        continue_flowruns()


class Deaf(BaseScheduler):
    """Hears nothing and does nothing."""

    name = "deaf"

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        pass

    def health(self) -> SchedulerHealth:
        return SchedulerHealth(False, "Nobody is there.")


class Raising(Deaf):
    """Raises whenever it is told of a run."""

    name = "raising"

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        raise OSError("no connection")


class Reckless(Deaf):
    """Does everything twice, and at once, whoever asks."""

    name = "reckless"

    def health(self) -> SchedulerHealth:
        return SchedulerHealth(True, "Never better.")

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        new = [run_id for run_id in run_ids if run_id not in self.seen]
        self.seen.update(new)
        continue_flowruns(run_ids=new)
        for run_id in FlowRun.objects.filter(pk__in=new).values_list("pk", flat=True):
            restart_run(run_id)
        continue_flowruns(run_ids=new)


class TestTheKitFindsOneThatDoesNothing(SchedulerConformance):
    scheduler = "deaf"
    patience_seconds = 0.2
    many = 1
    expected_failures: ClassVar[dict[str, str]] = {
        name: "it does nothing" for name in vars(SchedulerConformance) if name.startswith("test_")
    }


class TestTheKitFindsOneThatExecutesTwice(SchedulerConformance):
    scheduler = "reckless"
    patience_seconds = 0.2
    many = 1
    #: Those that are left ask for no more than that a run is executed.
    expected_failures: ClassVar[dict[str, str]] = {
        name: "it executes twice"
        for name in vars(SchedulerConformance)
        if name.startswith("test_")
        and not name.startswith(("test_lost", "test_many", "test_a_clock", "test_its_health"))
    }

    def tick(self) -> None:
        continue_flowruns()


@pytest.fixture
def use(settings: Any) -> Callable[..., BaseScheduler]:
    """Choose a scheduler, with options."""

    def choose(name: str, **options: Any) -> BaseScheduler:
        settings.FLOWCONTROL = {"SCHEDULER": name, "SCHEDULERS": {name: options} if options else {}}
        forget_scheduler()
        return get_scheduler()

    yield choose
    forget_scheduler()


@pytest.fixture(autouse=True)
def _actions() -> Any:
    with registry.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        for one in (Deaf, Raising, Reckless):
            registry.schedulers.register(SchedulerSpec(one.name, one), "a test")
        CALLS.clear()
        yield


def flow(slug: str, *steps: dict[str, Any], **more: Any) -> None:
    import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": list(steps), **more})


def start(slug: str) -> FlowRun:
    run: FlowRun = start_flow(slug).run  # type: ignore[union-attr]
    return run


# -- the kit -----------------------------------------------------------------------------------------------------


def test_a_test_of_the_contract_cannot_be_overridden() -> None:
    with pytest.raises(ConfigurationError, match="overrides test_many_runs_are_drained"):
        type("TestMine", (SchedulerConformance,), {"test_many_runs_are_drained": lambda self: None})


@pytest.mark.parametrize("failures", [{"test_nothing": "why"}, {"test_many_runs_are_drained": " "}])
def test_an_expected_failure_is_one_of_the_tests_and_has_a_reason(failures: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="every test needs a reason"):
        type("TestMine", (SchedulerConformance,), {"expected_failures": failures})


# -- choosing one ------------------------------------------------------------------------------------------------


def test_options_reach_the_scheduler(use: Callable[..., Any]) -> None:
    scheduler = use("polling", poll_seconds=3, threads=2, queues=["mail"], batch=7)
    options = scheduler.options
    assert (options.poll_seconds, options.threads, options.queues, options.batch) == (3.0, 2, ("mail",), 7)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"thread": 3}, "does not know. Did you mean “threads”?"),
        ({"threads": -1}, '["polling"]["threads"] is -1; it has to be a whole number, 0 or more.'),
        ({"threads": True}, "is True; it has to be a whole number"),
        ({"poll_seconds": 0}, "is 0; it has to be seconds, more than 0."),
        ({"queues": "mail"}, "is 'mail'; it has to be a list of queues."),
        ({"batch": 0}, "is 0; it has to be a whole number, 1 or more, or None."),
    ],
)
def test_an_option_that_cannot_be_used_is_named_and_found_by_the_check(
    options: dict[str, Any], says: str
) -> None:
    with override_settings(FLOWCONTROL={"SCHEDULERS": {"polling": options}}):
        forget_scheduler()
        with pytest.raises(ConfigurationError) as raised:
            get_scheduler()
        assert says in str(raised.value)
        found = [message for message in run_checks(tags=["flowcontrol"]) if message.id == "flowcontrol.E011"]
        assert [message.msg for message in found] == [str(raised.value)]
    forget_scheduler()


@pytest.mark.parametrize("value", [["polling"], {"polling": 3}, {"polling": {1: 2}}])
def test_options_that_are_no_mapping_are_refused_with_what_they_have_to_be(value: Any) -> None:
    with override_settings(FLOWCONTROL={"SCHEDULERS": value}):
        (error,) = [each for each in run_checks(tags=["flowcontrol"]) if each.id == "flowcontrol.E008"]
    assert "mapping of a scheduler's name to a mapping of its options" in error.msg


def test_options_of_a_scheduler_that_is_not_in_use_are_left_alone() -> None:
    with override_settings(FLOWCONTROL={"SCHEDULERS": {"celery": {"anything": 1}}}):
        assert [each for each in run_checks(tags=["flowcontrol"]) if each.id == "flowcontrol.E011"] == []


def test_a_scheduler_without_options_says_so(use: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"It has no options\."):
        use("inline", speed=3)


@pytest.fixture
def no_plugins() -> Iterator[None]:
    with isolated_plugins(entries=[]):
        yield


@pytest.mark.usefixtures("no_plugins")
def test_the_task_is_that_of_the_scheduler_in_use() -> None:
    registry.schedulers.register(SchedulerSpec("other", Deaf, task="builtins:repr"), "a test")
    assert tasks.continue_flowruns_task("a") == "'a'"
    registry.schedulers.register(SchedulerSpec("mine", Deaf, task="builtins:len"), "a test")
    with override_settings(FLOWCONTROL={"SCHEDULER": "mine"}):
        assert tasks.continue_flowruns_task("abc") == 3


@pytest.mark.usefixtures("no_plugins")
def test_without_a_task_it_is_said_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="pip install flowcontrol-celery"):
        tasks.continue_flowruns_task.delay()


@pytest.mark.django_db(transaction=True)
def test_an_error_of_the_scheduler_is_logged_and_not_raised_to_whoever_starts_a_run(
    use: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    use("raising")
    flow("a", {"id": "c", "action": "test.count"})
    assert start("a").status == "pending"
    assert "no connection" in caplog.text


# -- inline ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_inline_a_run_is_done_when_start_flow_returns(use: Callable[..., Any]) -> None:
    assert isinstance(use("inline"), InlineScheduler)
    flow("a", {"id": "c", "action": "test.count"})
    run = start("a")
    run.refresh_from_db()
    assert (run.status, run.state) == ("completed", {"n": 1})


class TestInlineInATestCase(TestCase):
    def test_callbacks_of_the_commit_are_what_executes(self) -> None:
        with override_settings(FLOWCONTROL={"SCHEDULER": "inline"}):
            flow("a", {"id": "c", "action": "test.count"})
            with self.captureOnCommitCallbacks(execute=True):
                run = start("a")
            run.refresh_from_db()
        assert run.status == "completed"


class Starts(BaseAction):
    """Starts a run of the flow "inner", in a transaction of its own."""

    name = "test.starts"

    def run(self, context: Any) -> None:
        start_flow("inner")


@pytest.mark.django_db(transaction=True)
def test_inline_a_run_that_another_one_starts_is_executed_after_it_and_not_inside(
    use: Callable[..., Any],
) -> None:
    use("inline")
    registry.register_action(Starts)
    flow("inner", {"id": "inner", "action": "test.call"})
    flow("outer", {"id": "starts", "action": "test.starts"}, {"id": "outer", "action": "test.call"})
    start("outer")
    assert [call["step"] for call in CALLS] == ["outer", "inner"]
    assert {run.status for run in FlowRun.objects.all()} == {"completed"}


# -- polling -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_polling_is_well_as_long_as_a_worker_is_at_work(use: Callable[..., Any]) -> None:
    scheduler = use("polling")
    health = scheduler.health()
    assert (health.is_well, health.facts) == (False, {"workers": 0})
    assert "manage.py flowcontrol worker" in health.hint
    scheduler.start()
    scheduler.start()
    try:
        limit, pause = time.monotonic() + 30, threading.Event()
        while not scheduler.health().is_well:
            assert time.monotonic() < limit, "it never said that it is well"
            pause.wait(0.02)
        assert scheduler.health().facts == {"workers": 1}, "the second start started nothing"
    finally:
        assert scheduler.stop(20)
    assert Worker.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_doctor_asks_the_scheduler_how_it_is(use: Callable[..., Any]) -> None:
    use("deaf")
    found = [finding for finding in diagnose() if finding.area == "scheduler"]
    assert [(finding.level, finding.text) for finding in found] == [(Level.WARNING, "Nobody is there.")]


@pytest.mark.django_db(transaction=True)
def test_the_command_health_has_an_exit_code_and_says_what_to_do(
    use: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    use("polling")
    with pytest.raises(SystemExit) as left:
        call_command("flowcontrol", "health")
    assert left.value.code == 1
    assert capsys.readouterr().out == (
        "not well  polling: No worker is at work.\n-> manage.py flowcontrol worker, or flowcontrol tick by cron.\n"
    )
    use("inline")
    call_command("flowcontrol", "health", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["scheduler"], told["is_well"], told["facts"]) == ("inline", True, {})


# -- what schedulers build on ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.every_database
@pytest.mark.parametrize("threads", [0, 2])
def test_only_the_runs_that_are_asked_for_are_executed(threads: int) -> None:
    flow("a", {"id": "c", "action": "test.call"})
    runs = [start("a").pk for _ in range(10)]
    chosen = runs[::2]
    summary = continue_flowruns(run_ids=[*chosen, max(runs) + 1], threads=threads, batch=2)
    assert summary.executed == 5
    assert (
        list(FlowRun.objects.filter(status="completed").order_by("pk").values_list("pk", flat=True)) == chosen
    )
    assert continue_flowruns(run_ids=[]).executed == 0
    assert FlowRun.objects.filter(status="pending").count() == 5


def test_runs_and_queues_together_are_refused() -> None:
    with pytest.raises(ValueError, match="Either run_ids or queues"):
        continue_flowruns(run_ids=[1], queues=["mail"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.every_database
def test_routes_and_counts_are_those_of_the_flows(django_assert_num_queries: Any) -> None:
    step = {"id": "c", "action": "test.count"}
    flow("plain", step)
    flow("mail", step, queue="mail")
    flow("urgent", step, queue="mail", priority=5)
    plain, mail, urgent = start("plain").pk, start("mail").pk, start("urgent").pk
    with django_assert_num_queries(1):
        found = routes([plain, mail, urgent])
    assert list(found.items()) == [
        (Route("mail", 5), [urgent]),
        (Route("default", 0), [plain]),
        (Route("mail", 0), [mail]),
    ]
    with django_assert_num_queries(1):
        assert count_due(100) == {"default": 1, "mail": 2}
    assert sum(count_due(2).values()) == 2
    continue_flowruns(queues=["mail"])
    assert count_due(100) == {"default": 1}
    late = seconds_until_due()
    assert late is not None
    assert late <= 0


@pytest.mark.django_db(transaction=True)
def test_tidying_deletes_what_is_too_old_and_wakes_what_was_missed() -> None:
    Event.objects.create(name="test.old", created_at=timezone.now() - timedelta(days=40))
    assert tidy() == 1
    assert tidy(seconds=0) == 0
