"""The guard against tests that nobody runs: what pytest collects all together is what the folders hold.

With a ``tests/__init__.py`` in two folders, pytest's importlib mode has silently run one file twice and another never
(pytest issue 13997). So every folder is collected alone too, and the two have to agree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["folders", "problems"]

_NO_TESTS_COLLECTED = 5
#: Distributions of their own, whose tests another test runs.
_ELSEWHERE = "tests/packs/"


def folders(root: Path) -> list[Path]:
    """Where the tests of a repository are: those of the distributions, and those that cross them."""
    return sorted(path for path in [*root.glob("*/tests"), root / "tests"] if path.is_dir())


def problems(root: Path) -> list[str]:
    """Why some of the tests would not run; empty when all do."""
    together = Counter(_collected(root))
    alone = Counter[str]()
    for folder in folders(root):
        alone.update(_collected(root, str(folder.relative_to(root))))
    return [
        *_packages(root),
        *_silent_files(root, together),
        *(f"{test} is collected with its folder, and not with everything" for test in alone - together),
        *(f"{test} is collected with everything, and not with its folder" for test in together - alone),
    ]


def _packages(root: Path) -> Iterable[str]:
    for folder in folders(root):
        if (folder / "__init__.py").exists():
            yield f"{folder.relative_to(root)}/__init__.py makes pytest mix up the folders' tests; remove it"


def _silent_files(root: Path, together: Iterable[str]) -> Iterable[str]:
    heard = {test.partition("::")[0] for test in together}
    for folder in folders(root):
        for file in sorted(folder.rglob("test_*.py")):
            name = file.relative_to(root).as_posix()
            if name.startswith(_ELSEWHERE):
                continue
            if name not in heard:
                yield f"{name} has no test that is collected with everything"


def _settings(root: Path) -> list[str]:
    """The repository's own: a pack made with the template has some, which hold where it is alone."""
    file = root / "pyproject.toml"
    return ["-c", str(file), "--rootdir", str(root)] if file.exists() else []


def _collected(root: Path, *arguments: str) -> list[str]:
    """Node ids that pytest collects with these arguments, in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *_settings(root),
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
            *arguments,
        ],
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, _NO_TESTS_COLLECTED):
        raise AssertionError(
            f"pytest could not collect {arguments or 'everything'}:\n{done.stdout}{done.stderr}"
        )
    return [line for line in done.stdout.splitlines() if "::" in line and not line.startswith(" ")]
