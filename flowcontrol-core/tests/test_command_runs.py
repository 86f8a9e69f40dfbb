"""Starting flows and looking after their runs from the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_project import Project
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from engine_actions import ACTIONS, Decide
from flowcontrol import registry
from flowcontrol.base import StopFlow
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, execute_run, pause_runs, start_flow
from flowcontrol.management.command_line import SUBCOMMANDS
from flowcontrol.models import Flow, FlowRun
from flowcontrol.sentences import standing
from flowcontrol.signals import run_finished

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping")
        Decide.answer.clear()
        yield


def flow(*steps: dict[str, Any], **keys: Any) -> Flow:
    return import_flow({"flowcontrol": 1, "slug": "flow", "name": "Flow", "steps": list(steps), **keys})


def counting() -> Flow:
    return flow(
        {"id": "add", "action": "test.count", "name": "Add one"}, {"id": "again", "action": "test.count"}
    )


def waiting() -> Flow:
    return flow(
        {"id": "add", "action": "test.count"},
        {"id": "pause", "name": "A pause", "action": "test.pause", "config": {"event": "test.ping"}},
    )


def failing() -> Flow:
    return flow({"id": "bad", "name": "Bad step", "action": "test.decide"})


def started() -> FlowRun:
    answer = start_flow("flow")
    assert isinstance(answer, Started)
    return answer.run


def left() -> FlowRun:
    return execute_run(started())


def flowcontrol(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    try:
        call_command("flowcontrol", *map(str, arguments), stdout=out, stderr=err, no_color=True)
    except SystemExit as stop:
        code = stop.code
    return code, out.getvalue(), err.getvalue()


def read(*arguments: object) -> Any:
    return json.loads(flowcontrol(*arguments, "--json")[1])


# -- start -----------------------------------------------------------------------------------------------------


def test_start_makes_a_run_and_writes_its_number() -> None:
    counting()
    code, out, err = flowcontrol("start", "flow")
    run = FlowRun.objects.get()

    assert (code, out, err) == (0, f"{run.pk}\n", f"Run {run.pk} of flow started.\n")
    assert run.status == "pending"


def test_start_passes_object_state_and_key() -> None:
    counting()
    group = Group.objects.create(name="guests")
    state = '{"n": 4, "since": {"$datetime": "2026-01-31T12:00:00+00:00"}}'
    arguments = ["start", "flow", "--object", f"auth.group:{group.pk}", "--state", state, "--key", "k"]
    first, second = read(*arguments), read(*arguments)
    run = FlowRun.objects.get()

    assert tuple(first) == SUBCOMMANDS["start"].keys
    assert (run.object_model, run.object_id, run.key) == ("auth.group", str(group.pk), "k")
    assert dict(run.state) == {"n": 4, "since": NOON}
    assert (first["id"], first["is_new"]) == (run.pk, True)
    assert (second["id"], second["is_new"]) == (run.pk, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], 'There is no flow "nowhere".'),
        (["flow", "--object", "auth.group:77"], "There is no auth.group with the key 77."),
        (["flow", "--object", "auth.group:x"], "There is no auth.group with the key x."),
    ],
)
def test_a_start_that_cannot_be_is_one_clear_error(arguments: list[str], told: str) -> None:
    counting()
    with pytest.raises(CommandError) as raised:
        flowcontrol("start", *arguments)

    assert told in str(raised.value)
    assert (raised.value.returncode, FlowRun.objects.count()) == (1, 0)


def test_a_state_with_a_malformed_value_is_wrong_usage() -> None:
    counting()
    with pytest.raises(CommandError, match="The value of --state is no state: .*soon") as raised:
        flowcontrol("start", "flow", "--state", '{"when": {"$datetime": "soon"}}')

    assert (raised.value.returncode, FlowRun.objects.count()) == (2, 0)


def test_a_refused_start_says_why_with_exit_code_1() -> None:
    counting()
    Flow.objects.update(is_active=False)

    assert flowcontrol("start", "flow")[:2] == (1, 'Refused: The flow "flow" is not active.\n')
    refused = read("start", "flow")
    assert tuple(refused) == SUBCOMMANDS["start"].keys
    assert (refused["id"], refused["refused"]) == (None, "inactive")


def test_start_and_wait_executes_the_run_and_tells_its_steps_once() -> None:
    counting()
    code, out, err = flowcontrol("start", "flow", "--wait")

    assert code == 0
    assert out.startswith("completed: Came to its end ")
    lines = err.splitlines()
    assert len(lines) == 3
    assert "add  Add one  → Next (" in lines[1]
    assert lines[2].endswith("n = 2")


def test_start_and_wait_ends_at_a_wait() -> None:
    waiting()
    code, out, _ = flowcontrol("start", "flow", "--wait")

    assert (code, out) == (0, "waiting: Waits at step “A pause” for “test.ping”.\n")


def test_start_and_wait_of_a_run_that_fails_is_exit_code_1() -> None:
    failing()
    code, out, _ = flowcontrol("start", "flow", "--wait")

    assert code == 1
    assert out.startswith("failed: Failed at step “Bad step” ")
    assert 'Step "Bad step" (bad) failed: KeyError' in out


# -- runs, run -------------------------------------------------------------------------------------------------


def test_runs_are_listed_latest_first_and_by_flow_and_status() -> None:
    waiting()
    first, second = left(), started()

    code, out, _ = flowcontrol("runs")
    header, *rows = out.splitlines()
    assert (code, header.split()) == (0, ["RUN", "FLOW", "STATUS", "OBJECT", "STANDING"])
    assert [row.split()[0] for row in rows] == [str(second.pk), str(first.pk)]
    assert [run["id"] for run in read("runs", "--status", "waiting", "--flow", "flow")] == [first.pk]
    assert [run["id"] for run in read("runs", "--limit", "1")] == [second.pk]
    assert tuple(read("runs")[0]) == SUBCOMMANDS["runs"].keys
    assert flowcontrol("runs", "--status", "failed")[1] == "There are no such runs.\n"
    with pytest.raises(CommandError, match="There is no flow “flo”. Did you mean “flow”?"):
        flowcontrol("runs", "--flow", "flo")


def test_listing_runs_is_one_query_however_many_there_are(django_assert_num_queries: Any) -> None:
    counting()
    for _ in range(5):
        started()
    with django_assert_num_queries(1):
        flowcontrol("runs")


def test_a_run_is_told_with_where_it_stands_its_steps_and_its_state() -> None:
    waiting()
    run = left()
    code, out, _ = flowcontrol("run", run.pk)

    assert code == 0
    assert out.startswith(
        f"Run {run.pk} of flow (version 1): waiting\nWaits at step “A pause” for “test.ping”.\n"
    )
    assert "\nSteps (2):\n" in out
    assert '\nState:\n  {\n    "n": 1\n  }\n' in out
    assert "Traceback" not in out


def test_a_failed_run_is_told_with_its_traceback() -> None:
    failing()
    run = left()
    code, out, _ = flowcontrol("run", run.pk)

    assert code == 0
    assert "\nTraceback:\n  Traceback (most recent call last):\n" in out
    told = read("run", run.pk)
    assert tuple(told) == SUBCOMMANDS["run"].keys
    assert (told["status"], told["step"], told["state"]) == ("failed", "bad", {})
    assert told["steps"][0]["error"].startswith("KeyError")


def test_a_run_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CommandError, match="There is no run 4711."):
        flowcontrol("run", 4711)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"status": "pending"}, "Is to start with the next free worker."),
        (
            {"status": "pending", "due_at": NOON + timedelta(hours=2)},
            "Starts at 2026-01-31 14:00:00 (in 2 h).",
        ),
        ({"status": "pending", "reason": "1 run of 1"}, "Waits for its turn: 1 run of 1."),
        (
            {"status": "pending", "started_at": NOON, "step": "mail"},
            "Is to go on at step “mail” with the next free worker.",
        ),
        (
            {
                "status": "running",
                "due_at": NOON + timedelta(minutes=1),
                "step": "mail",
                "is_pause_requested": True,
            },
            "Is executed by a worker at step “mail”. A pause was asked for, and begins after the step at hand.",
        ),
        (
            {"status": "running", "due_at": NOON, "step": "mail"},
            "Was left by its worker at step “mail”; the next free worker goes on with it.",
        ),
        (
            {
                "status": "waiting",
                "step": "mail",
                "wait_until": NOON + timedelta(days=1),
                "wait_event": "shop.paid",
            },
            "Waits at step “mail” for “shop.paid” at most until 2026-02-01 12:00:00 (1 d from now).",
        ),
        (
            {"status": "waiting", "step": "mail", "wait_until": NOON},
            "Waits at step “mail” until 2026-01-31 12:00:00 (which is over: it is due).",
        ),
        (
            {"status": "paused", "step": "mail", "wait_event": "shop.paid"},
            "Was set aside at step “mail” in a wait for “shop.paid”, until somebody resumes it.",
        ),
        (
            {"status": "blocked", "step": "mail", "due_at": NOON + timedelta(seconds=60)},
            (
                "Cannot go on at step “mail” until what is missing is there; "
                "looked at again at 2026-01-31 12:01:00 (in 1 min)."
            ),
        ),
        (
            {"status": "completed", "started_at": NOON - timedelta(minutes=5), "ended_at": NOON},
            "Came to its end 2026-01-31 12:00:00, after 5 min.",
        ),
        ({"status": "stopped", "ended_at": NOON}, "Was stopped by its flow 2026-01-31 12:00:00."),
        (
            {"status": "failed", "step": "mail", "ended_at": NOON},
            "Failed at step “mail” 2026-01-31 12:00:00.",
        ),
        ({"status": "cancelled", "ended_at": NOON}, "Was cancelled 2026-01-31 12:00:00."),
        ({"status": "discarded", "ended_at": NOON}, "Was discarded 2026-01-31 12:00:00."),
    ],
)
def test_where_a_run_stands_is_one_plain_sentence(
    fields: dict[str, Any], sentence: str, settings: Any
) -> None:
    settings.TIME_ZONE = "UTC"
    assert standing(FlowRun(pk=7, **fields), NOON) == sentence


# -- cancel, pause, resume, restart ----------------------------------------------------------------------------


def test_runs_are_paused_resumed_and_cancelled() -> None:
    waiting()
    one, two = left().pk, left().pk

    assert flowcontrol("pause", one, two)[:2] == (0, f"Run {one}: paused\nRun {two}: paused\n")
    assert flowcontrol("resume", one)[:2] == (0, f"Run {one}: resumed\n")
    assert flowcontrol("cancel", one, two, "--reason", "Moved away.")[0] == 0
    assert set(FlowRun.objects.values_list("status", "reason")) == {("cancelled", "Moved away.")}


def test_what_cannot_be_changed_is_told_with_exit_code_1() -> None:
    counting()
    done = left().pk

    assert flowcontrol("cancel", done, 4711)[:2] == (
        1,
        f"Run {done}: not cancelled: it is completed\nRun 4711: not cancelled: there is no such run\n",
    )
    told = read("resume", done)
    assert tuple(told) == SUBCOMMANDS["resume"].keys
    assert told == {"done": [], "refused": [{"id": done, "detail": "it is completed"}]}


def test_a_run_is_restarted_at_a_step_with_another_state() -> None:
    failing()
    run = left()
    Decide.answer["bad"] = lambda context: StopFlow("enough")

    assert flowcontrol("restart", run.pk, "--step", "bad", "--state", '{"n": 9}')[:2] == (
        0,
        f"Run {run.pk}: restarted\n",
    )
    again = execute_run(run.pk)
    assert (again.status, again.reason, dict(again.state)) == ("stopped", "enough", {"n": 9})


def test_a_restart_at_a_step_that_is_not_there_names_those_that_are() -> None:
    failing()
    run = left()
    code, out, _ = flowcontrol("restart", run.pk, "4711", "--step", "god")

    assert code == 1
    assert f'Run {run.pk}: not restarted: The flow "flow" has no step "god". Its steps are: bad.' in out
    assert "Run 4711: not restarted: There is no run 4711." in out


# -- tick ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_tick_executes_what_is_due_and_says_what_it_did() -> None:
    failing()
    failed = started().pk
    counting()
    done = started().pk
    code, out, _ = flowcontrol("tick")

    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f'Run {failed} of flow: failed: Step "Bad step" (bad) failed: KeyError')
    assert lines[1:] == [
        f"Run {done} of flow: completed",
        "2 stretches of runs executed, 1 completed, 1 failed; nothing else is due.",
    ]
    assert flowcontrol("tick")[1] == "Nothing was due.\n"
    assert run_finished.receivers == []


@pytest.mark.django_db(transaction=True)
def test_tick_as_json_has_the_keys_of_the_help() -> None:
    counting()
    run = started().pk
    told = read("tick")

    assert tuple(told) == SUBCOMMANDS["tick"].keys
    assert told == {
        "executed": 1,
        "ended": [{"id": run, "flow": "flow", "status": "completed", "reason": ""}],
    }


def test_a_paused_run_is_left_alone_by_tick() -> None:
    counting()
    pause_runs(started())

    assert flowcontrol("tick")[1] == "Nothing was due.\n"


# -- real processes --------------------------------------------------------------------------------------------


def test_a_flow_is_imported_started_and_followed_by_real_commands(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "go_on").touch()
    assert project.manage("migrate", "--verbosity", "0").returncode == 0
    document = "flowcontrol: 1\nslug: real\nname: Real\nsteps:\n  - {id: slow, action: shop.slow}\n"

    assert (
        project.manage("flowcontrol", "import", "-", given=document).stdout
        == "real: new, version 1 published\n"
    )
    done = project.manage("flowcontrol", "start", "real", "--wait")
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "completed")
    assert "slow  → Next (" in done.stderr
    assert project.manage("flowcontrol", "start", "nowhere").returncode == 1
    assert project.manage("flowcontrol", "cancel", "1").returncode == 1
