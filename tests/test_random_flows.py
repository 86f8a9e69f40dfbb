"""Random trees of the built-in actions, killed and resumed anywhere, end as an independent model says."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from django.utils import timezone
from flowcontrol import registry
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Effect, Next
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, faults, start_flow
from flowcontrol.engine.stretch import Stretch
from flowcontrol.forms import ExpressionField
from flowcontrol.models import FlowRun
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from reference_model import Step, interpret


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing in the engine may catch it."""


class Call(BaseAction):
    """Touches the world: notes each call with its idempotency key."""

    name = "crossing.call"
    effect = Effect.EXTERNAL
    calls: list[tuple[str, str]] = []

    def run(self, context: ActionContext) -> Next:
        self.calls.append((context.step_id, context.idempotency_key))
        return Next()


class Write(BaseAction):
    """Writes a row for each visit, and counts in the state too."""

    name = "crossing.write"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> Next:
        Group.objects.create(name=uuid.uuid4().hex)
        context.state["n"] += 1
        context.state["trace"] += f"{context.step_id}*,"
        return Next()


class Broken(Exception):
    """What a step here fails with."""


class FailingForm(ActionForm):
    condition = ExpressionField()


class FailPure(BaseAction):
    """Fails on a condition, with the state half changed; otherwise leaves a mark."""

    name = "crossing.fail_pure"
    effect = Effect.PURE
    Config = FailingForm

    def run(self, context: ActionContext) -> Next:
        fails = context.evaluate(context.config["condition"])
        context.state["trace"] += f"{context.step_id}!,"
        if fails:
            context.state["n"] += 100
            raise Broken("on purpose")
        return Next()


class FailDatabase(FailPure):
    """The same, with a row of which nothing may be left."""

    name = "crossing.fail_database"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> Next:
        if context.evaluate(context.config["condition"]):
            Group.objects.create(name=uuid.uuid4().hex)
        return super().run(context)


class FailExternal(FailPure):
    name = "crossing.fail_external"
    effect = Effect.EXTERNAL


@pytest.fixture(autouse=True)
def _crossing_actions() -> Iterator[None]:
    with registry.actions.preserved():
        for action in (Call, Write, FailPure, FailDatabase, FailExternal):
            registry.register_action(action)
        Call.calls.clear()
        yield


#: What a step notes of the failure that is being dealt with, if one is.
SEEN_OF_ERROR = {f"seen_{key}": f"error.{key}|default_if_none:'-1'" for key in ("step", "type", "attempt")}


class _Tree:
    """Draws steps, each with an id of its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.ids = itertools.count(1)

    def steps(self, depth: int) -> list[Step]:
        return [self.step(depth) for _ in range(self.draw(st.integers(0 if depth else 1, 4)))]

    def step(self, depth: int) -> Step:
        leaves = ["mark", "mark", "mark", "jump", "reset", "call", "write", "delay", "fail"]
        kinds = leaves if depth >= 3 else [*leaves, "if_", "for_", "while_", "try_", "try_"]
        kind = self.draw(st.sampled_from(kinds))
        step: Step = getattr(self, kind)(depth)
        step.document["id"] = f"s{next(self.ids)}"
        if self.draw(st.integers(0, 9)) == 0:
            step.document["enabled"] = False
        return step

    def condition(self) -> tuple[str, Any]:
        number = self.draw(st.integers(0, 12))
        return self.draw(
            st.sampled_from(
                [
                    (f"n < {number}", lambda state: state["n"] < number),
                    (f"not n >= {number}", lambda state: state["n"] < number),
                    (
                        f"n|divisibleby:2 or n == {number}",
                        lambda state: state["n"] % 2 == 0 or state["n"] == number,
                    ),
                    ("True", lambda state: True),
                    (
                        f"n > {number} and trace != ''",
                        lambda state: state["n"] > number and state["trace"] != "",
                    ),
                ]
            )
        )

    def mark(self, depth: int) -> Step:
        # {id} is filled in below, once the step has one.
        state: dict[str, str] = {"n": "n|add:1", "trace": "trace|add:'{id},'"}
        if self.draw(st.booleans()):
            state["seen_i"] = "i|default_if_none:'-1'|add:0"
        if self.draw(st.booleans()):
            state |= SEEN_OF_ERROR
        return Step({"action": "builtin.update_state", "config": {"state": state, "evaluate": True}})

    def see(self, depth: int) -> Step:
        step = self.mark(depth)
        step.document["config"]["state"] |= SEEN_OF_ERROR
        return step

    def reset(self, depth: int) -> Step:
        fresh = self.draw(st.integers(0, 5))
        state = {"n": "n", "trace": "trace", "fresh": fresh}
        return Step({"action": "builtin.set_state", "config": {"state": state, "evaluate": True}})

    def jump(self, depth: int) -> Step:
        action = self.draw(st.sampled_from(["return", "leave_branch", "stop"]))
        source, condition = self.condition()
        return Step({"action": f"builtin.{action}", "config": {"condition": source}}, condition=condition)

    def call(self, depth: int) -> Step:
        return Step({"action": "crossing.call"})

    def write(self, depth: int) -> Step:
        return Step({"action": "crossing.write"})

    def delay(self, depth: int) -> Step:
        return Step({"action": "builtin.delay", "config": {"seconds": self.draw(st.integers(1, 90))}})

    def nested(self, document: dict[str, Any], depth: int, **facts: Any) -> Step:
        body = self.steps(depth + 1)
        document["steps"] = [child.document for child in body]
        return Step(document, body=body, **facts)

    def if_(self, depth: int) -> Step:
        source, condition = self.condition()
        step = self.nested(
            {"action": "builtin.if", "config": {"condition": source}}, depth, condition=condition
        )
        step.other = self.steps(depth + 1)
        if step.other:
            step.document["branches"] = {"else": [child.document for child in step.other]}
        return step

    def fail(self, depth: int) -> Step:
        effect = self.draw(st.sampled_from(["pure", "database", "external"]))
        source, condition = self.condition()
        document = {"action": f"crossing.fail_{effect}", "config": {"condition": source}}
        if self.draw(st.integers(0, 3)):
            document["retry"] = {
                "attempts": self.draw(st.sampled_from([3, 2, 1])),
                "delay": self.draw(st.integers(0, 90)),
                "on": self.draw(st.sampled_from([[], ["Broken"], ["ValueError"]])),
            }
        return Step(document, condition=condition)

    def try_(self, depth: int) -> Step:
        step = Step(
            {"action": "builtin.try"},
            body=[*self.steps(depth + 1), *self.often("fail", depth)],
            other=[*self.often("see", depth), *self.steps(depth + 1), *self.often("fail", depth)],
            last=self.steps(depth + 1),
        )
        step.document["steps"] = [child.document for child in step.body]
        step.document["branches"] = {
            name: [child.document for child in steps]
            for name, steps in (("error", step.other), ("finally", step.last))
        }
        return step

    def often(self, kind: str, depth: int) -> list[Step]:
        """A step of one kind, or none."""
        if not self.draw(st.booleans()):
            return []
        step: Step = getattr(self, kind)(depth)
        step.document["id"] = f"s{next(self.ids)}"
        return [step]

    def while_(self, depth: int) -> Step:
        bound = self.draw(st.integers(0, 8))
        step = self.nested(
            {"action": "builtin.while", "config": {"condition": f"n < {bound}"}},
            depth,
            condition=lambda state: state["n"] < bound,
        )
        # A mark first, and enabled, or the loop would never end.
        first = self.mark(depth)
        first.document["id"] = f"s{next(self.ids)}"
        step.body.insert(0, first)
        step.document["steps"].insert(0, first.document)
        return step

    def for_(self, depth: int) -> Step:
        start, end = self.draw(st.integers(-3, 3)), self.draw(st.integers(-3, 3))
        stride = self.draw(st.sampled_from([-2, -1, 1, 2]))
        variable = self.draw(st.sampled_from(["i", ""]))
        config = {"start": start, "end": end, "step": stride, **({"variable": variable} if variable else {})}
        return self.nested(
            {"action": "builtin.for", "config": config},
            depth,
            rounds=range(start, end, stride),
            variable=variable,
        )


def _fill_in(steps: list[Step]) -> None:
    for step in steps:
        state = step.document.get("config", {}).get("state", {})
        if "{id}" in state.get("trace", ""):
            state["trace"] = state["trace"].replace("{id}", step.document["id"])
        _fill_in(step.body)
        _fill_in(step.other)
        _fill_in(step.last)


@st.composite
def trees(draw: st.DrawFn) -> list[Step]:
    steps = _Tree(draw).steps(0)
    _fill_in(steps)
    return steps


def _deaths(chance: random.Random, rate: float) -> Iterator[bool]:
    """Whether to die now. Not for ever: a long stretch of pure steps would never come to its checkpoint."""
    for _ in range(100):
        while chance.random() >= rate:
            yield False
        yield True


def _survive(monkeypatch: pytest.MonkeyPatch, kills: Iterator[bool]) -> int:
    """Execute everything to its end, though the process dies wherever ``kills`` says; returns how often it did."""
    died = 0
    for point in ("fenced", "follow", "ending", "leaving"):
        real = getattr(Stretch, point)

        def dying(self: Any, *args: Any, real: Any = real, **kwargs: Any) -> Any:
            if next(kills, False):
                raise Killed
            result = real(self, *args, **kwargs)
            if next(kills, False):
                raise Killed
            return result

        monkeypatch.setattr(Stretch, point, dying)

    def reached(name: str) -> None:
        if next(kills, False):
            raise Killed

    monkeypatch.setattr(faults, "_plan", reached)
    now = timezone.now()
    for _ in range(5_000):
        if not FlowRun.objects.live().exists():
            return died
        # Later than every wait and every lease of the dead.
        now += timedelta(minutes=5)
        try:
            continue_flowruns(now=now)
        except Killed:
            died += 1
    raise AssertionError("The runs do not end.")


@pytest.mark.django_db(transaction=True)
@settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(
    steps=trees(),
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([0.0, 0.02, 0.1]),
    slice_=st.sampled_from([3, 1_000]),
)
def test_a_random_flow_killed_at_random_steps_does_what_the_model_says(
    steps: list[Step], seed: int, rate: float, slice_: int
) -> None:
    slug = f"random_{uuid.uuid4().hex}"
    document = {"flowcontrol": 1, "slug": slug, "name": "Random", "steps": [step.document for step in steps]}
    note(document)
    expected = {"n": 0, "trace": ""}
    ending = interpret(steps, expected)
    Group.objects.all().delete()
    Call.calls.clear()
    import_flow(document)
    chance = random.Random(seed)
    started = start_flow(slug, state={"n": 0, "trace": ""})

    with (
        pytest.MonkeyPatch.context() as patch,
        override_settings(FLOWCONTROL={"TIME_SLICE_STEPS": slice_, "MAX_CRASHES": 1_000}),
    ):
        died = _survive(patch, _deaths(chance, rate))

    run = FlowRun.objects.get(pk=started.run.pk)
    note(f"died {died} times; {run.reason} {run.traceback}")
    reason = "" if ending in ("completed", "stopped") else ending
    assert (run.status, dict(run.state)) == ("failed" if reason else ending, expected)
    assert reason in run.reason
    assert Group.objects.count() == expected["trace"].count("*")
    if not died:
        assert len(Call.calls) == len(set(Call.calls)), "each visit has a key of its own"
    numbers = [record.number for record in run.history()]
    assert numbers == list(range(len(numbers))), "the history has no gap and nothing twice"
