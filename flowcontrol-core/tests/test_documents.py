"""Documents as such: checked, normalised, compiled, compared, described. No database."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from document_actions import Fragile, Loop, Plain, Wait, document, registered
from flowcontrol import registry
from flowcontrol.base import Retry
from flowcontrol.documents import compile_document, diff, json_schema, normalise, validate
from flowcontrol.exceptions import DocumentError
from flowcontrol.registry import MissingAction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

known = frozenset({"other"})


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    with registered():
        yield


def problems(found: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in validate(found, known_flows=known)}


# -- one problem at a time ---------------------------------------------------------------------------------


def wait(**config: Any) -> dict[str, Any]:
    return {"action": "demo.wait", "config": config}


def retrying(**retry: Any) -> dict[str, Any]:
    return document({"action": "demo.plain", "retry": {"attempts": 3, **retry}})


@pytest.mark.parametrize(
    ("found", "path", "says"),
    [
        ([], "", "A document is a mapping, not a list"),
        ({**document(), "flowcontrol": 2}, "flowcontrol", "2 is not supported. Version of the format: 1."),
        ({**document(), "flowcontrol": True}, "flowcontrol", "True is not supported"),
        ({"flowcontrol": 1, "slug": "a", "name": "b"}, "steps", "This key is missing. The steps of the flow"),
        (document(slug="a b"), "slug", "does not have the right form. Short unique name"),
        (document(name=""), "name", "This is empty"),
        (document(name="x" * 201), "name", "This has 201 characters"),
        (document(objekt="auth.user"), "objekt", "Unknown key; remove it. Did you mean “object”?"),
        (document(object="auth.usr"), "object", "There is no model “auth.usr”. Did you mean “auth.user”?"),
        (document(object="user"), "object", "There is no model “user”"),
        (document(condition="object.a =="), "condition", ""),
        (document(active="yes"), "active", "This has to be true or false, not text"),
        (document(limits={"concurrent": -1}), "limits.concurrent", "-1 is less than 0"),
        (document(limits={"concurrent": True}), "limits.concurrent", "a whole number, not true or false"),
        (document(limits={"per_objekt": 1}), "limits.per_objekt", "Did you mean “per_object”?"),
        (document(limits={"when_reached": "wait"}), "limits.when_reached", "'wait' is none of these"),
        (document(triggers={}), "triggers", "This has to be a list, not a mapping"),
        (document(triggers=["demo.happened"]), "triggers[0]", "A trigger is a mapping such as"),
        (document(triggers=[{}]), "triggers[0].on", "This key is missing"),
        (document(triggers=[{"on": "demo.hapened"}]), "triggers[0].on", "Did you mean “demo.happened”?"),
        (document(triggers=[{"on": "demo.happened", "condition": "a =="}]), "triggers[0].condition", ""),
        (
            document(triggers=[{"on": "demo.happened", "active_since": "2026-01-31T09:00"}]),
            "triggers[0].active_since",
            "no time zone; write 2026-01-31T09:00:00Z for UTC",
        ),
        (
            document(triggers=[{"on": "demo.happened", "active_since": "tomorrow"}]),
            "triggers[0].active_since",
            "This is no date and time",
        ),
        (document(triggers=[{"on": "demo.happened", "step": "a"}]), "triggers[0].step", "add does: restart"),
        (
            document(
                {"action": "demo.plain", "id": "first"},
                triggers=[{"on": "demo.happened", "does": "restart", "step": "frst"}],
            ),
            "triggers[0].step",
            "There is no step “frst” in the flow. Did you mean “first”?",
        ),
        (
            document("builtin.stop"),
            "steps[0]",
            "A step is a mapping such as {action: builtin.stop}, not text.",
        ),
        (document({}), "steps[0].action", "This key is missing. Full name of an action"),
        (document({"action": "Plain"}), "steps[0].action", "does not have the right form"),
        (
            document({"action": "demo.plain", "id": "1st"}),
            "steps[0].id",
            "'1st' does not have the right form",
        ),
        (document({"action": "demo.plain", "id": "a\n"}), "steps[0].id", "does not have the right form"),
        (document({"action": "demo.plain", "id": "a" * 65}), "steps[0].id", "This has 65 characters"),
        (document(queue="by hand"), "queue", "'by hand' does not have the right form. Name of the queue"),
        (document(queue="x" * 51), "queue", "This has 51 characters"),
        (document(queue=""), "queue", "does not have the right form"),
        (document(priority=101), "priority", "101 is more than 100. Runs of a flow with a higher one"),
        (document(priority=-101), "priority", "-101 is less than -100"),
        (document(priority=1.5), "priority", "This has to be a whole number, not a number"),
        (document(history="failed"), "history", "'failed' is none of these. What of a run's history"),
        (
            document({"action": "demo.plain", "retry": 3}),
            "steps[0].retry",
            "This has to be a mapping, not a whole number. How the step is tried again",
        ),
        (
            document({"action": "demo.plain", "retry": {}}),
            "steps[0].retry.attempts",
            "This key is missing. How often the step is tried in all",
        ),
        (retrying(attempts=0), "steps[0].retry.attempts", "0 is less than 1"),
        (retrying(attempts=201), "steps[0].retry.attempts", "201 is more than 200"),
        (retrying(attempts=True), "steps[0].retry.attempts", "a whole number, not true or false"),
        (retrying(atempts=2), "steps[0].retry.atempts", "Did you mean “attempts”?"),
        (retrying(delay=-1), "steps[0].retry.delay", "-1 is less than 0. Seconds from the first failure"),
        (retrying(delay="10"), "steps[0].retry.delay", "This has to be a number, not text"),
        (
            retrying(delay=7200),
            "steps[0].retry.delay",
            "The first wait of 7200 seconds is longer than max_delay, 3600.0, allows. Raise max_delay, or",
        ),
        (retrying(backoff=0.5), "steps[0].retry.backoff", "0.5 is less than 1"),
        (retrying(max_delay=1e9), "steps[0].retry.max_delay", "is more than 31536000"),
        (retrying(jitter=1.5), "steps[0].retry.jitter", "1.5 is more than 1"),
        (retrying(on="TimeoutError"), "steps[0].retry.on", "This has to be a list, not text"),
        (retrying(on=["TimeoutError", "a b"]), "steps[0].retry.on[1]", "the name of no exception class"),
        (retrying(on=[None]), "steps[0].retry.on[0]", "write one such as TimeoutError"),
        (
            document({"action": "demo.plain", "timeout": 0}),
            "steps[0].timeout",
            "0 is not more than 0. Seconds after which a call of the step has failed",
        ),
        (document({"action": "demo.plain", "timeout": 604801}), "steps[0].timeout", "is more than 604800"),
        (document({"action": "demo.plain", "timeout": "5"}), "steps[0].timeout", "a number, not text"),
        (
            document({"action": "demo.loop", "steps": [{"action": "demo.plain", "retry": {"attempts": 0}}]}),
            "steps[0].steps[0].retry.attempts",
            "0 is less than 1",
        ),
        (
            document({"action": "demo.plain"}, {"action": "fax.send_request", "name": "Send invoice"}),
            "steps[1].action",
            (
                "Step 2 “Send invoice” uses the action “fax.send_request”, which no loaded plugin provides. "
                'No plugin "fax" is installed. Try: pip install flowcontrol-actions-fax, and restart. '
                "Or remove the step."
            ),
        ),
        (document({"action": "demo.plian"}), "steps[0].action", "Did you mean “demo.plain”?"),
        (
            document({"action": "demo.plain", "steps": [wait()]}),
            "steps[0].steps",
            "demo.plain has no steps inside it",
        ),
        (
            document({"action": "demo.if", "config": {"condition": "a"}, "branches": {"esle": []}}),
            "steps[0].branches.esle",
            "demo.if has no branch “esle”. Did you mean “else”?",
        ),
        (
            document({"action": "demo.if", "config": {"condition": "a"}, "branches": {"steps": []}}),
            "steps[0].branches.steps",
            "Write these as steps: of the step itself",
        ),
        (
            document({"action": "demo.if", "config": {"condition": "a"}, "branches": {"else": {}}}),
            "steps[0].branches.else",
            "A branch is a list of steps, not a mapping",
        ),
        (document({"action": "demo.if"}), "steps[0].config.condition", "This field is required."),
        (document({"action": "demo.if", "config": {"condition": "a =="}}), "steps[0].config.condition", ""),
        (
            document({"action": "demo.if", "config": {"condition": ["a"]}}),
            "steps[0].config.condition",
            "not a list",
        ),
        (
            document(wait(second=3)),
            "steps[0].config.second",
            "Unknown key; remove it. Did you mean “seconds”?",
        ),
        (document(wait(seconds=-1)), "steps[0].config.seconds", "greater than or equal to 0"),
        (document(wait(seconds="soon")), "steps[0].config.seconds", "Enter a whole number."),
        (document(wait(seconds=True)), "steps[0].config.seconds", "not true or false"),
        (document(wait(day=20260131)), "steps[0].config.day", "This has to be text, not a whole number"),
        (document(wait(is_loud="no")), "steps[0].config.is_loud", "This has to be true or false, not text"),
        (document(wait(days="1")), "steps[0].config.days", "This has to be a list, not text"),
        (document(wait(if_past="hide")), "steps[0].config.if_past", "Select a valid choice"),
        (document(wait(seconds=3, at="12:00")), "steps[0].config", "Give seconds or at, not both."),
        (
            document(
                {"action": "demo.put", "config": {"state": {"a": {"b": ["1", "a =="]}}, "evaluate": True}}
            ),
            "steps[0].config.state",
            "a.b[1]: ",
        ),
        (
            document({"action": "demo.put", "config": {"state": [1]}}),
            "steps[0].config.state",
            "This has to be a mapping",
        ),
        (
            document({"action": "demo.start", "config": {"flow": "othr"}}),
            "steps[0].config.flow",
            "There is no flow “othr”. Did you mean “other”?",
        ),
        (
            document({"action": "demo.versioned", "config": {"seconds": 1}}),
            "steps[0].config",
            "if it is written for the present one, add config_version: 2",
        ),
        (
            document({"action": "demo.versioned", "config": {"seconds": 1}, "config_version": 3}),
            "steps[0].config",
            "the installed plugin knows up to version 2. Update the plugin.",
        ),
        (
            document({"action": "demo.plain", "config_version": 0}),
            "steps[0].config_version",
            "0 is less than 1",
        ),
        (document(note=float("nan")), "note", "Infinity and NaN cannot be stored"),
        (document(note="\x00"), "note", "a character that cannot be stored"),
        (document(note="\ud800"), "note", "a character that cannot be stored"),
        (document(note=10**30), "note", "too large"),
        (document(note=object()), "note", "A object is no JSON"),
        ({**document(), 1: 2}, "", "The key 1 is not text"),
    ],
)
def test_a_problem_has_its_path_and_the_way_out(found: Any, path: str, says: str) -> None:
    told = problems(found)
    assert list(told) == [path]
    assert says in told[path]


def test_every_problem_is_told_at_once_in_the_order_of_the_document() -> None:
    bad = document(
        {"action": "demo.plain", "id": "same"},
        {
            "action": "demo.if",
            "config": {"condition": "a =="},
            "branches": {"else": [wait(seconds="soon"), {"action": "demo.plain", "id": "same"}]},
        },
        {"action": "nowhere.to_be_found"},
        limits={"concurrent": -1},
        triggers=[{"on": "demo.happened", "does": "stop"}],
    )
    assert list(problems(bad)) == [
        "limits.concurrent",
        "triggers[0].does",
        "steps[1].config.condition",
        "steps[1].branches.else[0].config.seconds",
        "steps[1].branches.else[1].id",
        "steps[2].action",
    ]


def test_a_problem_carries_the_value() -> None:
    [problem] = validate(document(wait(seconds="soon")), known_flows=())
    assert problem.value == "soon"
    assert problem.level == "error"


def test_a_trigger_that_fires_with_another_model_is_a_warning() -> None:
    [problem] = validate(document(object="auth.group", triggers=[{"on": "demo.user_saved"}]), known_flows=())
    assert (problem.path, problem.level) == ("triggers[0].on", "warning")
    assert not validate(document(object="auth.User", triggers=[{"on": "demo.user_saved"}]), known_flows=())


def test_a_flow_may_start_itself() -> None:
    assert not problems(document({"action": "demo.start", "config": {"flow": "flow"}}))


def test_a_form_that_raises_is_a_problem_of_its_step() -> None:
    with registry.preserved():
        registry.register_action(Fragile)
        told = problems(document({"action": "demo.fragile"}))
    assert told == {
        "steps[0].config": "The form of demo.fragile cannot read this: RuntimeError: this form is broken."
    }


def test_bounds_of_size_and_depth_are_problems() -> None:
    deep: dict[str, Any] = {"action": "demo.loop"}
    for _ in range(64):
        deep = {"action": "demo.loop", "steps": [deep]}
    assert ["more than 64 deep" in told for told in problems(document(deep)).values()] == [True]
    many = document(*[{"action": "demo.plain"}] * 10_001)
    assert "more than 10,000 steps" in problems(many)["steps"]
    assert not problems(document(*[{"action": "demo.plain"}] * 10_000))
    nested: Any = []
    for _ in range(5_000):
        nested = [nested]
    assert ["nested more than 300 deep" in told for told in problems(document(note=nested)).values()] == [
        True
    ]
    itself: list[Any] = []
    itself.extend([itself, itself])
    assert problems(document(note=itself))
    assert "larger than 2 MB" in problems(document(note="x" * 3_000_000))[""]


# -- anything at all ---------------------------------------------------------------------------------------

WORDS = (
    "flowcontrol slug name description object condition active limits triggers steps id action note enabled "
    "config config_version branches on active_since does step concurrent per_object when_reached else seconds "
    "at day if_past days is_loud state text evaluate flow start times retry timeout queue priority history"
)
KEYS = WORDS.split()
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "demo.if",
            "demo.loop",
            "demo.wait",
            "demo.put",
            "demo.start",
            "demo.versioned",
            "http.x",
            "auth.user",
            "demo.happened",
            "restart",
            "2026-01-31T09:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "a",
            "1",
            1,
            2,
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
near_steps = st.recursive(
    st.fixed_dictionaries(
        {"action": st.sampled_from([f"demo.{n}" for n in ["plain", "if", "wait", "put", "start", "loop"]])}
    ),
    lambda inner: st.fixed_dictionaries(
        {
            "action": st.sampled_from(
                ["demo.if", "demo.loop", "demo.wait", "demo.versioned", "demo.put", "x.y"]
            )
            | anything
        },
        optional={
            "config": st.dictionaries(st.sampled_from(KEYS[-19:-5]), anything, max_size=4) | anything,
            "steps": st.lists(inner | anything, max_size=3) | anything,
            "branches": st.dictionaries(st.sampled_from(["else", "steps"]), st.lists(inner) | anything)
            | anything,
            "id": st.sampled_from(["a", "b"]) | anything,
            "config_version": anything,
            "enabled": anything,
            "timeout": st.floats(0.1, 1e5) | anything,
            "retry": st.fixed_dictionaries(
                {"attempts": st.integers(0, 5) | anything},
                optional={
                    "delay": st.floats(-1, 5e3) | anything,
                    "backoff": st.integers(1, 3) | anything,
                    "max_delay": st.floats(0, 5e3) | anything,
                    "jitter": st.floats(0, 1) | anything,
                    "on": st.lists(st.sampled_from(["TimeoutError", "a.b", "a b"]) | anything) | anything,
                },
            )
            | anything,
        },
    ),
    max_leaves=6,
)
near_documents = st.fixed_dictionaries(
    {
        "flowcontrol": st.just(1),
        "slug": st.just("flow"),
        "name": st.just("Flow"),
        "steps": st.lists(near_steps, max_size=3),
    },
    optional={
        "limits": anything,
        "triggers": st.lists(anything) | anything,
        "object": anything,
        "condition": anything,
        "active": anything,
        "queue": st.just("slow") | anything,
        "priority": st.integers(-100, 100) | anything,
        "history": st.sampled_from(["full", "errors", "none"]) | anything,
    },
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(anything | near_documents)
def test_validate_never_raises_and_leaves_the_document_alone(found: Any) -> None:
    before = repr(found)
    told = validate(found, known_flows=known)
    assert repr(found) == before
    assert all(isinstance(problem.path, str) and problem.message for problem in told)
    if not [problem for problem in told if problem.level == "error"]:
        program = compile_document(normalise(found))
        assert not any(isinstance(node.action, MissingAction) for node in program.nodes)
        jsonschema.validate(found, schema())


_schemas: list[dict[str, Any]] = []


def schema() -> dict[str, Any]:
    """Made once, when the actions are registered."""
    if not _schemas:
        _schemas.append(json_schema())
    return _schemas[0]


# -- normal form -------------------------------------------------------------------------------------------


def test_the_normal_form_has_ids_and_order_and_leaves_defaults_out() -> None:
    loose = {
        "steps": [
            {"config": {"is_loud": False, "seconds": 1}, "action": "demo.wait", "enabled": True, "note": ""},
            {"action": "demo.wait", "steps": [], "branches": {}, "config": {}},
            {
                "branches": {"else": [{"action": "demo.wait", "enabled": False}], "other": []},
                "steps": [{"id": "wait_2", "action": "demo.plain"}],
                "action": "demo.if",
                "config": {"condition": "a"},
            },
        ],
        "active": True,
        "limits": {"when_reached": "queue", "concurrent": 0},
        "triggers": [{"does": "start", "on": "demo.happened", "active_since": "2026-01-31T10:00+01:00"}],
        "object": "auth.User",
        "description": None,
        "name": "Flow",
        "slug": "flow",
        "flowcontrol": 1,
    }
    before = copy.deepcopy(loose)
    normal = normalise(loose)
    assert loose == before
    assert normal == {
        "flowcontrol": 1,
        "slug": "flow",
        "name": "Flow",
        "object": "auth.user",
        "limits": {"when_reached": "queue"},
        "triggers": [{"on": "demo.happened", "active_since": "2026-01-31T09:00:00Z"}],
        "steps": [
            {"id": "wait", "action": "demo.wait", "config": {"seconds": 1, "is_loud": False}},
            {"id": "wait_3", "action": "demo.wait"},
            {
                "id": "if",
                "action": "demo.if",
                "config": {"condition": "a"},
                "steps": [{"id": "wait_2", "action": "demo.plain"}],
                "branches": {"else": [{"id": "wait_4", "action": "demo.wait", "enabled": False}]},
            },
        ],
    }
    assert list(normal) == ["flowcontrol", "slug", "name", "object", "limits", "triggers", "steps"]
    assert list(normal["steps"][0]["config"]) == ["seconds", "is_loud"]
    assert normalise(normal) == normal


def test_configurations_of_an_earlier_version_are_migrated() -> None:
    step = {"id": "a", "action": "demo.versioned", "config": {"minutes": 2}}
    assert normalise(document(step))["steps"] == [
        {"id": "a", "action": "demo.versioned", "config": {"seconds": 120}, "config_version": 2}
    ]
    assert compile_document(document(step)).nodes[0].config == {"seconds": 120}
    assert step["config"] == {"minutes": 2}


def test_what_is_no_document_has_no_normal_form() -> None:
    with pytest.raises(DocumentError, match=r"steps\[0\]: A step is a mapping"):
        normalise(document("x"))


def test_the_normal_form_keeps_how_a_step_is_tried_again_without_its_defaults() -> None:
    normal = normalise(
        document(
            plain("a", timeout=5, retry={"on": [], "backoff": 2, "jitter": 0, "attempts": 3, "delay": 10}),
            plain("b", timeout=None, retry=None),
            plain("c", retry={"attempts": 1}),
            queue="default",
            priority=0,
            history="full",
        )
    )
    assert normal["steps"] == [
        plain("a", retry={"attempts": 3, "jitter": 0}, timeout=5),
        plain("b"),
        plain("c", retry={"attempts": 1}),
    ]
    assert list(normal["steps"][0]["retry"]) == ["attempts", "jitter"]
    assert list(normal) == ["flowcontrol", "slug", "name", "steps"]
    kept = {"queue": "slow", "priority": -5, "history": "errors"}
    assert normalise(document(**kept)) == {**document(), **kept}


# -- programs ----------------------------------------------------------------------------------------------


def test_a_program_links_steps_and_passes_over_those_that_are_disabled() -> None:
    program = compile_document(
        document(
            {"id": "off", "action": "demo.plain", "enabled": False},
            {
                "id": "if",
                "action": "demo.if",
                "config": {"condition": "a"},
                "steps": [
                    {"id": "one", "action": "demo.plain"},
                    {"id": "two", "action": "demo.plain", "enabled": False},
                    {"id": "three", "action": "demo.plain"},
                ],
            },
            {"id": "loop", "action": "demo.loop", "name": "Every week"},
            limits={"concurrent": 2},
            object="auth.user",
            condition="object.is_active",
        )
    )
    by = {node.id: node for node in program.nodes}
    assert [node.id for node in program.nodes] == ["off", "if", "one", "two", "three", "loop"]
    assert [node.index for node in program.nodes] == list(range(6))
    assert program.by_id == {"off": 0, "if": 1, "one": 2, "two": 3, "three": 4, "loop": 5}
    assert program.first == 1
    assert [by[name].next for name in by] == [1, 5, 4, 4, None, None]
    assert by["if"].branches == {"steps": 2, "else": None}
    assert by["loop"].branches == {"steps": None}
    assert (by["one"].parent, by["one"].branch) == (1, "steps")
    assert (by["if"].parent, by["if"].branch) == (None, "")
    assert [by["loop"].name, by["one"].name] == ["Every week", "Plain"]
    assert (program.object_model, program.limits.concurrent) == ("auth.user", 2)
    assert program.condition is not None
    assert program.condition.source == "object.is_active"


def test_a_step_says_how_it_is_tried_again_or_else_its_action() -> None:
    every = {"attempts": 5, "delay": 1, "backoff": 1.5, "max_delay": 60, "jitter": 0, "on": ["OSError"]}
    program = compile_document(
        document(
            plain("silent"),
            plain("spoken", retry={"attempts": 2}, timeout=0.5),
            plain("all", retry=every),
            {"id": "stubborn", "action": "demo.stubborn"},
            {"id": "once", "action": "demo.stubborn", "retry": {"attempts": 1}, "timeout": 3},
            {"id": "missing", "action": "http.get", "retry": {"attempts": 2}},
            {"id": "gone", "action": "http.get"},
        )
    )
    assert {node.id: (node.retry, node.timeout) for node in program.nodes} == {
        "silent": (None, None),
        "spoken": (Retry(attempts=2), timedelta(seconds=0.5)),
        "all": (Retry(5, 1, 1.5, 60, 0, ("OSError",)), None),
        "stubborn": (Retry(attempts=9, on=("TimeoutError",)), timedelta(minutes=1)),
        "once": (Retry(), timedelta(seconds=3)),
        "missing": (Retry(attempts=2), None),
        "gone": (None, None),
    }


def test_a_program_has_the_queue_the_priority_and_what_history_is_kept() -> None:
    given = compile_document(document(queue="slow", priority=7, history="none"))
    silent = compile_document(document())
    assert [(one.queue, one.priority, one.history) for one in (given, silent)] == [
        ("slow", 7, "none"),
        ("default", 0, "full"),
    ]


def test_a_key_that_is_left_out_takes_the_initial_of_its_field() -> None:
    [first, second] = compile_document(
        document({"action": "demo.loop"}, {"action": "demo.wait", "config": {"is_loud": False}})
    ).nodes
    assert first.config["start"].source == "0"
    assert first.config["times"] == 3
    assert (second.config["if_past"], second.config["is_loud"], second.config["seconds"]) == (
        "go",
        False,
        None,
    )


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"action": "fax.request", "config": {"url": "x"}}, 'No plugin "fax" is installed.'),
        (
            {"action": "demo.wait", "config": {"secs": 3}},
            "refused by the installed plugin: config.secs: Unknown key",
        ),
        ({"action": "demo.versioned", "config": {"a": 1}, "config_version": 9}, "written for version 9"),
        ({"action": "demo.versioned", "config": {"a": 1}}, "KeyError: 'minutes'"),
    ],
)
def test_a_step_that_cannot_run_here_keeps_its_place_and_configuration(
    step: dict[str, Any], reason: str
) -> None:
    program = compile_document(
        document({**step, "steps": [{"action": "demo.plain"}]}, {"action": "demo.plain"})
    )
    node = program.nodes[0]
    assert isinstance(node.action, MissingAction)
    assert reason in node.action.reason
    assert node.action.hint
    assert node.config == step["config"]
    assert (node.branches, node.next) == ({"steps": 1}, 2)


def test_a_condition_that_is_no_expression_any_more_is_a_document_error() -> None:
    with pytest.raises(DocumentError, match="condition: "):
        compile_document(document(condition="a =="))


def test_compiling_a_thousand_steps_takes_well_under_a_second() -> None:
    steps = [{"id": f"s{n}", "action": "demo.wait", "config": {"seconds": n}} for n in range(1000)]
    started = time.perf_counter()
    assert len(compile_document(document(*steps)).nodes) == 1000
    assert time.perf_counter() - started < 2


# -- differences -------------------------------------------------------------------------------------------


def plain(step_id: str, **keys: Any) -> dict[str, Any]:
    return {"id": step_id, "action": "demo.plain", **keys}


def told(old: list[dict[str, Any]], new: list[dict[str, Any]], **keys: Any) -> list[str]:
    return [str(change) for change in diff(document(*old), document(*new, **keys))]


def test_nothing_changed_is_no_difference() -> None:
    assert told([plain("a")], [plain("a")]) == []


def test_differences_are_told_by_step_and_key() -> None:
    assert told(
        [plain("a", config={"x": 1, "y": "same", "z": 0}), plain("gone")],
        [plain("a", config={"x": 2, "y": "same", "w": [1]}, note="new"), plain("added")],
        name="Other",
        limits={"concurrent": 1},
    ) == [
        'changed flow: name: "Flow" → "Other"',
        "added flow: limits.concurrent: 1",
        'removed step "gone" (demo.plain)',
        'added step "a": note: "new"',
        'changed step "a": config.x: 1 → 2',
        'removed step "a": config.z: 0',
        'added step "a": config.w: [1]',
        'added step "added" (demo.plain)',
    ]


def test_a_change_of_how_a_step_is_tried_again_is_told_key_by_key() -> None:
    assert told(
        [plain("a", retry={"attempts": 2}), plain("b")],
        [plain("a", retry={"attempts": 3, "jitter": 0}), plain("b", retry={"attempts": 2}, timeout=5)],
        queue="slow",
        history="none",
    ) == [
        'added flow: queue: "slow"',
        'added flow: history: "none"',
        'changed step "a": retry.attempts: 2 → 3',
        'added step "a": retry.jitter: 0',
        'added step "b": retry.attempts: 2',
        'added step "b": timeout: 5',
    ]


def test_a_change_of_a_number_to_a_truth_value_is_a_change() -> None:
    assert told([plain("a", config={"x": 1})], [plain("a", config={"x": True})]) == [
        'changed step "a": config.x: 1 → true'
    ]


def test_only_the_step_that_moved_is_told_as_moved() -> None:
    order = [plain(name) for name in "abcde"]
    moved = [order[index] for index in (4, 0, 1, 2, 3)]
    assert told(order, moved) == ['moved step "e": from the top, after "d" to the top, first']
    loop = {"id": "loop", "action": "demo.loop", "steps": [plain("a")]}
    assert told([loop, plain("b")], [{**loop, "steps": []}, plain("b"), plain("a")]) == [
        'moved step "a": from inside "loop" (steps), first to the top, after "b"'
    ]


# -- schema ------------------------------------------------------------------------------------------------


def test_the_schema_is_one_and_knows_the_installed_actions() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    action = schema["$defs"]["step"]["properties"]["action"]
    assert {"demo.if", "demo.wait"} <= set(action["enum"])
    config = schema["$defs"]["action.demo.wait"]["properties"]["config"]
    assert config["properties"]["if_past"]["enum"] == ["go", "stop"]
    assert config["properties"]["if_past"]["default"] == "go"
    assert config["properties"]["seconds"]["type"] == ["integer", "number", "string", "null"]


@pytest.mark.parametrize(
    "bad",
    [
        document({"action": "demo.nothing"}),
        document({"action": "demo.if"}),
        document({"action": "demo.if", "config": {"conditon": "a"}}),
        document({"action": "demo.if", "config": {"condition": "a"}, "branches": {"esle": []}}),
        document({"action": "demo.plain", "steps": [{"action": "demo.plain"}]}),
        document({"action": "demo.plain", "retry": 1}),
        document({"action": "demo.plain", "retry": {"attempts": 0}}),
        document({"action": "demo.plain", "retry": {"delay": 5}}),
        document({"action": "demo.plain", "retry": {"attempts": 2, "on": ["a b"]}}),
        document({"action": "demo.plain", "timeout": 0}),
        document(queue="a b"),
        document(priority=101),
        document(history="some"),
        document(triggers=[{"on": "demo.nothing"}]),
        document(limits={"concurrent": -1}),
        {"slug": "a"},
    ],
)
def test_the_schema_finds_what_an_editor_can_tell_while_one_types(bad: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, json_schema())


def test_validation_reads_actions_as_they_are_registered_now() -> None:
    with registry.preserved():
        for action in (Loop, Plain, Wait):
            registry.actions.unregister(action.name)
        assert "steps[0].action" in problems(document({"action": "demo.plain"}))
    assert not problems(document({"action": "demo.plain"}))
