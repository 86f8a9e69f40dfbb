"""Set state and update state: what is written, literally or evaluated, and what is refused on save."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from flowcontrol.base import BaseAction, Next
from flowcontrol.exceptions import EvaluationError
from flowcontrol_actions_builtin.state import SetState, UpdateState
from hypothesis import given
from hypothesis import strategies as st

BOTH = pytest.mark.parametrize("action", [SetState(), UpdateState()])


def test_set_state_replaces_the_whole_state(visit: Any) -> None:
    context = visit(SetState(), {"old": 1, "both": 2}, state={"both": 3, "new": "text"})
    assert SetState().run(context) == Next()
    assert dict(context.state) == {"both": 3, "new": "text"}


def test_set_state_to_nothing_empties_it(visit: Any) -> None:
    context = visit(SetState(), {"old": 1}, state={})
    SetState().run(context)
    assert dict(context.state) == {}


def test_update_state_keeps_what_it_does_not_name(visit: Any) -> None:
    context = visit(UpdateState(), {"old": 1, "both": 2}, state={"both": 3, "new": None})
    assert UpdateState().run(context) == Next()
    assert dict(context.state) == {"old": 1, "both": 3, "new": None}


def test_update_state_replaces_a_nested_object_as_a_whole(visit: Any) -> None:
    context = visit(
        UpdateState(), {"address": {"city": "Graz", "zip": "8010"}}, state={"address": {"city": "Wien"}}
    )
    UpdateState().run(context)
    assert context.state["address"] == {"city": "Wien"}


@BOTH
def test_strings_are_literal_unless_evaluate_is_set(visit: Any, action: BaseAction) -> None:
    context = visit(action, state={"text": "1 and 2", "nested": ["{{ x }}"]})
    action.run(context)
    assert dict(context.state) == {"text": "1 and 2", "nested": ["{{ x }}"]}


@BOTH
def test_every_string_is_an_expression_when_evaluated_in_nested_values_too(
    visit: Any, action: BaseAction
) -> None:
    context = visit(
        action,
        {"count": 4, "who": "Ada"},
        state={"big": "count > 3", "list": ["who", {"deep": "'text'", "number": 5}], "none": None},
        evaluate=True,
    )
    action.run(context)
    new = {key: context.state[key] for key in ("big", "list", "none")}
    assert new == {"big": True, "list": ["Ada", {"deep": "text", "number": 5}], "none": None}


@BOTH
def test_all_is_evaluated_before_anything_is_written(visit: Any, action: BaseAction) -> None:
    context = visit(action, {"a": 1, "b": 2}, state={"a": "b", "b": "a"}, evaluate=True)
    action.run(context)
    assert dict(context.state) == {"a": 2, "b": 1}


@BOTH
def test_one_bad_expression_leaves_the_state_as_it_was(visit: Any, action: BaseAction) -> None:
    context = visit(action, {"a": 1}, state={"a": "a|add:1", "b": "nowhere"}, evaluate=True)
    with pytest.raises(EvaluationError, match="nowhere"):
        action.run(context)
    assert dict(context.state) == {"a": 1}


@BOTH
def test_what_is_evaluated_keeps_its_type(visit: Any, action: BaseAction) -> None:
    context = visit(action, state={"started": "now"}, evaluate=True)
    action.run(context)
    assert isinstance(context.state["started"], datetime)


@BOTH
def test_changing_the_state_changes_neither_the_configuration_nor_another_key(
    visit: Any, action: BaseAction
) -> None:
    context = visit(action, state={"list": [1]})
    action.run(context)
    context.state["list"].append(2)
    assert context.config["state"] == {"list": [1]}
    copying = visit(action, {"list": [1]}, state={"list": "list", "copy": "list"}, evaluate=True)
    action.run(copying)
    copying.state["list"].append(2)
    assert copying.state["copy"] == [1]


@BOTH
@pytest.mark.parametrize("key", ["object", "state", "run", "now"])
def test_a_reserved_key_is_refused_on_save_because_it_could_not_be_read(
    refusals: Any, action: BaseAction, key: str
) -> None:
    (message,) = refusals(action, state={key: 1})["state"]
    assert f"The key “{key}” could not be read" in message


@BOTH
def test_all_that_is_wrong_with_a_state_is_said_at_once(refusals: Any, action: BaseAction) -> None:
    messages = refusals(action, state={"now": 1, "run": 2, "text": "1 and"}, evaluate=True)["state"]
    assert [message.split()[2 if message.startswith("The key") else 0] for message in messages] == [
        "“now”",
        "“run”",
        "text:",
    ]


@BOTH
def test_a_key_that_is_no_name_is_allowed(visit: Any, action: BaseAction) -> None:
    context = visit(action, state={"first name": 1})
    action.run(context)
    assert context.state["first name"] == 1


@BOTH
def test_each_bad_expression_is_named_with_its_place(refusals: Any, action: BaseAction) -> None:
    messages = refusals(action, state={"a": "1 and", "b": {"c": ["ok", "or"]}}, evaluate=True)["state"]
    assert [message.partition(":")[0] for message in messages] == ["a", "b.c[1]"]


@BOTH
@pytest.mark.parametrize("state", [[1], "text", 5, None])
def test_the_state_is_an_object(refusals: Any, action: BaseAction, state: object) -> None:
    assert set(refusals(action, state=state)) == {"state"}


@BOTH
def test_a_value_that_a_state_cannot_hold_is_refused_on_save(refusals: Any, action: BaseAction) -> None:
    (message,) = refusals(action, state={"prices": [1.5, float("nan")]})["state"]
    assert "prices[1]" in message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab$ é"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$", max_size=3), inner, max_size=3)
    ),
)
states = st.dictionaries(st.text("abc$ ", min_size=1, max_size=4), json_values, max_size=4)


@given(states, states)
def test_update_is_that_of_dict_for_all_states(visit: Any, before: Any, given_state: Any) -> None:
    context = visit(UpdateState(), before, state=given_state)
    UpdateState().run(context)
    assert dict(context.state) == before | given_state


@given(states, states)
def test_set_leaves_exactly_what_was_given(visit: Any, before: Any, given_state: Any) -> None:
    context = visit(SetState(), before, state=given_state)
    SetState().run(context)
    assert list(context.state.items()) == list(given_state.items())


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        (SetState(), {"a": 1, "b": 2}, "Set the state to just a, b"),
        (SetState(), {}, "Empty the state"),
        (UpdateState(), {"a": 1, "b": 2}, "Set a, b"),
        (UpdateState(), {}, ""),
    ],
)
def test_a_step_says_in_words_which_keys_it_sets(
    configured: Any, action: BaseAction, state: dict[str, Any], words: str
) -> None:
    assert action.summary(configured(action, state=state)) == words
