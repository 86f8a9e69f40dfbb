"""What authors and users of other plugin systems complain about, each with the tests that hold it off here.

The numbers are those of a survey of the issue trackers of pytest, datasette, llm, kedro, NetBox, n8n, Node-RED, Home
Assistant, InvenTree, Pulp and others. Where the test was there, the table names it; the rest is below.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, start_flow
from flowcontrol.models import Flow, FlowRun
from flowcontrol.testing import isolated_plugins
from test_command_plugins import acme as acme  # noqa: PLC0414  # a fixture
from test_plugins_processes import Project
from test_plugins_processes import project as project  # noqa: PLC0414  # a fixture

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
CORE, HERE = "flowcontrol-core/tests/", "tests/"
PROCESSES, LOADING = f"{CORE}test_plugins_processes.py", f"{CORE}test_plugins_loading.py"
COMMANDS, CAPABILITIES = f"{CORE}test_command_plugins.py", f"{CORE}test_engine_capabilities.py"
RULES, TEMPLATE, WHEELS = f"{CORE}test_testing_rules.py", f"{HERE}test_template.py", f"{HERE}test_wheels.py"
DEMO = f"{HERE}test_demo_plugins.py"
SELECTION, MINE = f"{CORE}test_plugins_selection.py", f"{HERE}test_failures_of_others.py"

FAILURES: dict[str, list[tuple[str, str]]] = {
    "1. One broken plugin disables the whole tool, the command that uninstalls it included": [
        (PROCESSES, "test_a_server_goes_on_without_the_plugin_and_says_so_once"),
        (PROCESSES, "test_a_server_goes_on_without_a_pack_whose_app_cannot_even_be_imported"),
        (PROCESSES, "test_the_commands_that_say_why_get_as_far_as_saying_it"),
        (MINE, "test_a_pack_can_be_removed_while_another_one_is_broken"),
    ],
    "2. A plugin that could not be loaded is left out in silence": [
        (LOADING, "test_isolating_logs_each_problem_once_with_its_traceback"),
        (PROCESSES, "test_check_reports_the_plugin_with_id_and_hint_and_fails"),
        (
            f"{CORE}test_admin_pages.py",
            "test_the_list_of_flows_tells_which_plugins_cannot_be_used_and_which_workers_have_others",
        ),
    ],
    "3. A missing plugin unpublishes flows, or stops all of them": [
        (MINE, "test_a_flow_whose_plugin_is_gone_stays_as_it_is_and_stops_no_other"),
        (DEMO, "test_a_run_whose_pack_is_switched_off_is_blocked_and_finishes_when_it_is_back"),
    ],
    "4. It works in the web process and fails in the worker": [
        (CAPABILITIES, "test_a_worker_leaves_a_run_that_needs_what_it_lacks_to_those_that_have_it"),
        (COMMANDS, "test_runs_that_nobody_takes_are_an_error_and_a_matter_of_workers"),
    ],
    "5. During an upgrade an old worker takes a new task": [
        (CAPABILITIES, "test_a_configuration_that_is_too_new_here_is_left_to_a_worker_with_a_newer_plugin"),
    ],
    "6. Plugins name the newest core that they allow, and break with each upgrade": [
        (LOADING, "test_an_old_plugin_goes_on_working_with_a_newer_core"),
        (LOADING, "test_a_plugin_of_an_older_major_api_is_left_out_with_where_to_look"),
    ],
    "7. Installing a plugin upgrades the core by the way": [
        (MINE, "test_frozen_constraints_keep_pip_from_upgrading_the_core_for_a_pack"),
        (LOADING, "test_a_plugin_that_is_too_new_is_told_so_whatever_else_is_new_about_it"),
    ],
    "8. After an upgrade of the environment plugins are gone, and nobody knows which there were": [
        (LOADING, "test_a_missing_plugin_is_an_error_with_the_line_to_install_it"),
        (COMMANDS, "test_freeze_gives_the_list_and_the_versions_of_what_is_in_use"),
        (COMMANDS, "test_the_frozen_list_can_be_pasted_and_selects_the_same"),
    ],
    "9. Uninstalling takes SQL by hand, and pages crash while a plugin is off": [
        (COMMANDS, "test_a_purge_removes_tables_and_content_types_and_no_flow"),
        (COMMANDS, "test_the_plan_of_a_purge_changes_nothing"),
        (RULES, "test_what_stands_in_the_way_once_it_is_switched_off_is_found"),
    ],
    "10. Nobody can say in which order hooks are called": [
        (LOADING, "test_notifications_reach_plugins_in_the_order_of_the_list"),
        (SELECTION, "test_a_list_selects_in_its_own_order"),
    ],
    "11. Which of two plugins wins depends on the order of a directory": [
        (SELECTION, "test_two_distributions_that_claim_one_name_are_both_refused_and_both_named"),
        (LOADING, "test_a_plugin_that_takes_a_name_of_the_project_is_quarantined_and_both_are_named"),
        (PROCESSES, "test_apps_of_plugins_come_from_metadata_in_the_order_of_the_list"),
    ],
    "12. A plugin with models has to be written into two lists": [
        (PROCESSES, "test_apps_of_plugins_come_from_metadata_in_the_order_of_the_list"),
        (LOADING, "test_an_app_pack_whose_app_is_not_installed_is_pointed_out"),
    ],
    "13. A plugin needs another app, and Django says so in its own words": [
        (PROCESSES, "test_a_server_goes_on_without_a_pack_whose_app_is_broken"),
    ],
    "14. Every start imports everything that any plugin might need": [
        (LOADING, "test_ten_plugins_add_at_most_20_ms_beyond_their_own_imports"),
        ("flowcontrol-actions-builtin/tests/test_builtin_plugin.py",
         "test_the_hook_module_imports_no_forms_models_or_actions"),
        (MINE, "test_no_hook_module_of_ours_imports_models"),
    ],
    "15. Plugins that pin one version of the core cannot be installed together": [
        (WHEELS, "test_distributions_depend_on_the_core_by_the_range_of_this_series"),
        (RULES, "test_a_rule_finds_what_breaks_it_and_no_other_does"),
    ],
    "16. A hook that is misspelt or unmarked is never called, and nobody says so": [
        (LOADING, "test_functions_that_look_like_hooks_and_are_none_are_pointed_out"),
    ],
    "17. Metadata that was optional is required one day, and everything breaks at once": [
        (LOADING, "test_a_broken_plugin_is_quarantined_with_its_error_and_the_others_load"),
    ],
    "18. What a template made cannot be brought up to date": [
        (TEMPLATE, "test_a_pack_made_with_the_template_has_not_drifted_from_it"),
    ],
    "19. The template rots, and its test cannot fail": [
        (TEMPLATE, "test_a_new_packs_tests_are_green_and_its_example_runs"),
        (TEMPLATE, "test_a_new_pack_whose_action_is_broken_is_red"),
        (MINE, "test_the_template_refuses_no_version_by_a_list_of_its_own"),
    ],
    "20. A wheel lost its entry point, so that the plugin does not exist": [
        (WHEELS, "test_every_pack_has_an_entry_point_that_is_in_its_wheel"),
        (RULES, "test_a_rule_finds_what_breaks_much"),
    ],
    "21. What a removed plugin left behind haunts the pages": [
        (COMMANDS, "test_a_purge_takes_the_permission_to_use_the_actions_with_it"),
        (RULES, "test_what_stands_in_the_way_once_it_is_switched_off_is_found"),
    ],
}  # fmt: skip


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_of_others_has_tests_here(failure: str) -> None:
    assert FAILURES[failure]
    for path, name in FAILURES[failure]:
        assert name in names_in(path), f"{path} has no {name} any more"


def test_all_twenty_one_are_there() -> None:
    assert [int(failure.partition(".")[0]) for failure in FAILURES] == list(range(1, 22))


def test_a_pack_can_be_removed_while_another_one_is_broken(acme: Project) -> None:
    (acme.site / "flowcontrol_actions_zebra_hooks.py").write_text("1 / 0\n")
    purged = acme.manage("flowcontrol", "plugins", "purge", "acme", "--noinput")
    assert purged.returncode == 0, purged.stdout + purged.stderr
    assert "pip uninstall flowcontrol-actions-acme" in purged.stdout


@pytest.mark.django_db
def test_a_flow_whose_plugin_is_gone_stays_as_it_is_and_stops_no_other() -> None:
    wait = {"id": "wait", "action": "builtin.delay", "config": {"seconds": 60}}
    for slug, steps in {"needs": [wait], "plain": []}.items():
        import_flow({"flowcontrol": 1, "slug": slug, "name": slug, "steps": steps})
    before = list(Flow.objects.order_by("pk").values())
    with isolated_plugins(["-builtin"]):
        for slug in ("needs", "plain"):
            start_flow(slug)
        continue_flowruns()
        assert dict(FlowRun.objects.values_list("flow__slug", "status")) == {
            "needs": "blocked",
            "plain": "completed",
        }
    assert list(Flow.objects.order_by("pk").values()) == before
    FlowRun.objects.filter(status="blocked").update(due_at=FlowRun.objects.earliest("pk").created_at)
    continue_flowruns()
    assert FlowRun.objects.get(flow__slug="needs").status == "waiting"


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """A wheel of nothing but its metadata."""
    stem = f"{name.replace('-', '_')}-{version}"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{stem}.dist-info/{file}", text)


@pytest.mark.skipif(find_spec("pip") is None, reason="pip is what is asked; uv's environments have none")
def test_frozen_constraints_keep_pip_from_upgrading_the_core_for_a_pack(
    project: Project, tmp_path: Path
) -> None:
    wheel(tmp_path, "flowcontrol-core", "99.0")
    wheel(tmp_path, "flowcontrol-actions-hasty", "1.0", "flowcontrol-core>=99")
    frozen = project.manage("flowcontrol", "plugins", "freeze", "--constraints")
    (tmp_path / "constraints.txt").write_text(frozen.stdout)
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    pip += ["--disable-pip-version-check", "flowcontrol-actions-hasty"]
    hasty = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert "flowcontrol-core-99.0" in hasty.stdout, hasty.stderr
    kept = subprocess.run(
        [*pip, "-c", str(tmp_path / "constraints.txt")], capture_output=True, text=True, check=False
    )
    assert kept.returncode == 1
    assert "The user requested (constraint) flowcontrol-core==" in kept.stdout + kept.stderr


def test_no_hook_module_of_ours_imports_models() -> None:
    packages = [folder.name.replace("-", "_") for folder in ROOT.glob("flowcontrol-*")]
    modules = [f"{name}.plugin" for name in packages if find_spec(name) and find_spec(f"{name}.plugin")]
    assert "flowcontrol_actions_builtin.plugin" in modules
    code = "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]]; "
    code += "print('django.db.models' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_the_template_refuses_no_version_by_a_list_of_its_own() -> None:
    """One that names the versions of Django it allows is broken by each release of Django."""
    for hook in (ROOT / "cookiecutter-action" / "hooks").glob("*.py"):
        # A name that is reserved, and no version.
        text = hook.read_text(encoding="utf-8").lower().replace('"django_tasks"', "")
        assert "django" not in text
        assert "version_info" not in text
