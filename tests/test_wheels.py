"""The wheels hold what the source does, and say what they need: users get wheels, never this repository."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = sorted(path.parent for path in ROOT.glob("*/pyproject.toml"))
CORE = ROOT / "flowcontrol-core"


@dataclass(frozen=True)
class Wheel:
    folder: Path
    path: Path

    @cached_property
    def files(self) -> set[str]:
        with zipfile.ZipFile(self.path) as archive:
            return set(archive.namelist())

    @cached_property
    def metadata(self) -> Message:
        return Parser().parsestr(self.read("METADATA"))

    @property
    def entry_points(self) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(delimiters=["="])
        if f"{self._info}/entry_points.txt" in self.files:
            parser.read_string(self.read("entry_points.txt"))
        return {section: dict(parser[section]) for section in parser.sections()}

    @property
    def requirements(self) -> dict[str, str]:
        """Bounds by name of what the wheel requires."""
        return self._required(is_extra=False)

    @property
    def extras(self) -> dict[str, str]:
        """The same of what only an extra requires."""
        return self._required(is_extra=True)

    def _required(self, *, is_extra: bool) -> dict[str, str]:
        found = [
            re.fullmatch(r"([A-Za-z0-9._-]+)([^;]*)(;.*)?", line)
            for line in self.metadata.get_all("Requires-Dist", [])
        ]
        return {match[1].lower(): match[2].strip() for match in found if match and bool(match[3]) == is_extra}

    def read(self, name: str) -> str:
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(f"{self._info}/{name}").decode()

    @property
    def _info(self) -> str:
        return "-".join(self.path.name.split("-")[:2]) + ".dist-info"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wheel]:
    """A wheel of each distribution, by the distribution's name."""
    target = tmp_path_factory.mktemp("wheels")
    for folder in FOLDERS:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    built = {path.name.split("-")[0].replace("_", "-"): path for path in target.glob("*.whl")}
    return {folder.name: Wheel(folder, built[folder.name]) for folder in FOLDERS}


@pytest.fixture(params=[folder.name for folder in FOLDERS])
def wheel(request: pytest.FixtureRequest, wheels: dict[str, Wheel]) -> Wheel:
    return wheels[request.param]


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def package(folder: Path) -> Path:
    """The one import package of a distribution."""
    (found,) = [
        path for path in (folder / "src").iterdir() if path.is_dir() and not is_leftover(Path(path.name))
    ]
    return found


def source_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder / "src").as_posix()
        for path in (folder / "src").rglob("*")
        if path.is_file() and not is_leftover(path.relative_to(folder))
    }


def is_leftover(path: Path) -> bool:
    """Whether a tool made it: caches, and what begins with a dot."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def test_a_wheel_is_named_as_its_folder(wheel: Wheel) -> None:
    assert wheel.metadata["Name"] == wheel.folder.name


def test_a_wheel_holds_every_file_of_its_package_and_no_other(wheel: Wheel) -> None:
    expected = source_files(wheel.folder)
    packaged = {name for name in wheel.files if ".dist-info/" not in name}
    assert packaged == expected
    assert f"{package(wheel.folder).name}/py.typed" in packaged


def test_the_core_brings_its_migrations(wheels: dict[str, Wheel]) -> None:
    migrations = {
        name for name in wheels["flowcontrol-core"].files if name.startswith("flowcontrol/migrations/")
    }
    assert {"flowcontrol/migrations/__init__.py", "flowcontrol/migrations/0001_initial.py"} <= migrations


def test_templates_static_files_and_translations_are_no_python_and_yet_in_the_wheel(wheel: Wheel) -> None:
    kinds = ("/templates/", "/static/", "/locale/")
    data = {name for name in source_files(wheel.folder) if any(kind in name for kind in kinds)}
    assert data <= wheel.files


def test_a_wheel_brings_its_licence_and_its_readme(wheel: Wheel) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.files)
    assert wheel.metadata["License-Expression"] == "MIT"
    assert wheel.metadata["Description-Content-Type"] == "text/markdown"
    assert str(wheel.metadata.get_payload()).startswith(f"# {wheel.folder.name}")


def test_all_distributions_have_one_version_and_ask_for_one_python(wheels: dict[str, Wheel]) -> None:
    assert len({wheel.metadata["Version"] for wheel in wheels.values()}) == 1
    assert {wheel.metadata["Requires-Python"] for wheel in wheels.values()} == {">=3.11"}


def test_the_package_says_the_version_of_its_distribution(wheels: dict[str, Wheel]) -> None:
    source = (CORE / "src" / "flowcontrol" / "__init__.py").read_text()
    assert f'__version__ = "{wheels["flowcontrol-core"].metadata["Version"]}"' in source


def test_the_builtin_pack_is_found_by_the_same_entry_point_as_a_strangers(wheels: dict[str, Wheel]) -> None:
    assert wheels["flowcontrol-core"].entry_points == {}
    assert wheels["flowcontrol-actions-builtin"].entry_points == {
        "flowcontrol": {"builtin": "flowcontrol_actions_builtin.plugin"}
    }


def test_every_pack_has_an_entry_point_that_is_in_its_wheel(wheel: Wheel) -> None:
    if wheel.folder == CORE:
        pytest.skip("the core is no plugin")
    modules = wheel.entry_points["flowcontrol"].values()
    paths = {module.replace(".", "/") for module in modules}
    assert paths
    assert all({f"{path}.py", f"{path}/__init__.py"} & wheel.files for path in paths)


def test_distributions_depend_on_the_core_by_the_range_of_this_series(wheels: dict[str, Wheel]) -> None:
    major, minor, *_ = map(int, wheels["flowcontrol-core"].metadata["Version"].split("."))
    expected = {f">={major}.{minor}", f"<{major}.{minor + 1}"}
    for name, wheel in wheels.items():
        if name != "flowcontrol-core":
            assert set(wheel.requirements["flowcontrol-core"].split(",")) == expected


def test_other_dependencies_have_a_lower_bound_and_no_ceiling(wheel: Wheel) -> None:
    required = {**wheel.requirements, **wheel.extras}
    others = {name: bound for name, bound in required.items() if not name.startswith("flowcontrol-")}
    assert all(re.fullmatch(r">=[0-9.]+", bound) for bound in others.values()), others


def test_the_core_requires_what_the_architecture_says(wheels: dict[str, Wheel]) -> None:
    assert set(wheels["flowcontrol-core"].requirements) == {
        "cryptography",
        "django",
        "importlib-metadata",
        "pluggy",
        "pyyaml",
    }
    assert set(wheels["flowcontrol-core"].extras) == {
        "opentelemetry-api",
        "prometheus-client",
        "pytest",
        "pytest-django",
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_distribution_has_what_each_of_them_has(folder: Path) -> None:
    for name in ("README.md", "LICENSE", "CHANGELOG.md"):
        assert (folder / name).is_file(), name
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert f"## {project(folder)['version']}" in (folder / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tools_know_a_distribution(folder: Path) -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    name = package(folder).name
    assert f"-e ./{folder.name}" in (ROOT / "requirements-dev.txt").read_text().splitlines()
    assert f"{folder.name}/tests" in tools["pytest"]["ini_options"]["pythonpath"]
    assert f"{folder.name}/src" in tools["mypy"]["files"]
    assert name in tools["importlinter"]["root_packages"]
    assert name in tools["coverage"]["run"]["source_pkgs"]


def test_the_root_is_no_package() -> None:
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"tool"}
