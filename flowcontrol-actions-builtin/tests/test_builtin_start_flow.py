"""Start flow: which run it makes, when it is due, and what becomes of this run when there is none."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from flowcontrol.base import Fail, Next
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, start_flow
from flowcontrol.exceptions import EvaluationError, FlowNotFound, FlowNotStartable
from flowcontrol.models import Flow, FlowRun
from flowcontrol_actions_builtin.start_flow import StartFlow

pytestmark = pytest.mark.django_db


def flow(slug: str, **keys: Any) -> Flow:
    return import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": [], **keys})


@pytest.fixture
def arrive(visit: Any) -> Any:
    """The step as a run of the flow “parent” reaches it."""
    flow("parent")
    parent = start_flow("parent")
    assert isinstance(parent, Started)

    def arrive(state: dict[str, Any] | None = None, about: Any = None, **config: Any) -> Any:
        context = visit(StartFlow(), state, **config)
        context.run_id, context.about = parent.run.pk, about
        return context

    return arrive


def child() -> FlowRun:
    return FlowRun.objects.get(flow__slug="child")


def test_it_starts_a_run_of_the_flow_as_a_child_of_this_one(arrive: Any) -> None:
    flow("child")
    context = arrive({"secret": 1}, flow="child")
    assert StartFlow().run(context) == Next()
    started = child()
    assert (started.parent_id, started.status, dict(started.state)) == (context.run_id, "pending", {})
    assert (started.object_model, started.object_id) == ("", "")


def test_pass_state_gives_the_new_run_a_copy_of_the_state(arrive: Any) -> None:
    flow("child")
    context = arrive({"n": 1, "nested": {"list": [1]}, "on": date(2026, 5, 5)}, flow="child", pass_state=True)
    StartFlow().run(context)
    context.state["nested"]["list"].append(2)
    assert dict(child().state) == {"n": 1, "nested": {"list": [1]}, "on": date(2026, 5, 5)}


def test_pass_object_makes_the_new_run_about_the_same_object(arrive: Any) -> None:
    flow("child", object="auth.group")
    group = Group.objects.create(name="members")
    StartFlow().run(arrive(about=group, flow="child", pass_object=True))
    assert (child().object_model, child().object_id) == ("auth.group", str(group.pk))


def test_pass_object_of_a_run_about_nothing_passes_nothing(arrive: Any) -> None:
    flow("child")
    StartFlow().run(arrive(flow="child", pass_object=True))
    assert child().object_model == ""


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (datetime(2031, 5, 5, 10, tzinfo=UTC), "2031-05-05T10:00+00:00"),
        (date(2031, 5, 5), "2031-05-04T22:00+00:00"),
        ("2031-05-05T10:00+02:00", "2031-05-05T08:00+00:00"),
    ],
)
def test_at_starts_it_later_where_a_date_is_midnight_in_the_projects_zone(
    arrive: Any, at: object, due: str
) -> None:
    flow("child")
    with override_settings(TIME_ZONE="Europe/Berlin"):
        StartFlow().run(arrive({"starts_at": at}, flow="child", at="starts_at"))
    due_at = child().due_at
    assert due_at is not None
    assert due_at.astimezone(UTC).isoformat(timespec="minutes") == due


@pytest.mark.parametrize(
    ("at", "named"), [(None, "nothing"), (5, "a int"), ("2031-05-05T10:00", "without a time zone")]
)
def test_an_at_that_is_no_moment_fails_this_run_and_starts_nothing(
    arrive: Any, at: object, named: str
) -> None:
    flow("child")
    with pytest.raises(EvaluationError, match=f"“starts_at” gives .*{named}"):
        StartFlow().run(arrive({"starts_at": at}, flow="child", at="starts_at"))
    assert not FlowRun.objects.filter(flow__slug="child").exists()


def test_a_limit_of_the_other_flow_is_logged_and_this_run_goes_on(
    arrive: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flow("child", limits={"concurrent": 1})
    caplog.set_level(logging.INFO, "flowcontrol.actions")
    decisions = [StartFlow().run(arrive(flow="child")) for _ in range(2)]
    assert decisions == [Next(), Next()]
    assert FlowRun.objects.filter(flow__slug="child").count() == 1
    assert [record.levelname for record in caplog.records if record.name == "flowcontrol.actions"] == [
        "INFO",
        "WARNING",
    ]


def test_an_inactive_flow_fails_this_run(arrive: Any) -> None:
    flow("child", active=False)
    decision = StartFlow().run(arrive(flow="child"))
    assert isinstance(decision, Fail)
    assert "child" in str(decision.error)
    assert "not active" in str(decision.error)


def test_a_flow_that_is_not_there_fails_this_run(arrive: Any) -> None:
    with pytest.raises(FlowNotFound, match="child"):
        StartFlow().run(arrive(flow="child"))


def test_a_flow_about_another_kind_of_object_fails_this_run(arrive: Any) -> None:
    flow("child", object="auth.group")
    with pytest.raises(FlowNotStartable, match=r"auth\.group"):
        StartFlow().run(arrive(flow="child"))


@pytest.mark.parametrize("config", [{}, {"flow": "No slug!"}])
def test_it_needs_the_slug_of_a_flow(refusals: Any, config: dict[str, Any]) -> None:
    assert set(refusals(StartFlow(), **config)) == {"flow"}


@pytest.mark.parametrize(
    ("config", "words"),
    [({"flow": "child"}, "Start “child”"), ({"flow": "child", "at": "day"}, "Start “child” at day")],
)
def test_it_says_in_words_what_it_starts(configured: Any, config: dict[str, Any], words: str) -> None:
    assert StartFlow().summary(configured(StartFlow(), **config)) == words


def test_a_document_that_says_nothing_passes_the_object_and_not_the_state() -> None:
    fields = StartFlow.Config().fields
    assert (fields["pass_object"].initial, fields["pass_state"].initial) == (True, None)
