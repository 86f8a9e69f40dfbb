"""The template for packs: each variant is whole, bad names are refused, and the tests of a pack can fail."""

from __future__ import annotations

import gettext
import importlib.util
import json
import re
import tomllib
import zipfile
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from baking import ROOT, TEMPLATE, bake, command, environment, install, outcomes, run_tests, succeed
from docs_pages import blocks

LICENCES = {
    "MIT": "MIT License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "Apache-2.0": "Apache License",
    "Proprietary": "All rights reserved",
}
#: What is in the source of a pack with an app only, and in one with a trigger type only.
APP_FILES = {"apps.py", "models.py", "urls.py", "views.py", "migrations", "static", "templates"}
TRIGGER_FILES = {"triggers.py"}
FILES = {"__init__.py", "actions.py", "locale", "plugin.py", "py.typed"}

AWKWARD = {
    "pack": "Odd-Ends",
    "description": r"""Sends "it's", C:\new\table, 100 % of naïve émoji 😀 & {braces} <b>"""
    + " and more" * 20,
    "action": "to-and-fro 2",
    "author": r"""Zoë "Bob" O'Neill \ Sons""",
}


def project(pack: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((pack / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def package(pack: Path) -> Path:
    (found,) = (pack / "src").iterdir()
    return found


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"baked_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- every variant -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Path]:
    """Every kind of pack, with and without a trigger type, under every licence."""
    folder = tmp_path_factory.mktemp("variants")
    return {
        (kind, trigger, licence): bake(
            folder, pack=f"pack {number}", kind=kind, trigger=trigger, licence=licence
        )
        for number, (kind, trigger, licence) in enumerate(product(("light", "app"), ("yes", "no"), LICENCES))
        # Nothing depends on both: each licence once with each kind is enough.
        if trigger == "yes" or licence == "MIT"
    }


def test_a_variant_has_the_files_that_it_needs_and_no_others(
    variants: dict[tuple[str, str, str], Path],
) -> None:
    for (kind, trigger, _), pack in variants.items():
        wanted = (
            FILES | (APP_FILES if kind == "app" else set()) | (TRIGGER_FILES if trigger == "yes" else set())
        )
        assert {path.name for path in package(pack).iterdir()} == wanted, pack


def test_a_variant_declares_what_it_has(variants: dict[tuple[str, str, str], Path]) -> None:
    for (kind, trigger, licence), pack in variants.items():
        told = project(pack)
        name = package(pack).name
        groups = {"flowcontrol", *(["flowcontrol.apps"] if kind == "app" else [])}
        assert set(told["entry-points"]) == groups
        assert told["entry-points"]["flowcontrol"] == {
            name.removeprefix("flowcontrol_actions_"): f"{name}.plugin"
        }
        assert told["license"] == ("LicenseRef-Proprietary" if licence == "Proprietary" else licence)
        text = (pack / "LICENSE").read_text(encoding="utf-8")
        assert LICENCES[licence] in text
        assert "Your Name" in text or licence == "Apache-2.0"
        assert hasattr(imported(package(pack) / "plugin.py"), "flowcontrol_register_triggers") == (
            trigger == "yes"
        )


def test_nothing_of_the_template_language_is_left_over(variants: dict[tuple[str, str, str], Path]) -> None:
    for pack in variants.values():
        for file in pack.rglob("*"):
            if file.is_file() and file.suffix != ".mo":
                text = file.read_text(encoding="utf-8")
                assert not re.search(r"cookiecutter\.|\{%-|-%\}|raw %\}", text), file


def test_every_variant_is_clean_to_ruff_with_its_own_settings(
    variants: dict[tuple[str, str, str], Path],
) -> None:
    folder = next(iter(variants.values())).parent
    for options in (["check"], ["format", "--check"]):
        done = command("-m", "ruff", *options, "--no-cache", ".", cwd=folder, env=environment())
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_answers_are_kept_with_the_pack(variants: dict[tuple[str, str, str], Path]) -> None:
    pack = variants["app", "no", "MIT"]
    kept = json.loads((pack / ".flowcontrol-template.json").read_text(encoding="utf-8"))
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert kept["template"] == asked["_template_version"]
    assert set(kept["answers"]) == {name for name in asked if not name.startswith("_")}
    assert (kept["answers"]["kind"], kept["answers"]["trigger"]) == ("app", False)


# -- names and other answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"pack": "class"}, 'The name of the pack "class" is a word of Python.'),
        ({"pack": "9lives"}, 'The name of the pack "9lives" cannot be used'),
        ({"pack": "größe"}, '"grosse" would do.'),
        ({"pack": "../up"}, 'The name of the pack "../up" cannot be used'),
        ({"pack": "!"}, 'The name of the pack "!" cannot be used'),
        ({"pack": "builtin"}, 'The name of the pack "builtin" is taken'),
        ({"pack": "core"}, 'The name of the pack "core" is taken'),
        ({"pack": "flowcontrol-actions-x"}, "must not begin with flowcontrol"),
        ({"pack": "x" * 41}, "has 41 characters"),
        ({"action": "import"}, 'The name of the action "import" is a word of Python.'),
        ({"action": 'say "hi"'}, 'The name of the action "say "hi"" cannot be used'),
        ({"action": "base_action"}, "would be the class BaseAction"),
        ({"description": " "}, "The description is empty."),
        ({"description": "x" * 301}, "The description has 301 characters"),
        ({"author": "two\nlines"}, "has a line break"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_with_the_reason_and_leaves_nothing(
    answers: dict[str, str], message: str, tmp_path: Path
) -> None:
    given = [f"{name}={value}" for name, value in answers.items()]
    arguments = ["--no-input", "--default-config", "--output-dir", str(tmp_path), str(TEMPLATE), *given]
    env = environment() | {"HOME": str(tmp_path / "home")}
    done = command("-m", "cookiecutter", *arguments, cwd=tmp_path, env=env)
    assert done.returncode != 0
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


def test_all_that_is_wrong_with_the_answers_is_said_at_once(tmp_path: Path) -> None:
    arguments = ["--no-input", "--default-config", "-o", str(tmp_path), str(TEMPLATE), "pack=9", "action=if"]
    env = environment() | {"HOME": str(tmp_path / "home")}
    done = command("-m", "cookiecutter", *arguments, cwd=tmp_path, env=env)
    assert "The name of the pack" in done.stderr
    assert "The name of the action" in done.stderr


@pytest.mark.parametrize("kind", ["light", "app"])
def test_quotes_backslashes_and_emoji_come_out_as_they_were_given(kind: str, tmp_path: Path) -> None:
    pack = bake(tmp_path, kind=kind, **AWKWARD)
    told = project(pack)
    assert told["name"] == "flowcontrol-actions-odd-ends"
    assert told["description"] == AWKWARD["description"]
    assert told["authors"] == [{"name": AWKWARD["author"]}]
    plugin = imported(package(pack) / "plugin.py")
    assert plugin.flowcontrol_plugin_info().label == "Odd Ends"
    assert [spec.name for spec in plugin.flowcontrol_register_actions()] == ["odd_ends.to_and_fro_2"]
    assert AWKWARD["description"] in (pack / "README.md").read_text(encoding="utf-8")
    assert AWKWARD["author"] in (pack / "LICENSE").read_text(encoding="utf-8")
    kept = json.loads((pack / ".flowcontrol-template.json").read_text(encoding="utf-8"))["answers"]
    assert {name: kept[name] for name in AWKWARD} == AWKWARD
    done = command("-m", "ruff", "format", "--check", "--no-cache", ".", cwd=pack, env=environment())
    assert done.returncode == 0, done.stdout
    assert command("-m", "ruff", "check", "--no-cache", ".", cwd=pack, env=environment()).returncode == 0


# -- what it promises ----------------------------------------------------------------------------------------


def test_the_range_of_the_core_is_that_of_our_own_packs() -> None:
    asked = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    assert (
        f"flowcontrol-core{asked['_core_range']}"
        in project(ROOT / "flowcontrol-actions-builtin")["dependencies"]
    )


def source_of_the_template() -> Path:
    return TEMPLATE / "{{ cookiecutter.__distribution }}" / "src" / "{{ cookiecutter.__module }}"


def test_the_catalogue_has_every_text_and_is_compiled() -> None:
    source = source_of_the_template()
    folder = source / "locale" / "de" / "LC_MESSAGES"
    written = dict(
        re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', (folder / "django.po").read_text("utf-8"), re.MULTILINE)
    )
    with (folder / "django.mo").open("rb") as stream:
        compiled = gettext.GNUTranslations(stream)
    assert {text: compiled.gettext(text) for text in written} == written
    used = {
        text
        for file in [*source.rglob("*.py"), *source.rglob("*.html")]
        for text in re.findall(r'(?:\b_\(\s*|translate )"([^"]+)"', file.read_text("utf-8"))
    }
    assert used == set(written)


# -- installed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["light", "app"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A pack, and the folder in which its wheel is installed."""
    folder = tmp_path_factory.mktemp(request.param)
    pack = bake(folder, kind=request.param, **AWKWARD)
    return pack, install(pack, folder)


def test_the_tests_of_a_fresh_pack_pass_against_its_wheel(installed: tuple[Path, Path]) -> None:
    passed = outcomes(run_tests(*installed))
    assert re.match(r"\d\d+ passed", passed), passed
    assert "failed" not in passed


def test_the_wheel_has_every_file_of_the_source(installed: tuple[Path, Path]) -> None:
    pack, site = installed
    (wheel,) = site.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = {
        file.relative_to(pack / "src").as_posix() for file in (pack / "src").rglob("*") if file.is_file()
    }
    assert packed == source
    assert any(name.endswith("django.mo") for name in packed)


def test_the_flow_of_the_readme_runs_in_a_project_that_has_the_pack(tmp_path: Path) -> None:
    pack = bake(tmp_path, kind="app", **AWKWARD)
    site = install(pack, tmp_path)
    folder = site.parent / "project"
    folder.mkdir()
    (folder / "settings.py").write_text(
        (pack / "tests" / "settings.py").read_text("utf-8").replace(":memory:", "db.sqlite3")
    )
    (folder / "urls.py").write_text((pack / "tests" / "urls.py").read_text("utf-8"))
    (block,) = blocks(pack / "README.md", "yaml")
    (folder / "flow.yaml").write_text(block.text)
    env = environment(site, folder) | {"DJANGO_SETTINGS_MODULE": "settings"}

    def manage(*arguments: str) -> str:
        return succeed("-m", "django", *arguments, cwd=folder, env=env)

    manage("migrate", "-v", "0")
    manage("makemigrations", "--check")
    manage("flowcontrol", "import", "flow.yaml")
    started = json.loads(manage("flowcontrol", "start", "odd-ends-example", "--wait", "--json"))
    assert started["status"] == "completed"
    listed = json.loads(manage("flowcontrol", "plugins", "--json"))["plugins"]
    assert [(one["name"], one["state"]) for one in listed if one["name"] == "odd_ends"] == [
        ("odd_ends", "active")
    ]


def test_a_sabotaged_pack_fails_its_tests(tmp_path: Path) -> None:
    pack = bake(tmp_path)
    file = package(pack) / "actions.py"
    source = file.read_text(encoding="utf-8")
    written = 'context.state[context.config["save_as"]] = text'
    assert written in source
    file.write_text(source.replace(written, "return None"), encoding="utf-8")
    done = run_tests(pack, install(pack, tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED tests/test_flow.py::test_the_flow_of_the_readme_writes_its_text" in done.stdout


@pytest.mark.slow
def test_a_fresh_pack_is_clean_to_mypy(tmp_path: Path) -> None:
    pack = bake(tmp_path, kind="app", action="write down")
    env = environment(install(pack, tmp_path))
    done = command("-m", "mypy", "--cache-dir", str(tmp_path), cwd=pack, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
