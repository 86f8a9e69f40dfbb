"""Every test that a folder holds is collected when all run together, and the guard that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from collection import folders, problems

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]

CONFIGURATION = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:django", "-p", "no:hypothesispytest"]
testpaths = {testpaths}
"""


@pytest.mark.slow
def test_all_together_are_as_many_tests_as_the_folders_hold() -> None:
    assert problems(ROOT) == []


def test_every_distribution_has_tests() -> None:
    distributions = [path.parent for path in ROOT.glob("*/pyproject.toml")]
    assert distributions
    assert {folder.parent for folder in folders(ROOT)} == {ROOT, *distributions}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two folders with two tests each, in files of the same name."""
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION.format(testpaths='["*/tests"]'))
    for name in ("one", "two"):
        folder = tmp_path / name / "tests"
        folder.mkdir(parents=True)
        (folder / "test_same.py").write_text(f"def test_{name}(): pass\ndef test_b(): pass\n")
    return tmp_path


def test_the_guard_is_content_with_files_of_the_same_name_and_no_packages(repository: Path) -> None:
    assert problems(repository) == []


def test_the_guard_sees_tests_that_packages_of_one_name_hide(repository: Path) -> None:
    for name in ("one", "two"):
        (repository / name / "tests" / "__init__.py").touch()
    found = problems(repository)
    assert "one/tests/__init__.py makes pytest mix up the folders' tests; remove it" in found


def test_the_guard_sees_a_folder_that_is_not_in_testpaths(repository: Path) -> None:
    (repository / "pyproject.toml").write_text(CONFIGURATION.format(testpaths='["one/tests"]'))
    assert problems(repository) == [
        "two/tests/test_same.py has no test that is collected with everything",
        "two/tests/test_same.py::test_two is collected with its folder, and not with everything",
        "two/tests/test_same.py::test_b is collected with its folder, and not with everything",
    ]


def test_the_guard_sees_a_file_whose_tests_have_no_name_that_pytest_knows(repository: Path) -> None:
    (repository / "two" / "tests" / "test_typo.py").write_text("def checks_something(): pass\n")
    assert problems(repository) == ["two/tests/test_typo.py has no test that is collected with everything"]
