"""``flowcontrol plugins show | doctor | freeze | purge`` and ``flowcontrol doctor``, in projects of their own."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from engine_actions import Count
from flowcontrol import registry
from flowcontrol.documents import import_flow
from flowcontrol.engine import start_flow
from flowcontrol.engine.claims import claim
from flowcontrol.engine.clock import Clock
from flowcontrol.engine.presence import active_plugins
from flowcontrol.management.diagnosis import AREAS, Finding, diagnose
from flowcontrol.models import FlowRun, Worker
from test_plugins_processes import Project, app_pack, broken
from test_plugins_processes import project as project  # noqa: PLC0414  # a fixture

pytestmark = pytest.mark.own_database

ACTIONS = """
from flowcontrol.base import BaseAction

class Act(BaseAction):
    name = "acme.act"
"""

FLOW = "flowcontrol: 1\nslug: uses-acme\nname: Uses acme\nsteps:\n  - {id: one, action: acme.act}\n"


@pytest.fixture
def acme(project: Project) -> Project:
    """A project with an app pack, its tables, and a flow that uses it."""
    app_pack(project)
    (project.folder / "acme_actions.py").write_text(ACTIONS)
    (project.folder / "zebra_actions.py").write_text(ACTIONS.replace("acme", "zebra"))
    for arguments in (["makemigrations", "acme_pack"], ["migrate"]):
        done = project.manage(*arguments)
        assert done.returncode == 0, done.stderr
    project.write("flow.yaml", FLOW)
    done = project.manage("flowcontrol", "import", "flow.yaml")
    assert done.returncode == 0, done.stderr
    return project


def tables(project: Project) -> str:
    code = "from django.db import connection; print(*connection.introspection.table_names())"
    return project.manage("shell", "-v", "0", "-c", code).stdout


def test_show_tells_all_about_a_plugin_and_which_flows_use_it(acme: Project) -> None:
    shown = acme.manage("flowcontrol", "plugins", "show", "flowcontrol-actions-acme", "--json")
    told = json.loads(shown.stdout)
    assert (told["name"], told["state"], told["app"]) == ("acme", "active", "acme_pack.apps.AcmeConfig")
    assert told["used_by"] == [
        {"flow": "uses-acme", "version": 1, "is_published": True, "runs": 0, "actions": ["acme.act"]}
    ]
    page = acme.manage("flowcontrol", "plugins", "show", "acme").stdout
    assert 'The flow "uses-acme" uses acme.act.' in page


def test_show_and_purge_see_drafts_and_older_versions_that_runs_are_on(acme: Project) -> None:
    assert acme.manage("flowcontrol", "start", "uses-acme").returncode == 0
    acme.write("flow.yaml", FLOW.replace("acme.act", "zebra.act"))
    assert acme.manage("flowcontrol", "import", "flow.yaml").returncode == 0
    acme.write("flow.yaml", FLOW.replace("uses-acme", "drafted"))
    assert acme.manage("flowcontrol", "import", "--draft", "flow.yaml").returncode == 0
    shown = acme.manage("flowcontrol", "plugins", "show", "acme").stdout
    assert 'The draft of the flow "drafted" uses acme.act.' in shown
    assert 'Version 1 of the flow "uses-acme", which 1 live runs are on, uses acme.act.' in shown
    assert 'The flow "uses-acme" uses' not in shown
    planned = json.loads(acme.manage("flowcontrol", "plugins", "purge", "acme", "--plan", "--json").stdout)
    assert [line.partition(" uses ")[0] for line in planned["references"]] == [
        'The draft of the flow "drafted"',
        'Version 1 of the flow "uses-acme", which 1 live runs are on,',
    ]


def test_a_purge_for_machines_asks_nobody(acme: Project) -> None:
    asked = acme.manage("flowcontrol", "plugins", "purge", "acme", "--json")
    assert asked.returncode == 1
    assert "give --plan to see what would be done, or --noinput" in asked.stderr
    assert "acme_pack_thing" in tables(acme)
    purged = json.loads(acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput", "--json").stdout)
    assert "tables of acme_pack: manage.py migrate acme_pack zero" in purged["steps"]
    assert purged["is_plan"] is False
    assert "acme_pack_thing" not in tables(acme)


def test_show_works_before_there_is_a_database_and_with_a_broken_plugin(project: Project) -> None:
    broken(project)
    shown = project.manage("flowcontrol", "plugins", "show", "acme")
    assert shown.returncode == 1
    assert "ZeroDivisionError: division by zero" in shown.stdout
    assert "Which flows use it is not known" in shown.stdout


def test_a_plugin_that_is_not_there_gets_a_suggestion(project: Project) -> None:
    shown = project.manage("flowcontrol", "plugins", "show", "zebr")
    assert shown.returncode == 1
    assert 'No plugin "zebr" is installed or on the list.' in shown.stderr
    assert "zebra" in shown.stderr


def test_freeze_gives_the_list_and_the_versions_of_what_is_in_use(project: Project) -> None:
    project.install("acme", version="2.5")
    frozen = json.loads(project.manage("flowcontrol", "plugins", "freeze", "--json").stdout)
    assert frozen["plugins"] == ["acme", "zebra"]
    assert "flowcontrol-actions-acme==2.5" in frozen["requirements"]
    constraints = project.manage("flowcontrol", "plugins", "freeze", "--constraints").stdout.split()
    assert constraints == frozen["requirements"]


def test_the_frozen_list_can_be_pasted_and_selects_the_same(project: Project) -> None:
    project.install("acme")
    line = project.manage("flowcontrol", "plugins", "freeze").stdout.splitlines()[0]
    settings = (project.folder / "site_settings.py").read_text()
    project.write(
        "site_settings.py", settings.replace('FLOWCONTROL = {"PLUGINS": ["acme*", "zebra*"]}', line)
    )
    assert '"PLUGINS": ["acme", "zebra"]' in line
    assert project.run("server.py").stdout.splitlines()[0] == "acme:active zebra:active"


def test_the_plan_of_a_purge_changes_nothing(acme: Project) -> None:
    planned = acme.manage("flowcontrol", "plugins", "purge", "acme", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert 'The flow "uses-acme" uses acme.act. It stays' in planned.stdout
    assert "manage.py migrate acme_pack zero" in planned.stdout
    assert "acme_pack_thing" in tables(acme)


def test_a_purge_removes_tables_and_content_types_and_no_flow(acme: Project) -> None:
    purged = acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput")
    assert purged.returncode == 0, purged.stderr
    assert "Now: pip uninstall flowcontrol-actions-acme, and restart." in purged.stdout
    assert "acme_pack_thing" not in tables(acme)
    code = (
        "from django.contrib.contenttypes.models import ContentType; from flowcontrol.models import Flow;"
        "print(ContentType.objects.filter(app_label='acme_pack').count(), Flow.objects.count())"
    )
    assert acme.manage("shell", "-v", "0", "-c", code).stdout.split() == ["0", "1"]
    again = acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput")
    assert "It has nothing of its own in the database." in again.stdout


def test_a_purge_takes_the_credentials_of_its_kinds_with_it(acme: Project) -> None:
    add = "from flowcontrol.models import Credential; add = Credential.objects.create;"
    code = f"{add} add(name='ours', kind='acme.key'); add(name='theirs', kind='acme2.key')"
    assert acme.manage("shell", "-v", "0", "-c", code).returncode == 0
    purged = json.loads(acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput", "--json").stdout)
    assert 'credential "ours" (acme.key)' in purged["steps"]
    code = f"{add} print(*Credential.objects.values_list('name', flat=True))"
    assert acme.manage("shell", "-v", "0", "-c", code).stdout.split() == ["theirs"]


def test_a_purge_takes_the_permission_to_use_the_actions_with_it(acme: Project) -> None:
    code = (
        "from django.contrib.auth.models import Permission;"
        "found = Permission.objects.filter(content_type__model='flow', codename__startswith='use_');"
        "print(*found.values_list('codename', flat=True))"
    )
    assert acme.manage("shell", "-v", "0", "-c", code).stdout.split() == ["use_acme", "use_zebra"]
    planned = acme.manage("flowcontrol", "plugins", "purge", "acme", "--plan").stdout
    assert "permission Flow control | flow | Can use actions of acme in flows" in planned
    acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput")
    assert acme.manage("shell", "-v", "0", "-c", code).stdout.split() == ["use_zebra"]


def test_a_purge_works_in_a_project_without_users(project: Project) -> None:
    settings = (project.folder / "site_settings.py").read_text().replace('"django.contrib.auth", ', "")
    project.write("site_settings.py", settings.replace('"django.contrib.contenttypes", ', ""))
    assert "contrib" not in (project.folder / "site_settings.py").read_text()
    migrated = project.manage("migrate")
    assert migrated.returncode == 0, migrated.stderr
    purged = project.manage("flowcontrol", "plugins", "purge", "zebra", "--noinput")
    assert purged.returncode == 0, purged.stderr
    assert "It has nothing of its own in the database." in purged.stdout


def test_a_plugin_that_is_switched_off_cannot_be_purged(acme: Project) -> None:
    purged = acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput", FLOWCONTROL_PLUGINS="zebra")
    assert purged.returncode == 1
    assert "Switch the plugin on" in purged.stderr
    assert "acme_pack_thing" in tables(acme)


def test_what_cannot_be_imported_cannot_be_purged_and_says_what_can(acme: Project) -> None:
    acme.write("acme_pack/apps.py", "1 / 0\n")
    purged = acme.manage("flowcontrol", "plugins", "purge", "acme", "--plan")
    assert purged.returncode == 1
    assert "ZeroDivisionError" in purged.stderr
    assert "Install a version of flowcontrol-actions-acme that works, for this one command." in purged.stderr


def test_plugins_doctor_imports_the_actions(project: Project) -> None:
    diagnosed = project.manage("flowcontrol", "plugins", "doctor", "--json")
    assert diagnosed.returncode == 1
    (finding,) = json.loads(diagnosed.stdout)
    assert "No module named 'zebra_actions'" in finding["text"]
    assert finding["advice"]


def test_the_doctor_finds_what_is_wrong_in_one_go_without_a_database(project: Project) -> None:
    broken(project)
    settings = (project.folder / "site_settings.py").read_text()
    wrong = 'FLOWCONTROL |= {"LEASE_SECONDS": -1, "NONSENSE": 1, "SCHEDULER": "quartz"}\nUSE_TZ = False\n'
    project.write("site_settings.py", settings + wrong)
    diagnosed = project.manage("flowcontrol", "doctor", "--json")
    assert diagnosed.returncode == 1
    found = {(one["area"], one["level"]) for one in json.loads(diagnosed.stdout)}
    assert {
        ("settings", "error"),
        ("settings", "warning"),
        ("plugins", "error"),
        ("database", "error"),
    } <= found
    assert {("scheduler", "error"), ("flows", "error")} <= found
    assert not (project.folder / "db.sqlite3").exists() or "Migrations are not applied" in diagnosed.stdout
    advice = {one["area"]: one["advice"] for one in json.loads(diagnosed.stdout)}
    assert (advice["database"], advice["flows"]) == ("manage.py migrate", "First: manage.py migrate")


def test_a_time_zone_that_nobody_chose_is_told(project: Project) -> None:
    settings = (project.folder / "site_settings.py").read_text()
    told = json.loads(project.manage("flowcontrol", "doctor", "--json").stdout)
    assert "a wait until 9:00 means 9:00 in America/Chicago" in told[0]["text"]
    project.write("site_settings.py", f"{settings}\nTIME_ZONE = 'Europe/Berlin'\n")
    told = json.loads(project.manage("flowcontrol", "doctor", "--json").stdout)
    assert (told[0]["area"], told[0]["level"]) == ("settings", "ok")


@pytest.mark.django_db
@pytest.mark.every_database
def test_clocks_that_differ_are_told_in_a_project_without_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in findings("clock")] == ["ok"]
    ahead = timezone.now() + timedelta(seconds=90)
    monkeypatch.setattr("flowcontrol.management.diagnosis.timezone.now", lambda: ahead)
    (finding,) = findings("clock")
    assert finding.level == "warning"
    assert "differ by 9" in finding.text


def test_the_doctor_goes_on_without_a_database_driver_or_any_database(project: Project) -> None:
    settings = (project.folder / "site_settings.py").read_text()
    project.write("site_settings.py", f"{settings}\nDATABASES = {{}}\nTIME_ZONE = 'UTC'\n")
    diagnosed = project.manage("flowcontrol", "doctor", "--json")
    assert diagnosed.returncode == 1, diagnosed.stderr
    found = {one["area"]: one for one in json.loads(diagnosed.stdout)}
    assert set(found) == set(AREAS)
    assert "settings.DATABASES is improperly configured" in found["database"]["text"]
    assert (found["settings"]["level"], found["plugins"]["level"]) == ("ok", "error")


def findings(area: str) -> list[Finding]:
    return [finding for finding in diagnose() if finding.area == area]


@pytest.mark.django_db
def test_a_healthy_project_is_told_to_be_well(capsys: pytest.CaptureFixture[str]) -> None:
    Worker.objects.create(
        name="a", host="a", pid=1, started_at=timezone.now(), seen_at=timezone.now(), plugins=active_plugins()
    )
    call_command("flowcontrol", "doctor")
    out = capsys.readouterr().out
    for area in ("settings", "database", "clock", "scheduler", "runs", "flows"):
        assert f"{area:<10} fine" in out


@pytest.mark.django_db
@pytest.mark.every_database
def test_runs_that_nobody_takes_are_an_error_and_a_matter_of_workers() -> None:
    import_flow({"flowcontrol": 1, "slug": "f", "name": "F", "steps": []})
    start_flow("f")
    FlowRun.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    (finding,) = findings("scheduler")
    assert finding.level == "error"
    assert finding.advice.startswith("No worker is at work. manage.py flowcontrol worker")
    Worker.objects.create(
        name="a", host="a", pid=1, started_at=timezone.now(), seen_at=timezone.now(), plugins={"fax": "1"}
    )
    overdue, differs = findings("scheduler")
    assert overdue.level == "warning"
    assert "it has fax 1 as well" in differs.text


@pytest.mark.django_db
@pytest.mark.every_database
def test_a_run_that_one_worker_has_in_its_hands_for_hours_is_told() -> None:
    with registry.actions.preserved():
        registry.register_action(Count)
        import_flow(
            {"flowcontrol": 1, "slug": "f", "name": "F", "steps": [{"id": "n", "action": "test.count"}]}
        )
        start_flow("f")
        (claimed,) = claim(1, Clock())
        assert [finding.level for finding in findings("runs")] == ["ok"]
        FlowRun.objects.update(token=f"{int(time.time()) - 7_300:08x}{claimed.token[8:]}")
        (finding,) = findings("runs")
    assert finding.text.startswith('A run of "f" has been executed for 2 h 1 min on end')
    assert "give the step a timeout" in finding.advice


@pytest.mark.django_db
def test_flows_with_missing_actions_and_triggers_are_named() -> None:
    with registry.actions.preserved(), registry.triggers.preserved():
        registry.register_action(Count)
        registry.register_trigger("test.gone")
        import_flow(
            {
                "flowcontrol": 1,
                "slug": "f",
                "name": "F",
                "triggers": [{"on": "test.gone"}],
                "steps": [{"id": "n", "action": "test.count"}],
            }
        )
    step, trigger = findings("flows")
    assert 'Step "n" of "f" uses test.count.' in step.text
    assert "waits for test.gone, which nothing registers" in trigger.text
