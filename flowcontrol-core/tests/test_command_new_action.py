"""``flowcontrol new-action``: an action and its test in the project's own app, which pass; nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_plugins_processes import Project
from test_plugins_processes import project as project  # noqa: PLC0414  # a fixture


def shop(project: Project) -> dict[str, str]:
    """Name and text of every file of the app ``shop``."""
    folder = project.folder / "shop"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")
    }


def actions(project: Project) -> dict[str, str]:
    listed = project.manage("flowcontrol", "actions", "--json")
    return {one["name"]: one["problem"] for one in json.loads(listed.stdout)}


@pytest.mark.parametrize("has_module", [True, False], ids=["module", "no module"])
@pytest.mark.parametrize("arguments", [["shop.send_bill"], ["send_bill", "--app", "shop"]], ids=str)
def test_it_writes_an_action_and_a_test_that_pass(
    project: Project, arguments: list[str], has_module: bool
) -> None:
    module = project.folder / "shop" / "flow_actions.py"
    before = module.read_text() if has_module else ""
    if not has_module:
        module.unlink()
    done = project.manage("flowcontrol", "new-action", *arguments)
    assert done.returncode == 0, done.stderr
    assert "python manage.py test shop.test_send_bill_action" in done.stdout
    assert actions(project)["shop.send_bill"] == ""
    assert set(before.splitlines()) <= set(module.read_text().splitlines()), "what was there stays"
    tested = project.manage("test", "shop.test_send_bill_action")
    assert tested.returncode == 0, tested.stderr
    assert "Ran 1 test" in tested.stderr


def test_a_second_action_shares_the_imports_of_the_first(project: Project) -> None:
    (project.folder / "shop" / "tests").mkdir()
    project.write("shop/tests/__init__.py", "")
    for name in ("first", "second"):
        assert project.manage("flowcontrol", "new-action", f"shop.{name}").returncode == 0
    text = shop(project)["flow_actions.py"]
    assert text.count("import register_action") == 1
    assert text.count("TemplateField") == 3, "an import, and two fields"
    assert {"shop.first", "shop.second"} <= set(actions(project))
    tested = project.manage("test", "shop.tests")
    assert "Ran 2 tests" in tested.stderr
    assert tested.returncode == 0, tested.stderr


#: What each of these is answered.
REFUSALS = {
    ("shop.pack",): 'There is an action "shop.pack" already, of shop.flow_actions:Pack.',
    ("send",): "Say which app gets it: --app LABEL. Apps of this project: shop.",
    ("send", "--app", "shoop"): 'There is no app "shoop" in INSTALLED_APPS. Did you mean “shop”?',
    ("auth.send",): 'The app "auth" is installed, and not the project\'s own.',
    ("flowcontrol.send",): 'The app "flowcontrol" is installed, and not the project\'s own.',
    ("shop.send", "--app", "auth"): 'belongs to the app "shop", and --app says "auth"',
    ("shop.Send-it",): 'An action cannot be called "Send-it"',
    ("shop.class",): 'An action cannot be called "class"',
    ("shop.base_action",): 'has the name "BaseAction" already',
}

#: In one process, since each takes its time to start.
ASK = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import django
django.setup()
from django.core.management import CommandError, call_command
for arguments in {arguments!r}:
    try:
        call_command("flowcontrol", "new-action", *arguments)
    except CommandError as error:
        print(error)
"""


def test_what_cannot_be_is_refused_with_the_way_out_and_nothing_is_written(project: Project) -> None:
    before = shop(project)
    done = project.run("-c", ASK.format(arguments=list(REFUSALS)))
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(REFUSALS)
    assert [says for says, answer in zip(REFUSALS.values(), answers, strict=True) if says not in answer] == []
    assert shop(project) == before


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("flow_actions.py", "class Send: pass\n", 'has the name "Send" already'),
        ("flow_actions.py", "class Send(:\n", "cannot be read: "),
        ("flow_actions.py", "Effect = 1\n", "Effect is something else than flowcontrol's"),
        ("flow_actions/__init__.py", "", "is a package"),
        ("test_send_action.py", "# mine\n", "is there already and is not overwritten"),
    ],
)
def test_a_file_that_is_in_the_way_stays_as_it_is(project: Project, file: str, text: str, says: str) -> None:
    Path(project.folder / "shop" / "flow_actions.py").unlink()
    project.write(f"shop/{file}", text)
    before = shop(project)
    done = project.manage("flowcontrol", "new-action", "shop.send")
    assert done.returncode == 1
    assert says in done.stderr
    assert shop(project) == before
