"""If, While, For, and the three ways out of a branch: which decision follows from config and state."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flowcontrol.base import BaseAction, Decision, EnterBranch, Next, ReturnToParent, StopFlow
from flowcontrol.base import LeaveBranch as LeaveBranchDecision
from flowcontrol.exceptions import EvaluationError
from flowcontrol_actions_builtin.control import For, If, LeaveBranch, Return, Stop, While
from hypothesis import given
from hypothesis import strategies as st

NAMED = "round_number"


def rounds_of(context: Any, action: BaseAction, limit: int = 1_000) -> list[int]:
    """What the variable is in each round, until the loop is over."""
    seen: list[int] = []
    decision = action.run(context)
    while isinstance(decision, EnterBranch):
        seen.append(decision.variables[NAMED])
        assert len(seen) <= limit
        decision = action.after_branch(context, decision.name)
    assert decision == Next()
    return seen


# --- if -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paid", "branch"), [(True, "steps"), (False, "else"), (0, "else"), ("yes", "steps")]
)
def test_if_enters_its_steps_or_else(visit: Any, paid: object, branch: str) -> None:
    context = visit(If(), {"paid": paid}, condition="paid")
    assert If().run(context) == EnterBranch(branch)


def test_after_either_branch_of_an_if_the_next_step_follows(visit: Any) -> None:
    context = visit(If(), condition="True")
    assert [If().after_branch(context, branch) for branch in If.branches] == [Next(), Next()]


def test_a_condition_over_an_unknown_name_is_an_error_not_false(visit: Any) -> None:
    with pytest.raises(EvaluationError, match="paid"):
        If().run(visit(If(), condition="paid"))


@pytest.mark.parametrize("action", [If(), While()])
def test_if_and_while_need_a_condition(refusals: Any, action: BaseAction) -> None:
    assert set(refusals(action)) == {"condition"}
    assert set(refusals(action, condition="and and")) == {"condition"}


def test_yaml_true_and_false_are_conditions(configured: Any) -> None:
    assert configured(If(), condition=False)["condition"].source == "False"


# --- while --------------------------------------------------------------------------------------------------


def test_while_asks_its_condition_before_each_round(visit: Any) -> None:
    context = visit(While(), {"left": 2}, condition="left > 0")
    decisions = [While().run(context)]
    for left in (1, 0):
        context.state["left"] = left
        decisions.append(While().after_branch(context, "steps"))
    assert decisions == [EnterBranch(), EnterBranch(), Next()]


def test_while_counts_its_rounds_in_the_steps_own_memory(visit: Any) -> None:
    context = visit(While(), {"go": True}, condition="go")
    While().run(context)
    While().after_branch(context, "steps")
    assert context.locals == {"rounds": 2}
    assert dict(context.state) == {"go": True}


def test_while_with_a_false_condition_does_nothing(visit: Any) -> None:
    assert While().run(visit(While(), condition="False")) == Next()


# --- for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ({"end": 3}, [0, 1, 2]),
        ({"start": 1, "end": 4}, [1, 2, 3]),
        ({"start": "1", "end": "6", "step": "2"}, [1, 3, 5]),
        ({"start": 1, "end": 7, "step": 2}, [1, 3, 5]),
        ({"start": 3, "end": 0, "step": -1}, [3, 2, 1]),
        ({"start": 5, "end": -5, "step": -5}, [5, 0]),
        ({"start": 3, "end": 3}, []),
        ({"start": 3, "end": 0}, []),
        ({"start": 0, "end": 3, "step": -1}, []),
        ({"start": "first", "end": "first|add:2"}, [4, 5]),
    ],
)
def test_for_counts_as_range_does_without_its_end(
    visit: Any, config: dict[str, Any], numbers: list[int]
) -> None:
    context = visit(For(), {"first": 4}, variable=NAMED, **config)
    assert rounds_of(context, For()) == numbers


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-9, 9).filter(bool))
def test_a_for_goes_round_as_often_as_range(visit: Any, start: int, end: int, step: int) -> None:
    context = visit(For(), start=start, end=end, step=step, variable=NAMED)
    assert rounds_of(context, For()) == list(range(start, end, step))


def test_the_bounds_of_a_for_are_those_when_it_was_reached(visit: Any) -> None:
    context = visit(For(), {"count": 2}, end="count", variable=NAMED)
    assert For().run(context) == EnterBranch(variables={NAMED: 0})
    context.state["count"] = 100
    assert For().after_branch(context, "steps") == EnterBranch(variables={NAMED: 1})
    assert For().after_branch(context, "steps") == Next()


def test_a_for_keeps_its_counter_out_of_the_state(visit: Any) -> None:
    context = visit(For(), end=2, variable=NAMED)
    For().run(context)
    assert dict(context.state) == {}
    assert context.locals == {"number": 0, "end": 2, "step": 1}


def test_a_for_without_a_variable_shows_its_steps_nothing(visit: Any) -> None:
    assert For().run(visit(For(), end=1)) == EnterBranch(variables={})


@pytest.mark.parametrize("zero", [0, "0", "-0"])
def test_a_step_of_0_is_refused_on_save(refusals: Any, zero: object) -> None:
    assert refusals(For(), end=3, step=zero) == {
        "step": ["A step of 0 never comes to an end; give a positive or negative one."]
    }


def test_a_step_that_turns_out_to_be_0_fails_the_run(visit: Any) -> None:
    with pytest.raises(EvaluationError, match="Step: the expression “pace” gives 0"):
        For().run(visit(For(), {"pace": 0}, end=3, step="pace"))


@pytest.mark.parametrize("field", ["start", "end", "step"])
@pytest.mark.parametrize("literal", ["1.5", 1.0, "'three'", "True", "None"])
def test_a_literal_that_is_no_whole_number_is_refused_on_save(
    refusals: Any, field: str, literal: object
) -> None:
    config: dict[str, object] = {"end": 3} | {field: literal}
    (message,) = refusals(For(), **config)[field]
    assert "where a whole number is needed" in message
    assert str(literal) in message


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Decimal(2), "Decimal"),
        (2.0, "float"),
        ("2", "str"),
        (None, "nothing"),
        (True, "bool"),
        ([], "list"),
    ],
)
def test_a_bound_that_turns_out_to_be_no_whole_number_fails_the_run(
    visit: Any, value: object, named: str
) -> None:
    with pytest.raises(EvaluationError, match=f"End: the expression “count” gives .*{named}.*whole number"):
        For().run(visit(For(), {"count": value}, end="count"))


@pytest.mark.parametrize("name", ["object", "state", "run", "now"])
def test_the_variable_of_a_for_takes_no_reserved_name(refusals: Any, name: str) -> None:
    (message,) = refusals(For(), end=3, variable=name)["variable"]
    assert f"“{name}” has a meaning of its own" in message


@pytest.mark.parametrize("name", ["2nd", "a b", "a.b", "in", "not", "None", "True", "a|b"])
def test_the_variable_of_a_for_is_a_name_that_expressions_can_read(refusals: Any, name: str) -> None:
    (message,) = refusals(For(), end=3, variable=name)["variable"]
    assert f"“{name}” cannot be read in expressions" in message


def test_a_for_needs_an_end(refusals: Any) -> None:
    assert set(refusals(For())) == {"end"}


# --- return, leave branch, stop -----------------------------------------------------------------------------

DEPARTURES: list[tuple[BaseAction, type[Decision]]] = [
    (Return(), ReturnToParent),
    (LeaveBranch(), LeaveBranchDecision),
    (Stop(), StopFlow),
]


@pytest.mark.parametrize(("action", "decision"), DEPARTURES)
def test_a_way_out_without_a_condition_is_always_taken(
    visit: Any, action: BaseAction, decision: type[Decision]
) -> None:
    assert action.run(visit(action)) == decision()


@pytest.mark.parametrize(("action", "decision"), DEPARTURES)
def test_a_way_out_with_a_condition_is_taken_when_it_is_true(
    visit: Any, action: BaseAction, decision: type[Decision]
) -> None:
    assert isinstance(action.run(visit(action, {"count": 4}, condition="count > 3")), decision)
    assert action.run(visit(action, {"count": 3}, condition="count > 3")) == Next()


def test_a_stop_on_a_condition_says_which(visit: Any) -> None:
    context = visit(Stop(), {"count": 4}, condition="count > 3")
    assert Stop().run(context) == StopFlow("The condition is true: count > 3")


# --- in words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "config", "words"),
    [
        (If(), {"condition": "a > 1"}, "If a > 1"),
        (While(), {"condition": "a > 1"}, "While a > 1"),
        (For(), {"end": 3}, "From 0 to 3, the end not counted"),
        (
            For(),
            {"start": 9, "end": 0, "step": -3, "variable": "left"},
            "left: From 9 to 0, the end not counted, in steps of -3",
        ),
        (Return(), {}, ""),
        (Stop(), {"condition": "a > 1"}, "If a > 1"),
    ],
)
def test_a_step_says_in_words_what_it_does(
    configured: Any, action: BaseAction, config: Any, words: str
) -> None:
    assert action.summary(configured(action, **config)) == words
