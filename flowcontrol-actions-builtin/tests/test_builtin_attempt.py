"""Try: which branch follows on what, and what becomes of a failure that nobody deals with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings
from flowcontrol import registry
from flowcontrol.base import ActionContext, BaseAction, EnterBranch, Fail, Failure, Next
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, execute_run, restart_run, start_flow
from flowcontrol.models import FlowRun
from flowcontrol_actions_builtin.attempt import Try

FAILURE = Failure("charge", "Charge the card", "TimeoutError", "no answer", 3)
IN_ERROR = replace(FAILURE, branch="error")
SEEN = {
    "step": "charge",
    "name": "Charge the card",
    "type": "TimeoutError",
    "message": "no answer",
    "attempt": 3,
}
IN_WORDS = 'Step "Charge the card" (charge) failed: TimeoutError: no answer'


@pytest.fixture
def attempt(visit: Any) -> Any:
    """The step with steps in these branches."""

    def attempt(*branches: str) -> Any:
        context = visit(Try())
        context.branches = frozenset(branches)
        return context

    return attempt


# --- the action alone ---------------------------------------------------------------------------------------


def test_it_enters_its_steps_and_goes_on_behind_them(attempt: Any) -> None:
    context = attempt("steps", "error")
    assert Try().run(context) == EnterBranch("steps")
    assert Try().after_branch(context, "steps") == Next()


def test_finally_follows_on_steps_that_went_well(attempt: Any) -> None:
    context = attempt("steps", "error", "finally")
    Try().run(context)
    assert Try().after_branch(context, "steps") == EnterBranch("finally")
    assert Try().after_branch(context, "finally") == Next()


def test_the_steps_of_error_see_why_and_the_run_goes_on_behind(attempt: Any) -> None:
    context = attempt("steps", "error")
    Try().run(context)
    assert Try().after_failure(context, FAILURE) == EnterBranch("error", {"error": SEEN})
    assert Try().after_branch(context, "error") == Next()


def test_finally_follows_on_a_failure_that_was_dealt_with(attempt: Any) -> None:
    context = attempt("steps", "error", "finally")
    Try().run(context)
    Try().after_failure(context, FAILURE)
    assert Try().after_branch(context, "error") == EnterBranch("finally")
    assert Try().after_branch(context, "finally") == Next()


@pytest.mark.parametrize(
    ("failure", "words"),
    [(FAILURE, IN_WORDS), (Failure("s", "S", "Fail", "no stock"), 'Step "S" (s) failed: no stock')],
)
def test_without_steps_for_errors_finally_comes_first_and_then_the_failure_in_its_own_words(
    attempt: Any, failure: Failure, words: str
) -> None:
    context = attempt("steps", "finally")
    Try().run(context)
    assert Try().after_failure(context, failure) == EnterBranch("finally")
    assert Try().after_branch(context, "finally") == Fail(words)


def test_finally_comes_before_a_failure_of_the_steps_for_errors(attempt: Any) -> None:
    context = attempt("steps", "error", "finally")
    Try().run(context)
    Try().after_failure(context, Failure("first", "First", "ValueError", "bad"))
    assert Try().after_failure(context, IN_ERROR) == EnterBranch("finally")
    assert Try().after_branch(context, "finally") == Fail(IN_WORDS)


@pytest.mark.parametrize(
    ("branches", "failed"),
    [
        (["steps"], "steps"),
        (["steps", "error"], "error"),
        (["steps", "finally"], "finally"),
        (["steps", "error", "finally"], "finally"),
    ],
)
def test_a_failure_goes_on_outwards_at_once_where_nothing_is_left_to_do(
    attempt: Any, branches: list[str], failed: str
) -> None:
    assert Try().after_failure(attempt(*branches), replace(FAILURE, branch=failed)) is None


# --- in a run -----------------------------------------------------------------------------------------------


class Unwell(Exception):
    pass


class Flaky(BaseAction):
    """Touches the world, and fails as often as it was told to."""

    name = "tests.flaky"
    failures = 0

    def run(self, context: ActionContext) -> None:
        context.state["half"] = "done"
        if Flaky.failures:
            Flaky.failures -= 1
            raise Unwell(f"try {context.attempt}")


@pytest.fixture(autouse=True)
def _flaky() -> Any:
    with registry.preserved():
        registry.register_action(Flaky)
        Flaky.failures = 0
        yield


def mark(name: str) -> dict[str, Any]:
    state = {"trace": f"trace|add:'{name} '"}
    return {"id": name, "action": "builtin.update_state", "config": {"evaluate": True, "state": state}}


def tried(*steps: Any, **branches: Any) -> dict[str, Any]:
    named = {name: list(inside) for name, inside in branches.items()}
    return {"id": "try", "action": "builtin.try", "steps": list(steps), "branches": named}


FLAKY = {"id": "flaky", "action": "tests.flaky"}
SEE = {
    "id": "see",
    "action": "builtin.update_state",
    "config": {"evaluate": True, "state": {"why": "error.message", "where": "error.step"}},
}


def executed(*steps: Any, **keys: Any) -> FlowRun:
    import_flow({"flowcontrol": 1, "slug": "flow", "name": "Flow", **keys, "steps": list(steps)})
    return execute_run(start_flow("flow", state={"trace": ""}).run)


pytestmark = pytest.mark.django_db


def test_a_run_deals_with_a_failure_and_goes_on_with_the_state_as_before_the_failed_step() -> None:
    Flaky.failures = 1
    run = executed(tried(mark("a"), FLAKY, mark("b"), error=[SEE], **{"finally": [mark("c")]}), mark("d"))
    assert (run.status, run.reason) == ("completed", "")
    assert dict(run.state) == {"trace": "a c d ", "why": "try 1", "where": "flaky"}


def test_a_run_in_which_nothing_fails_passes_the_steps_for_errors_over() -> None:
    run = executed(tried(mark("a"), FLAKY, error=[mark("b")], **{"finally": [mark("c")]}), mark("d"))
    assert (run.status, dict(run.state)) == ("completed", {"trace": "a c d ", "half": "done"})


def test_a_failure_that_nobody_deals_with_fails_the_run_after_finally_in_its_own_words() -> None:
    Flaky.failures = 1
    run = executed(tried(FLAKY, **{"finally": [mark("c")]}), mark("d"))
    assert (run.status, dict(run.state)) == ("failed", {"trace": "c "})
    assert 'Step "Flaky" (flaky) failed: Unwell: try 1' in run.reason


def test_a_failure_inside_is_dealt_with_by_the_next_try_outwards() -> None:
    Flaky.failures = 2
    inner = {**tried(FLAKY, error=[mark("a"), {**FLAKY, "id": "again"}]), "id": "inner"}
    run = executed(tried(inner, error=[SEE]))
    assert (run.status, run.state["why"], run.state["where"]) == ("completed", "try 1", "again")


def test_tries_come_before_the_steps_for_errors() -> None:
    Flaky.failures = 2
    retrying = {**FLAKY, "retry": {"attempts": 2, "delay": 0}}
    run = executed(tried(retrying, error=[SEE]))
    assert (run.status, run.state["trace"]) == ("waiting", "")
    continue_flowruns(now=run.wait_until)
    run.refresh_from_db()
    assert (run.status, run.state["why"]) == ("completed", "try 2")


def test_a_try_after_a_failure_that_goes_well_asks_nobody() -> None:
    Flaky.failures = 1
    run = executed(tried({**FLAKY, "retry": {"attempts": 2, "delay": 0}}, error=[SEE]))
    continue_flowruns(now=run.wait_until)
    run.refresh_from_db()
    assert (run.status, dict(run.state)) == ("completed", {"trace": "", "half": "done"})


@pytest.mark.parametrize("way", ["return", "leave_branch"])
def test_every_way_out_of_a_branch_leads_through_finally(way: str) -> None:
    run = executed(
        tried({"id": "out", "action": f"builtin.{way}"}, mark("a"), **{"finally": [mark("c")]}), mark("d")
    )
    assert (run.status, run.state["trace"]) == ("completed", "c d ")


def test_stop_ends_the_run_without_finally() -> None:
    run = executed(tried({"id": "end", "action": "builtin.stop"}, **{"finally": [mark("c")]}), mark("d"))
    assert (run.status, run.state["trace"]) == ("stopped", "")


def test_steps_for_errors_may_wait_and_still_read_the_error() -> None:
    Flaky.failures = 1
    pause = {"id": "pause", "action": "builtin.delay", "config": {"seconds": 60}}
    run = executed(tried(FLAKY, error=[pause, SEE]))
    assert run.status == "waiting"
    continue_flowruns(now=run.wait_until)
    run.refresh_from_db()
    assert (run.status, run.state["why"]) == ("completed", "try 1")


@override_settings(FLOWCONTROL={"MAX_STEPS": 100})
def test_too_many_steps_are_no_failure_that_could_be_dealt_with() -> None:
    loop = {
        "id": "loop",
        "action": "builtin.while",
        "config": {"condition": "True"},
        "steps": [tried(error=[mark("a")])],
    }
    run = executed(loop)
    assert run.status == "failed"
    assert "MAX_STEPS" in run.reason


def test_a_run_restarted_at_a_step_inside_is_tried_again_from_there() -> None:
    Flaky.failures = 1
    run = executed(tried(mark("a"), FLAKY, **{"finally": [mark("c")]}), mark("d"))
    assert run.status == "failed"
    restart_run(run, "flaky")
    continue_flowruns()
    run.refresh_from_db()
    assert (run.status, run.state["trace"]) == ("completed", "a c c d ")


def test_a_run_restarted_at_a_step_for_errors_that_fails_does_not_go_there_again() -> None:
    Flaky.failures = 1
    run = executed(tried(FLAKY, error=[mark("a"), {**FLAKY, "id": "again"}, mark("b")]))
    assert (run.status, run.state["trace"]) == ("completed", "a b ")
    Flaky.failures = 1
    restart_run(run, "again")
    continue_flowruns()
    run.refresh_from_db()
    assert (run.status, run.step, run.state["trace"]) == ("failed", "again", "a b ")
