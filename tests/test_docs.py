"""What the documentation says is what there is: pages made from the code, headings, tables, blocks and links."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from docs_pages import PAGES, ROOT, Block, anchors, blocks, headings, links, prose
from flowcontrol import base, checks, conf, hookspecs, plugins, registry, tasks
from flowcontrol.credentials import save_credential
from flowcontrol.documents import export_flow, import_flow, parse_yaml, schema, validate
from flowcontrol.engine import continue_flowruns, execute_run, start_flow
from flowcontrol.expressions import filter_names
from flowcontrol.management.command_line import SUBCOMMANDS
from flowcontrol.registry import preserved, register_trigger
from flowcontrol.testing import run_flow
from flowcontrol.vault import new_key

DOCS = ROOT / "docs"
README = ROOT / "README.md"

#: Trigger types that the examples name.
TRIGGER_TYPES = ("accounts.user_registered", "docs.order_saved", "docs.order_paid")


def page_ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=page_ids)


@pytest.fixture
def examples() -> Iterator[None]:
    """What the examples register goes away again, and what they name is there."""
    with preserved():
        for name in TRIGGER_TYPES:
            register_trigger(name)
        yield


# -- pages made from the code --------------------------------------------------------------------------------


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = ("settings.md", "commands.md", "actions.md", "conformance.md", "api.md", "http-reference.md")


@pytest.mark.parametrize("name", MADE)
def test_pages_made_from_the_code_are_up_to_date(name: str) -> None:
    made = generator().pages()[name]
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == made, "run: python3 dev.py docs"


def test_every_page_made_from_the_code_is_held_up_to_date() -> None:
    assert set(generator().pages()) == set(MADE)


# -- public names --------------------------------------------------------------------------------------------

#: Source of packs: our own, and those that were made with the template.
PACK_SOURCES = [*ROOT.glob("flowcontrol-actions-*/src"), *ROOT.glob("tests/packs/*/src")]


def imported_of_the_core(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file imports of the core."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "flowcontrol":
            for alias in node.names:
                is_module = node.module == "flowcontrol"
                yield (f"flowcontrol.{alias.name}", "") if is_module else (node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "flowcontrol":
                    yield alias.name, ""


@pytest.mark.parametrize("source", PACK_SOURCES, ids=lambda source: source.parent.name)
def test_a_pack_imports_public_names_only(source: Path) -> None:
    public = {module: set(importlib.import_module(module).__all__) for module in generator().FOR_PACKS}
    found = {one for file in source.rglob("*.py") for one in imported_of_the_core(file)}
    assert found
    private = {
        (module, name)
        for module, name in found
        if module not in public or (name and name not in public[module])
    }
    assert private == set()


def test_a_module_that_packs_must_not_import_is_not_called_public() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = [one for one in tools["importlinter"]["contracts"] if one["name"].startswith("Packs use")]
    assert set(contract["forbidden_modules"]) & set(generator().FOR_PACKS) == set()


# -- headings ------------------------------------------------------------------------------------------------


def missing(page: str, wanted: set[str]) -> set[str]:
    """Those of the names that are no heading of the page."""
    return wanted - set(headings(DOCS / page))


def test_every_setting_has_its_heading() -> None:
    assert missing("settings.md", {one.name for one in conf.SETTINGS}) == set()


def test_every_command_has_its_heading() -> None:
    assert missing("commands.md", set(SUBCOMMANDS)) == set()


def test_every_builtin_action_has_its_heading() -> None:
    names = {name for name in registry.actions.names() if name.startswith("builtin.")}
    assert len(names) == 13
    assert missing("actions.md", names) == set()


def test_every_system_check_has_its_heading() -> None:
    assert missing("plugins.md", set(checks.CHECK_IDS)) == set()


def test_every_hook_has_its_heading() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("flowcontrol_")}
    assert "flowcontrol_register_actions" in hooks
    assert missing("plugins.md", hooks) == set()


def test_every_member_of_an_action_has_its_heading() -> None:
    members = {name for name in vars(base.BaseAction) if not name.startswith("_")}
    assert {"run", "effect", "Config"} <= members
    assert missing("writing-actions.md", members) == set()


def test_every_decision_has_its_heading() -> None:
    decisions = {kind.__name__ for kind in base.Decision.__args__}
    assert "Wait" in decisions
    assert missing("writing-actions.md", decisions) == set()


def test_every_member_of_the_context_has_its_heading() -> None:
    context = base.ActionContext
    members = {*vars(context), *inspect.get_annotations(context)}
    members = {name for name in members if not name.startswith("_")}
    assert {"config", "object", "evaluate"} <= members
    assert missing("writing-actions.md", members) == set()


# -- tables --------------------------------------------------------------------------------------------------


def rows_below(page: str, heading: str) -> dict[str, list[str]]:
    """Cells of the tables below a heading of a page, by the code in their first cell."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^#", section, flags=re.MULTILINE)[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("The document", schema.DOCUMENT),
        ("limits", schema.LIMITS),
        ("triggers", schema.TRIGGER),
        ("steps", schema.STEP),
        ("retry", schema.RETRY),
    ],
)
def test_every_key_of_a_document_is_in_its_table(heading: str, table: tuple[schema.Key, ...]) -> None:
    rows = rows_below("documents.md", heading)
    assert list(rows) == [key.name for key in table]
    assert [name for name, cells in rows.items() if cells[0] == "yes"] == [
        key.name for key in table if key.is_required
    ]
    for key in table:
        written = rows[key.name][1].strip("`")
        if key.default not in ("", None, [], {}) or key.default == 0:
            assert written == str(key.default).lower(), key.name


def test_every_filter_is_in_the_table_and_no_other() -> None:
    # A plugin's filters are its own to document.
    own = [name for name in filter_names() if not any(name in one.filters for one in plugins.reports())]
    assert list(rows_below("expressions.md", "Filters")) == own


@each_page
def test_every_row_of_a_table_has_as_many_cells_as_its_header(page: Path) -> None:
    width = 0
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.split(r"(?<!\\)\|", line)) - 2
        width = width or cells
        assert cells == width, line


# -- blocks --------------------------------------------------------------------------------------------------


def flow_blocks() -> list[tuple[Path, Block]]:
    return [(page, block) for page in PAGES for block in blocks(page, "yaml")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("page", "block"),
    flow_blocks(),
    ids=lambda one: page_ids(one) if isinstance(one, Path) else f"{one.line}",
)
def test_every_flow_in_the_documentation_validates(page: Path, block: Block, examples: None) -> None:
    if block.title:
        assert page.name in ("tutorial.md", "packs.md", "webhooks.md"), (
            "these files are imported where the page is executed"
        )
        return
    text = block.text
    if not text.startswith("flowcontrol:"):
        # Steps on their own.
        text = f"flowcontrol: 1\nslug: example\nname: Example\nsteps:\n{text}"
    (document,) = parse_yaml(text)
    assert validate(document, known_flows=["feedback"]) == []


@pytest.mark.django_db
def test_a_flow_with_two_ways_out_ends_as_the_page_says() -> None:
    page = DOCS / "concepts.md"
    (block,) = blocks(page, "yaml")
    (document,) = parse_yaml(block.text)
    run = execute_run(start_flow(import_flow(document)).run)
    assert run.status == "completed"
    assert f"It ends with the state `{run.state_json}`.".replace('"', "").replace(" ", "") in prose(
        page
    ).replace('"', "").replace(" ", "").replace("\n", "")


@pytest.mark.django_db
def test_the_flow_of_the_readme_is_the_same_after_import_and_export(examples: None) -> None:
    (block,) = blocks(README, "yaml")
    (document,) = parse_yaml(block.text)
    exported = export_flow(import_flow(document))
    assert exported == document


@pytest.mark.django_db
def test_the_action_of_the_readme_has_ten_lines_and_works() -> None:
    (block,) = [one for one in blocks(README, "python") if one.title]
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 10
    user = User.objects.create(username="ada")
    with preserved():
        exec(compile(block.text, block.title, "exec"), {"__name__": "accounts.flow_actions"})
        flow = import_flow(
            {"flowcontrol": 1, "slug": "off", "name": "Off", "steps": [{"action": "accounts.deactivate"}]}
        )
        run = execute_run(start_flow(flow, user).run)
    assert (run.status, run.reason) == ("completed", "")
    user.refresh_from_db()
    assert not user.is_active


@pytest.mark.django_db
def test_the_kind_of_credential_of_the_page_works(examples: None) -> None:
    (block,) = [one for one in blocks(DOCS / "credentials.md", "python") if one.title]
    exec(compile(block.text, "credentials.md", "exec"), {})
    order = {"action": "shop.order", "config": {"account": "warehouse"}}
    values = {"user": "W1", "key": "the long one"}
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": [new_key()]}):
        save_credential("warehouse", "shop.account", values, hosts=["warehouse.example"])
        assert run_flow(order).state == {"ordered_as": "W1"}
        save_credential("warehouse", "shop.account", values, hosts=["other.example"])
        refused = run_flow(order, status="failed").reason
    assert '<Credential "warehouse" (shop.account)> may not be sent to warehouse.example.' in refused


@pytest.mark.django_db
def test_the_tests_of_an_action_pass_as_they_are_written() -> None:
    by_title = {block.title: block for block in blocks(DOCS / "writing-actions.md", "python") if block.title}
    with preserved():
        exec(
            compile(by_title["shop/flow_actions.py"].text, "flow_actions", "exec"),
            {"__name__": "shop.flow_actions"},
        )
        module: dict[str, Any] = {"__name__": "shop.tests"}
        exec(compile(by_title["shop/tests.py"].text, "tests", "exec"), module)
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(module["ChargeTest"])
        result = unittest.TestResult()
        suite.run(result)
    assert result.testsRun == 1
    assert [text for _, text in [*result.errors, *result.failures]] == []


@pytest.mark.once
def test_the_tests_of_the_page_on_testing_pass_as_they_are_written(tmp_path: Path) -> None:
    titled = [block for block in blocks(DOCS / "testing.md", "python") if block.title]
    for block in titled:
        (tmp_path / block.title).write_text(block.text)
    settings = {
        "DJANGO_SETTINGS_MODULE": "flowcontrol_tests.settings",
        "PYTHONPATH": str(DOCS.parent / "tests"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--rootdir", tmp_path]
    done = subprocess.run(
        [*command, "--nomigrations", tmp_path],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    # A PASSED or FAILED for each; the built-in pack has more samples to give than a page has room for.
    assert "PASSED test_reminder.py" in done.stdout, done.stdout + done.stderr
    assert "PASSED test_crash.py" in done.stdout
    assert "PASSED test_payment.py" in done.stdout
    assert "FAILED test_conformance.py::TestBuiltin::test_rule[A2]" in done.stdout
    assert done.stdout.count("FAILED") <= 4, done.stdout


@each_page
def test_every_python_block_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block.text, f"{page.name}:{block.line}", "exec")


@each_page
def test_python_blocks_import_what_there_is(page: Path) -> None:
    for block in blocks(page, "python"):
        lines = re.findall(r"^from flowcontrol[\w.]* import .*$", block.text, flags=re.MULTILINE)
        exec("\n".join(lines), {})


@each_page
def test_commands_of_flowcontrol_that_a_page_shows_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"manage\.py flowcontrol ([a-z][\w-]*)", text)
    assert {name for name in shown if name not in SUBCOMMANDS} <= {"worker"}


@each_page
def test_settings_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r'FLOWCONTROL\["(\w+)"\]', page.read_text(encoding="utf-8"))
    assert set(named) <= {one.name for one in conf.SETTINGS}


# -- links ---------------------------------------------------------------------------------------------------


@each_page
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links(README)}
    assert {f"docs/{page.name}" for page in PAGES if page != README} <= linked


# -- the user's own words ------------------------------------------------------------------------------------

#: Sentences that have to be true, and to be found where somebody looks for them.
SENTENCES = (
    "Flows define a sequence of actions (including possibly sub-sequences per action) that can be executed.",
    "A flow can define limits, e.g. on the number of concurrent runs per associated object.",
    "Actions are the building blocks of flows.",
    "They are arranged in a list with some actions allowing sub-actions.",
    "Each action can have its own configuration.",
    "Evaluates a condition and executes its sub-actions based on the result.",
    "Continually runs its sub-actions when its condition is true.",
    "Runs its sub-actions a number of times defined by a start, step and end value.",
    "Returns control to the parent action. If there's no parent action, the flow is stopped.",
    "Runs the parent action's next sibling. If there's no parent action, the flow is stopped.",
    "The flow is stopped.",
    "Set the flow run's state to the given JSON, optionally evaluating string values as Django template expressions.",
    "Update the flow run's state to the given JSON optionally evaluating string values as Django template expressions.",
    "Starts a new flow run based on a configured flow. The new run can start immediately or at a later time.",
    "Suspends the flow run for a configurable amount of time.",
    (
        "You can define your own actions by inheriting from flowcontrol.base.BaseAction and registering them with "
        "flowcontrol.registry.register_action"
    ),
    "A flow run is an instance of a flow that is currently being executed.",
    "It has a persistent state and can be associated with a model object.",
    "They can be waiting and be resumed at a defined later time.",
    "Flows can be paused and set to resume at a later time.",
    (
        "In order to resume flow runs, you need to regularly call the flowcontrol.engine.continue_flowruns function, "
        "e.g. in a cron job or a Celery periodic task."
    ),
    "This will check for flow runs that are ready to be resumed and execute them.",
    "flowcontrol.tasks.continue_flowruns_task",
    "Triggers can be defined in Python and can be e.g. Django signal handlers.",
    "They are registered with flowcontrol and you can associate them in the Django admin interface with a flow.",
    "The flow will then be started when the trigger is executed.",
    "A condition on the trigger may check if the flow run should be created.",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_concepts_say_it_in_these_words(sentence: str) -> None:
    text = " ".join(prose(DOCS / "concepts.md").replace("`", "").split())
    assert sentence in text


def test_the_names_that_the_concepts_give_are_the_real_homes() -> None:
    assert base.BaseAction.__module__ == "flowcontrol.base"
    assert registry.register_action.__module__.startswith("flowcontrol.registry")
    assert continue_flowruns.__module__.startswith("flowcontrol.engine")
    assert type(tasks.continue_flowruns_task).__module__ == "flowcontrol.tasks"
