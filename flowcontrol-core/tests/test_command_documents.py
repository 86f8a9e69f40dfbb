"""Flows as files: schema, validate, import, export, diff."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from engine_actions import ACTIONS
from flowcontrol import registry
from flowcontrol.documents import parse_yaml
from flowcontrol.management.command_line import SUBCOMMANDS
from flowcontrol.models import Flow, Trigger

pytestmark = pytest.mark.django_db

WELCOME = """\
flowcontrol: 1
slug: welcome
name: Welcome
triggers:
  - on: test.ping
steps:
  - id: first
    action: test.put
    config:
      state:
        greeting: hello
"""

BROKEN = """\
flowcontrol: 1
slug: broken
name: Broken
steps:
  - {id: a, action: test.nothing}
  - {id: a, action: test.pause, config: {seconds: soon}}
"""


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.actions.preserved(), registry.triggers.preserved():
        for action in ACTIONS:
            registry.register_action(action)
        registry.register_trigger("test.ping")
        yield


@pytest.fixture
def welcome(tmp_path: Path) -> str:
    return written(tmp_path, "welcome.yaml", WELCOME)


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def flowcontrol(*arguments: str) -> tuple[int, str]:
    """Exit code and standard output."""
    out = io.StringIO()
    code: Any = 0
    try:
        call_command("flowcontrol", *arguments, stdout=out, stderr=io.StringIO(), no_color=True)
    except SystemExit as stop:
        code = stop.code
    return code, out.getvalue()


def read(*arguments: str) -> Any:
    return json.loads(flowcontrol(*arguments, "--json")[1])


def test_the_schema_knows_the_installed_actions() -> None:
    code, told = flowcontrol("schema")

    assert code == 0
    assert "test.pause" in json.loads(told)["$defs"]["step"]["properties"]["action"]["enum"]


def test_a_valid_file_is_valid(welcome: str) -> None:
    assert flowcontrol("validate", welcome) == (0, f"{welcome}: welcome: valid\n")
    assert Flow.objects.count() == 0


def test_every_problem_of_every_file_is_told_with_its_path(tmp_path: Path, welcome: str) -> None:
    broken = written(tmp_path, "broken.yaml", BROKEN)
    no_yaml = written(tmp_path, "no.yaml", "steps: [")
    code, told = flowcontrol("validate", broken, welcome, no_yaml)

    assert code == 1
    for line in (
        f"{broken}: broken: 3 problems",
        "  steps[0].action: ",
        "  steps[1].id: ",
        "  steps[1].config.seconds: ",
    ):
        assert line in told
    assert f"{welcome}: welcome: valid" in told
    assert f"{no_yaml}: 1 problem\n  line " in told


def test_validation_as_json_has_the_keys_of_the_help(tmp_path: Path, welcome: str) -> None:
    broken = written(tmp_path, "broken.yaml", BROKEN)
    first, second = read("validate", broken, welcome)

    assert tuple(first) == SUBCOMMANDS["validate"].keys
    assert (first["slug"], first["is_valid"]) == ("broken", False)
    assert {problem["path"] for problem in first["problems"]} == {
        "steps[0].action",
        "steps[1].id",
        "steps[1].config.seconds",
    }
    assert set(first["problems"][0]) == {"path", "message", "value", "level"}
    assert second == {"file": welcome, "slug": "welcome", "is_valid": True, "problems": []}


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WELCOME.encode())))

    assert flowcontrol("validate", "-") == (0, "standard input: welcome: valid\n")


def test_an_import_stores_and_publishes_and_the_same_again_changes_nothing(welcome: str) -> None:
    assert flowcontrol("import", welcome) == (0, "welcome: new, version 1 published\n")
    assert flowcontrol("import", welcome) == (0, "welcome: unchanged\n")
    assert read("import", welcome) == [
        {"slug": "welcome", "version": 1, "is_new": False, "is_changed": False, "is_published": False}
    ]
    assert Flow.objects.get().published is not None


def test_json_of_an_import_has_the_keys_of_the_help(welcome: str) -> None:
    assert tuple(read("import", welcome)[0]) == SUBCOMMANDS["import"].keys


def test_an_import_as_draft_publishes_nothing(welcome: str) -> None:
    assert flowcontrol("import", welcome, "--draft") == (0, "welcome: new, draft only\n")
    assert Flow.objects.get().published is None


def test_an_import_with_one_broken_document_stores_none(tmp_path: Path, welcome: str) -> None:
    broken = written(tmp_path, "broken.yaml", BROKEN)
    with pytest.raises(CommandError) as raised:
        flowcontrol("import", welcome, broken)

    for path in ("steps[0].action", "steps[1].id", "steps[1].config.seconds", "nothing was stored"):
        assert path in str(raised.value)
    assert (Flow.objects.count(), raised.value.returncode) == (0, 1)


def test_an_import_of_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no document in"):
        flowcontrol("import", written(tmp_path, "empty.yaml", "# nothing\n"))


def test_an_export_is_the_document_that_was_imported(tmp_path: Path, welcome: str) -> None:
    flowcontrol("import", welcome)
    flowcontrol("import", written(tmp_path, "other.yaml", WELCOME.replace("welcome", "other")))

    assert parse_yaml(flowcontrol("export", "welcome")[1]) == parse_yaml(WELCOME)
    assert [document["slug"] for document in parse_yaml(flowcontrol("export")[1])] == ["other", "welcome"]
    assert [document["slug"] for document in read("export", "welcome", "other")] == ["welcome", "other"]


def test_an_export_of_an_unknown_flow_names_the_nearest(welcome: str) -> None:
    flowcontrol("import", welcome)
    with pytest.raises(CommandError, match="There is no flow “welcom”. Did you mean “welcome”?"):
        flowcontrol("export", "welcom")


def test_a_diff_tells_what_an_import_would_change(tmp_path: Path, welcome: str) -> None:
    assert flowcontrol("diff", welcome) == (1, "welcome: is not stored\n")
    flowcontrol("import", welcome)
    assert flowcontrol("diff", welcome) == (0, "welcome: no difference\n")

    changed = written(tmp_path, "changed.yaml", WELCOME.replace("hello", "good day"))
    code, told = flowcontrol("diff", changed)
    assert code == 1
    assert told.startswith(
        "welcome: 1 difference\n  changed step “first”".replace("“", '"').replace("”", '"')
    )
    (only,) = read("diff", changed)
    assert tuple(only) == SUBCOMMANDS["diff"].keys
    assert (only["is_stored"], only["changes"][0]["step"]) == (True, "first")


def test_what_a_document_leaves_out_is_no_difference(tmp_path: Path, welcome: str) -> None:
    flowcontrol("import", welcome)
    Flow.objects.update(is_active=False)
    without = WELCOME.replace("triggers:\n  - on: test.ping\n", "")

    assert flowcontrol("diff", written(tmp_path, "without.yaml", without))[0] == 0
    assert Trigger.objects.count() == 1


def test_flows_are_listed_with_what_is_live(welcome: str) -> None:
    flowcontrol("import", welcome)
    code, told = flowcontrol("flows")

    assert code == 0
    assert told.splitlines() == [
        "FLOW     NAME     ACTIVE  VERSION  OBJECT  TRIGGERS  LIVE RUNS",
        "welcome  Welcome  yes     1        -       1         0",
    ]
    (only,) = read("flows")
    assert tuple(only) == SUBCOMMANDS["flows"].keys


def test_actions_are_listed_and_a_broken_one_is_exit_code_1() -> None:
    assert flowcontrol("actions")[0] == 0
    registry.actions.register(registry.ActionSpec("acme.gone", "acme.nowhere:Gone"), provider="plugin acme")
    code, told = flowcontrol("actions")

    assert code == 1
    assert "acme.gone cannot be used." in told
    listed = {action["name"]: action for action in read("actions")}
    assert tuple(listed["acme.gone"]) == SUBCOMMANDS["actions"].keys
    assert "No module named 'acme'" in listed["acme.gone"]["problem"]
    assert (listed["test.pause"]["effect"], listed["test.pause"]["config"]) == ("pure", ["seconds", "event"])
