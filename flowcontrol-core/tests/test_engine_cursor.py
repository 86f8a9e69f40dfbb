"""The cursor is pure: positions survive being stored, and decisions lead where the tree says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest
from flowcontrol.base import BaseAction, EnterBranch, LeaveBranch, Next, ReturnToParent, Wait
from flowcontrol.documents.program import Limits, Node, Program
from flowcontrol.engine import cursor
from flowcontrol.engine.cursor import Ending, Frame, Position, PositionGone
from hypothesis import given
from hypothesis import strategies as st

Tree = list[Any]


class _Action(BaseAction):
    branches = ("steps",)


class _Try(_Action):
    catches_failures = True
    keeps_leaving = True


def program(tree: Tree) -> Program:
    """A program of steps named by their place: a step is the list of the steps inside it."""
    nodes: list[Node] = []

    def add(steps: Tree, parent: int | None, name: str) -> int | None:
        indexes = []
        for number, inside in enumerate(steps):
            index = len(nodes)
            indexes.append(index)
            id_ = f"{name}_{number}" if name else f"s{number}"
            node = Node(index, id_, id_, "test.any", _Action(), {}, parent, "steps" if name else "", None, {})
            nodes.append(node)
            first = add(inside, index, id_)
            nodes[index] = replace(node, branches={"steps": first})
        for index, following in pairwise(indexes):
            nodes[index] = replace(nodes[index], next=following)
        return indexes[0] if indexes else None

    first = add(tree, None, "")
    return Program("flow", tuple(nodes), first, {node.id: node.index for node in nodes}, "", None, Limits())


trees = st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=4), max_leaves=30)
plain = st.dictionaries(
    st.text(max_size=5),
    st.integers() | st.text(max_size=5) | st.datetimes(timezones=st.just(UTC)),
    max_size=3,
)


def visited(of: Program, decide: Any) -> list[str]:
    """Ids of the steps asked, in order."""
    asked = []
    position = cursor.begin(of)
    while isinstance(position, Position):
        asked.append(f"{of.nodes[position.node].id}:{position.phase}")
        position = cursor.advance(of, position, decide(position))
    return asked


@given(trees)
def test_entering_every_branch_asks_each_step_before_and_after_what_is_inside(tree: Tree) -> None:
    of = program(tree)

    def walk(steps: Tree, name: str) -> list[str]:
        told = []
        for number, inside in enumerate(steps):
            id_ = f"{name}_{number}" if name else f"s{number}"
            told += [f"{id_}:run", *walk(inside, id_), f"{id_}:branch"]
        return told

    def enter(position: Position) -> Any:
        return EnterBranch() if position.phase == cursor.RUN else Next()

    assert visited(of, enter) == walk(tree, "")


@given(trees, st.data())
def test_every_position_of_every_step_survives_being_stored(tree: Tree, data: st.DataObject) -> None:
    of = program(tree)
    for node in of.nodes:
        position = cursor.place(of, node.id)
        frames = tuple(
            frame._replace(locals=data.draw(plain), variables=data.draw(plain)) for frame in position.frames
        )
        phases = [cursor.RUN, cursor.BRANCH, cursor.WAIT, cursor.FAILURE]
        tries = data.draw(st.sampled_from([1, 2, 17])), data.draw(st.sampled_from([0, 3]))
        position = Position(frames, data.draw(st.sampled_from(phases)), "steps", *tries)
        assert cursor.load(of, cursor.dump(of, position)) == position


@given(trees)
def test_a_step_placed_by_hand_goes_on_as_if_it_had_been_reached(tree: Tree) -> None:
    of = program(tree)
    reached: dict[str, Position] = {}
    position: Position | Ending = cursor.begin(of)
    while isinstance(position, Position):
        if position.phase == cursor.RUN:
            reached[of.nodes[position.node].id] = position
        position = cursor.advance(of, position, EnterBranch() if position.phase == cursor.RUN else Next())
    assert {node.id: cursor.place(of, node.id) for node in of.nodes} == reached


@given(trees)
def test_a_step_placed_near_another_keeps_the_rounds_around_both(tree: Tree) -> None:
    of = program(tree)
    for stands in of.nodes:
        position = cursor.place(of, stands.id)
        position = Position(
            tuple(
                frame._replace(entries=7, locals={"number": frame.node}) if frame.branch else frame
                for frame in position.frames
            )
        )
        for node in of.nodes:
            placed = cursor.place(of, node.id, position).frames
            shared = 0
            while (
                shared < min(len(placed), len(position.frames)) - 1
                and placed[shared].node == position.frames[shared].node
            ):
                shared += 1
            assert placed[:shared] == position.frames[:shared]
            assert all((frame.entries, frame.locals) == (1, {}) for frame in placed[shared:-1])
            assert (placed[-1].node, placed[-1].entries) == (node.index, 0)


def test_variables_reach_the_steps_inside_and_no_others() -> None:
    of = program([[[], []], []])
    outer = cursor.advance(of, cursor.begin(of), EnterBranch(variables={"i": 1}))
    assert isinstance(outer, Position)
    second = cursor.advance(of, outer, Next())
    assert isinstance(second, Position)
    assert [outer.frames[-1].variables, second.frames[-1].variables] == [{"i": 1}] * 2
    after = cursor.advance(of, second, LeaveBranch())
    assert after == Position((Frame(of.by_id["s1"]),))


def test_a_round_is_counted_each_time_a_branch_is_entered() -> None:
    of = program([[[]]])
    position = cursor.begin(of)
    paths = []
    for _ in range(3):
        inside = cursor.advance(of, position, EnterBranch())
        assert isinstance(inside, Position)
        paths.append(inside.frames[-1].path)
        position = cursor.advance(of, inside, ReturnToParent())
    assert paths == ["s0:1", "s0:2", "s0:3"]


def test_a_position_at_a_step_that_is_not_there_says_so() -> None:
    of = program([[]])
    with pytest.raises(PositionGone, match='has no step "gone". Its steps are: s0'):
        cursor.place(of, "gone")
    stored = cursor.dump(of, Position((Frame(0),))).replace('"s0"', '"gone"')
    with pytest.raises(PositionGone, match='stands at step "gone"'):
        cursor.load(of, stored)


# -- failures ----------------------------------------------------------------------------------------------


def with_tries(of: Program, *ids: str) -> Program:
    """The same program, in which these steps catch failures and keep who leaves."""
    nodes = [replace(node, action=_Try()) if node.id in ids else node for node in of.nodes]
    return replace(of, nodes=tuple(nodes))


@given(trees, st.data())
def test_a_failure_goes_to_the_nearest_step_around_it_that_catches_failures(
    tree: Tree, data: st.DataObject
) -> None:
    of = program(tree)
    tries = data.draw(st.sets(st.sampled_from([node.id for node in of.nodes]))) if tree else set()
    of = with_tries(of, *tries)
    for node in of.nodes:
        position = cursor.place(of, node.id)
        around = [one for one in position.frames[:-1] if of.nodes[one.node].id in tries]
        outwards = []
        caught = cursor.catch(of, position)
        while caught is not None:
            assert (caught.phase, caught.branch) == (cursor.FAILURE, "steps")
            assert (caught.attempt, caught.event) == (1, 0)
            outwards.append(caught.frames[-1])
            caught = cursor.catch(of, caught)
        assert outwards == around[::-1]


def test_a_step_that_catches_failures_does_not_catch_its_own() -> None:
    of = with_tries(program([[[]]]), "s0")
    ended = Position((Frame(0, "", "steps", 1),), cursor.BRANCH, "steps")
    assert cursor.catch(of, cursor.begin(of)) is None  # type: ignore[arg-type]
    assert cursor.catch(of, ended) is None


def test_who_leaves_a_branch_is_kept_where_the_action_around_it_says_so() -> None:
    of = program([[[], []], []])
    inside = cursor.advance(of, cursor.begin(of), EnterBranch())  # type: ignore[arg-type]
    assert isinstance(inside, Position)
    left = cursor.advance(of, inside, LeaveBranch())
    kept = cursor.advance(with_tries(of, "s0"), inside, LeaveBranch())
    assert left == Position((Frame(of.by_id["s1"]),))
    assert kept == Position((Frame(0, "", "steps", 1),), cursor.BRANCH, "steps")


def test_leaving_out_of_a_step_inside_is_not_kept_further_out() -> None:
    of = with_tries(program([[[[]], []]]), "s0")
    inner = cursor.place(of, "s0_0_0")
    assert visited_after(of, inner, LeaveBranch()) == "s0_1:run"


def visited_after(of: Program, position: Position, decision: Any) -> str:
    led = cursor.advance(of, position, decision)
    assert isinstance(led, Position)
    return f"{of.nodes[led.node].id}:{led.phase}"


@pytest.mark.parametrize(
    "decision", [Next(), EnterBranch(), ReturnToParent(), LeaveBranch(), Wait(event="x")], ids=repr
)
def test_a_decision_begins_the_tries_of_the_next_question(decision: Any) -> None:
    of = program([[[[]], []], []])
    position = cursor.place(of, "s0_0")._replace(attempt=4, event=9)
    led = cursor.advance(of, position, decision)
    assert isinstance(led, Position)
    assert (led.attempt, led.event) == (1, 0)


def test_a_position_stored_before_there_were_tries_is_at_its_first() -> None:
    of = program([[]])
    stored = '{"frames": [["s0", "", "", 0, {}, {}]], "phase": "wait", "branch": ""}'
    assert cursor.load(of, stored) == Position((Frame(0),), cursor.WAIT, "", 1, 0)


def test_a_first_try_is_stored_without_a_word_about_tries() -> None:
    of = program([[]])
    first = Position((Frame(0),))
    assert "attempt" not in cursor.dump(of, first)
    again = first._replace(attempt=2, event=5)
    assert cursor.load(of, cursor.dump(of, again)) == again
