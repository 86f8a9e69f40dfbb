"""The template for packs: every variant works as it is, awkward answers are refused or survive, and red is seen."""

from __future__ import annotations

import gettext
import json
import re
import runpy
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
import yaml
from baking import OURS, PACKS, ROOT, TEMPLATE, bake, install, own_tests, python, unreserved
from cookiecutter.exceptions import FailedHookException
from flowcontrol.hookspecs import PluginInfo

pytestmark = pytest.mark.own_database
#: Only what packs do in other Pythons and Djangos can differ there, and the largest of them tells that.
once = pytest.mark.once

LICENSES = json.loads((TEMPLATE / "cookiecutter.json").read_text())["license"]
VARIANTS = [
    {"kind": kind, "trigger": trigger, "license": license_}
    for kind, trigger, license_ in product(["light", "app"], ["no", "yes"], LICENSES)
]
#: With the least and with the most in it.
LEAST, MOST = VARIANTS[0], VARIANTS[-1]

#: In the words of people who do not think of quoting.
AWKWARD = [
    {"description": "It says \"hi\" \\ and 'bye', <b>ünïcode</b> & 100 %"},
    {"author": 'Zoë O\'Neil "Z" <zoe@example.org>', "kind": "app"},
    {"description": '😀 C:\\new\\table {braces} "', "author": "Sons \\ Daughters 😀"},
    {"pack_name": "a", "action_name": "b2"},
    {"pack_name": "very_long_name_of_a_pack", "action_name": "do_it_now_please"},
    {"description": "x" * 300},
]

REFUSED = [
    ({"pack_name": "Acme"}, "Use small letters"),
    ({"pack_name": "acme-mail"}, "Use small letters"),
    ({"pack_name": "9lives"}, "begin with a letter"),
    ({"pack_name": "class"}, "a word of Python's own"),
    ({"pack_name": "builtin"}, "is reserved"),
    ({"pack_name": "flow"}, "is reserved"),
    ({"pack_name": "flowcontrol_mail"}, "begins with flowcontrol"),
    ({"action_name": "Send it"}, "The name of the action is 'Send it'"),
    ({"action_name": "return"}, "a word of Python's own"),
    ({"pack_name": "../up"}, "Use small letters"),
    ({"pack_name": "http"}, "is reserved"),
    ({"pack_name": "x" * 41}, "has 41 characters"),
    ({"action_name": "base_action"}, "would be the class BaseAction"),
    ({"author": "two\nlines"}, "has to be one line of text"),
    ({"description": " "}, "has to be one line of text"),
]


def read(pack: Path) -> None:
    """Everything in it can be read by what reads it, and is as ruff wants it."""
    for path in pack.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    tomllib.loads((pack / "pyproject.toml").read_text(encoding="utf-8"))
    json.loads((pack / ".flowcontrol-template.json").read_text(encoding="utf-8"))
    yaml.safe_load((pack / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    left = [path for path in pack.rglob("*") if path.is_file() and path.suffix not in (".mo", ".html")]
    for path in left:
        assert "cookiecutter." not in path.read_text(encoding="utf-8"), f"{path} was not rendered"
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,I,UP,W",
        "--line-length",
        "400",
        ".",
    ]
    linted = subprocess.run(command, cwd=pack, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def introduced(pack: Path) -> PluginInfo:
    """What the hook module says of the pack."""
    (module,) = pack.glob("src/*/plugin.py")
    told = runpy.run_path(str(module))["flowcontrol_plugin_info"]()
    assert isinstance(told, PluginInfo)
    return told


@once
@pytest.mark.parametrize("answers", [*VARIANTS, *AWKWARD], ids=str)
def test_every_variant_can_be_read(answers: dict[str, str], tmp_path: Path) -> None:
    pack = bake(tmp_path, **answers)
    read(pack)
    app = pack / "src" / f"flowcontrol_actions_{answers.get('pack_name', 'acme')}" / "apps.py"
    assert app.exists() is (answers.get("kind") == "app")
    told = json.loads((pack / ".flowcontrol-template.json").read_text())["answers"]
    assert {key: told[key] for key in answers} == answers
    project = tomllib.loads((pack / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["description"], project["authors"]) == (told["description"], [{"name": told["author"]}])
    assert introduced(pack).description == told["description"]


@once
def test_what_the_template_makes_is_formatted(tmp_path: Path) -> None:
    for variant in VARIANTS:
        bake(tmp_path / "-".join(variant.values()), **variant)
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "110", "--diff", "."]
    formatted = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert formatted.returncode == 0, formatted.stdout


@once
@pytest.mark.parametrize(("answers", "says"), REFUSED, ids=[str(answers) for answers, _ in REFUSED])
def test_a_bad_answer_is_refused_before_anything_is_written(
    answers: dict[str, str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        bake(tmp_path, **answers)
    assert says in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


EXAMPLE = """
import os, re, sys
from pathlib import Path
sys.path.insert(0, "tests")
os.environ["DJANGO_SETTINGS_MODULE"] = "pack_settings"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from flowcontrol.documents import import_flow, parse_yaml
from flowcontrol.engine import execute_run, start_flow
text = re.search(r"```yaml\\n(.*?)```", Path("README.md").read_text(), re.S)[1]
(document,) = parse_yaml(text)
run = execute_run(start_flow(import_flow(document)).run)
print(run.status, dict(run.state), run.reason)
"""


@once
@pytest.mark.parametrize("answers", [LEAST, MOST], ids=str)
def test_a_new_packs_tests_are_green_and_its_example_runs(answers: dict[str, str], tmp_path: Path) -> None:
    pack = bake(tmp_path, **answers)
    site = install(pack, tmp_path)
    done = own_tests(pack, site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout
    example = python(["-c", EXAMPLE], pack, site)
    assert "completed" in example.stdout, example.stdout + example.stderr
    assert "Run 1 was here." in example.stdout
    shown = python(["-m", "flowcontrol.testing", "acme", "--json"], pack, site)
    told = json.loads(shown.stdout)
    assert told["tier"] == "gold", [one["problems"] for one in told["rules"]]
    rules = {one["rule"]: one["outcome"] for one in told["rules"]}
    assert rules["P4"] == "passed", "looked at in the wheel"


@once
def test_a_new_pack_whose_action_is_broken_is_red(tmp_path: Path) -> None:
    pack = bake(tmp_path)
    actions = pack / "src/flowcontrol_actions_acme/actions.py"
    actions.write_text(actions.read_text().replace("context.render(", "str("))
    done = own_tests(pack, install(pack, tmp_path))
    assert done.returncode == 1
    assert "test_the_text_is_put_together_from_the_state" in done.stdout


@once
def test_a_new_pack_is_clean_to_the_linters_that_it_brings(tmp_path: Path) -> None:
    pack = bake(tmp_path, kind="app", trigger="yes", action_name="write_down")
    site = install(pack, tmp_path)
    for linter in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--cache-dir", str(tmp_path)]):
        done = python(["-m", *linter], pack, site)
        assert done.returncode == 0, f"{linter}: {done.stdout}{done.stderr}"


@once
def test_the_catalogue_has_every_text_and_is_compiled() -> None:
    source = TEMPLATE / "{{cookiecutter.__distribution}}" / "src" / "{{cookiecutter.__package}}"
    folder = source / "locale" / "de" / "LC_MESSAGES"
    pairs = re.findall(
        r'^msgid "(.+)"\nmsgstr "(.+)"$', (folder / "django.po").read_text("utf-8"), re.MULTILINE
    )
    with (folder / "django.mo").open("rb") as stream:
        compiled = gettext.GNUTranslations(stream)
    assert {text: compiled.gettext(text) for text, _ in pairs} == dict(pairs)
    used = {
        text
        for file in [*source.rglob("*.py"), *source.rglob("*.html")]
        for text in re.findall(r'(?:\b_\(\s*|translate )"([^"]+)"', file.read_text("utf-8"))
    }
    assert used == {text for text, _ in pairs}


@once
def test_a_new_pack_asks_for_the_same_core_as_our_own(tmp_path: Path) -> None:
    ours = tomllib.loads((ROOT / "flowcontrol-actions-builtin" / "pyproject.toml").read_text())["project"]
    new = tomllib.loads((bake(tmp_path) / "pyproject.toml").read_text())["project"]
    assert set(new["dependencies"]) <= set(ours["dependencies"])


# -- packs that were made with it ------------------------------------------------------------------------------

#: What an author leaves alone, so that it can be compared.
SHARED = (
    ".github/workflows/test.yml",
    ".gitignore",
    ".flowcontrol-template.json",
    "LICENSE",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/pack_settings.py",
)


@once
@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_pack_made_with_the_template_has_not_drifted_from_it(pack: Path, tmp_path: Path) -> None:
    answers = json.loads((pack / ".flowcontrol-template.json").read_text())["answers"]
    anew = bake(tmp_path, **answers)
    for name in SHARED:
        assert (pack / name).read_text() == (anew / name).read_text(), f"{name} differs from the template's"


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_a_pack_made_with_the_template_passes_its_tests(pack: Path, tmp_path: Path) -> None:
    done = own_tests(pack, install(pack, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@once
def test_packs_of_both_kinds_were_made() -> None:
    assert [pack.name for pack in PACKS] == ["flowcontrol-actions-ledger", "flowcontrol-actions-relay"]


# -- our own, which grew ---------------------------------------------------------------------------------------

#: What growing leaves alone.
KEPT = (".flowcontrol-template.json", ".github/workflows/test.yml", ".gitignore")
#: Tables and keys of pyproject.toml that are a distribution's own; all others are the template's.
OWN_KEYS = {
    "project": {"authors", "classifiers", "dependencies", "optional-dependencies", "urls"},
    "tool.pytest.ini_options": {"markers"},
}


def tables(pack: Path) -> dict[str, dict[str, object]]:
    """The tables of its pyproject.toml without the keys that are its own."""
    given = tomllib.loads((pack / "pyproject.toml").read_text("utf-8"))
    found = {"project": given["project"], "build-system": given["build-system"]}
    found |= {
        f"tool.{name}": table for name, table in given["tool"].items() if name not in ("pytest", "hatch")
    }
    found["tool.pytest.ini_options"] = given["tool"]["pytest"]["ini_options"]
    found["tool.hatch.build.targets.wheel"] = given["tool"]["hatch"]["build"]["targets"]["wheel"]
    return {
        name: {key: value for key, value in table.items() if key not in OWN_KEYS.get(name, ())}
        for name, table in found.items()
    }


@pytest.mark.parametrize("pack", OURS, ids=lambda pack: pack.name)
def test_a_pack_of_our_own_has_kept_the_shape_that_the_template_gave_it(pack: Path, tmp_path: Path) -> None:
    answers = json.loads((pack / ".flowcontrol-template.json").read_text())["answers"]
    anew = bake(tmp_path / "baked", unreserved(tmp_path), **answers)
    for name in KEPT:
        assert (pack / name).read_text() == (anew / name).read_text(), f"{name} differs from the template's"
    assert tables(pack) == tables(anew)
    ours, theirs = (
        tomllib.loads((one / "pyproject.toml").read_text("utf-8"))["project"] for one in (pack, anew)
    )
    assert set(theirs["dependencies"]) <= set(ours["dependencies"])
    for extra, needed in theirs["optional-dependencies"].items():
        assert set(needed) <= set(ours["optional-dependencies"][extra])
    settings, made = (runpy.run_path(str(one / "tests" / "pack_settings.py")) for one in (pack, anew))
    assert {name for name in made if name.isupper()} <= {name for name in settings if name.isupper()}
    for name in ("plugin", "apps", "__init__", "urls", "models"):
        found = [path.name for path in pack.glob(f"src/*/{name}.py")]
        assert found == [path.name for path in anew.glob(f"src/*/{name}.py")]


@pytest.mark.parametrize("pack", OURS, ids=lambda pack: pack.name)
def test_a_pack_of_our_own_passes_the_rules_in_a_project_with_nothing_else(
    pack: Path, tmp_path: Path
) -> None:
    """Its other tests are run with all the others of the repository."""
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/test_conformance.py"]
    done = python(command, pack, install(pack, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_pack_that_everybody_installs_second_was_made_with_the_template() -> None:
    assert [pack.name for pack in OURS] == ["flowcontrol-actions-http"]
