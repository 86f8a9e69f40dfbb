"""The command line as a whole: help, exit codes, and that it works where nothing else does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from command_project import Project
from django.core.management import CommandError, call_command
from flowcontrol.management.command_line import STATUSES, SUBCOMMANDS
from flowcontrol.management.commands.flowcontrol import Command
from flowcontrol.management.output import columns, iso, shortened, table
from flowcontrol.models import RunStatus
from flowcontrol.sentences import duration

BROKEN = "raise RuntimeError('the licence of acme is over')"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# -- plugins, when everything else is broken -------------------------------------------------------------------


def test_plugins_are_listed_without_a_database(tmp_path: Path) -> None:
    nowhere = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/folder/db.sqlite3"}
    done = Project(tmp_path, database=nowhere).manage("flowcontrol", "plugins")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('Selected by FLOWCONTROL["PLUGINS"]: nothing')


def test_a_broken_plugin_is_told_with_its_reason_and_exit_code_1(tmp_path: Path) -> None:
    project = Project(tmp_path, flowcontrol={"PLUGINS": ["acme"]})
    project.plugin("acme", BROKEN)
    done = project.manage("flowcontrol", "plugins")

    assert done.returncode == 1
    assert "acme quarantined flowcontrol-actions-acme 1.0" in " ".join(done.stdout.split())
    assert "the licence of acme is over" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_traceback_of_a_broken_plugin_is_there_for_who_asks(tmp_path: Path) -> None:
    project = Project(tmp_path, flowcontrol={"PLUGINS": ["acme"]})
    project.plugin("acme", BROKEN)

    assert (
        "Traceback (most recent call last)" in project.manage("flowcontrol", "plugins", "--traceback").stdout
    )


def test_plugins_are_listed_whatever_else_is_broken(tmp_path: Path) -> None:
    more = (
        "from django.core import checks\n"
        "checks.register(lambda **kwargs: [checks.Error('all is lost', id='x.E001')])\n"
        "ROOT_URLCONF = 'no.such.module'\n"
        # As if the engine's own modules could not be imported.
        "import sys; sys.modules['flowcontrol.engine'] = sys.modules['flowcontrol.documents.yaml'] = None\n"
    )
    settings = {"PLUGINS": ["acme", "gone"], "SCHEDULER": "none_such", "NONSENSE": 1}
    project = Project(tmp_path, flowcontrol=settings, more=more, actions="1 / 0")
    project.plugin("acme", BROKEN)
    done = project.manage("flowcontrol", "plugins", "--json")
    told = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}

    assert done.returncode == 1
    assert {name: told[name]["problem"] for name in ("acme", "gone", "shop")} == {
        "acme": "broken",
        "gone": "missing",
        "shop": "app",
    }
    assert "division by zero" in told["shop"]["reason"]


@pytest.mark.parametrize("settings", ["garbage", {"PLUGINS": "acme"}])
def test_plugins_are_listed_when_the_settings_mean_nothing(tmp_path: Path, settings: object) -> None:
    done = Project(tmp_path, flowcontrol=settings).manage("flowcontrol", "plugins")

    assert done.returncode == 1
    assert "has to be" in done.stdout


def test_json_of_the_plugins_has_the_keys_that_the_help_tells(tmp_path: Path) -> None:
    project = Project(tmp_path, flowcontrol={"PLUGINS": ["acme"]})
    project.plugin("acme", BROKEN)
    told = json.loads(project.manage("flowcontrol", "plugins", "--json").stdout)

    assert list(told) == ["entries", "is_from_environment", "malformed", "plugins"]
    assert set(told["plugins"][0]) == set(SUBCOMMANDS["plugins"].keys)


def test_the_environment_is_named_when_it_replaces_the_list(project: Project) -> None:
    done = project.manage("flowcontrol", "plugins", FLOWCONTROL_PLUGINS="")

    assert done.stdout.startswith("Selected by the environment variable FLOWCONTROL_PLUGINS: nothing")


# -- usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["start", "welcome", "--state", "{"], "'{' is no JSON"),
        (["start", "welcome", "--state", "[1]"], "'[1]' is no JSON object"),
        (["start", "welcome", "--object", "auth.user"], "write app.model:key, such as auth.user:1"),
        (["start", "welcome", "--object", "nothing.atall:1"], "There is no model nothing.atall"),
        (["run", "0"], "0 is not 1 or more"),
        (["runs", "--status", "lost"], "invalid choice: 'lost'"),
        (["worker", "--poll-seconds", "nan"], "nan is no number of seconds above 0"),
        (["import", "no_such.yaml"], "no_such.yaml cannot be read: No such file or directory."),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_clear_error(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        Command().run_from_argv(["manage.py", "flowcontrol", *arguments])

    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_wrong_usage_ends_a_real_process_with_exit_code_2(project: Project) -> None:
    done = project.manage("flowcontrol", "start", "welcome", "--state", "{")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_database_without_tables_is_one_clear_error(project: Project) -> None:
    done = project.manage("flowcontrol", "flows")

    assert done.returncode == 1
    assert re.fullmatch(
        r"CommandError: The database cannot be used: no such table: \w+\. "
        r"Does it run, and was manage\.py migrate run\?\n",
        done.stderr,
    )


def test_options_of_django_may_stand_behind_the_subcommand(project: Project) -> None:
    done = project.manage(
        "flowcontrol",
        "plugins",
        "--settings",
        "project_settings",
        "--verbosity",
        "2",
        "--no-color",
        "--traceback",
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_help_tells_every_subcommand_and_the_exit_codes(project: Project) -> None:
    told = project.manage("flowcontrol", "--help").stdout

    assert [name for name in SUBCOMMANDS if f"\n    {name} " not in told] == []
    assert "exit codes:\n  0  done\n" in told


@pytest.mark.parametrize("name", [name for name, subcommand in SUBCOMMANDS.items() if subcommand.keys])
def test_help_of_a_listing_tells_the_keys_of_its_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("flowcontrol", name, "--help")
    told = capsys.readouterr().out

    assert "--json writes" in told
    assert ", ".join(SUBCOMMANDS[name].keys) in told


def test_wrong_usage_within_a_program_raises_a_command_error() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'dance'"):
        call_command("flowcontrol", "dance")


def test_the_statuses_of_the_command_line_are_those_of_runs() -> None:
    assert list(STATUSES) == RunStatus.values


# -- output ----------------------------------------------------------------------------------------------------


def test_a_table_is_aligned_and_ends_without_blanks() -> None:
    assert table(["A", "LONG"], [["first", 1], ["b", ""]]) == ["A      LONG", "first  1", "b"]


def test_facts_that_are_empty_are_left_out() -> None:
    assert columns({"a": 1, "none": None, "longer": "x", "empty": ""}) == ["a:      1", "longer: x"]
    assert columns({}) == []


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(microseconds=840), "840 µs"),
        (timedelta(milliseconds=12), "12 ms"),
        (timedelta(seconds=3.21), "3.2 s"),
        (timedelta(minutes=5, seconds=40), "5 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=-3, hours=-4), "3 d 4 h"),
        (timedelta(days=60), "60 d"),
    ],
)
def test_lengths_are_told_as_people_say_them(length: timedelta, told: str) -> None:
    assert duration(length) == told


def test_times_in_json_are_utc() -> None:
    assert iso(datetime(2026, 1, 31, 12, tzinfo=UTC)) == "2026-01-31T12:00:00Z"
    assert iso(None) is None


def test_text_is_shortened_to_one_line() -> None:
    assert shortened("a\n b" + "c" * 10, 6) == "a bcc…"


def test_call_command_takes_options_by_name(db: Any) -> None:
    out = StringIO()
    call_command("flowcontrol", "flows", as_json=True, stdout=out)

    assert json.loads(out.getvalue()) == []
