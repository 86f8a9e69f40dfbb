"""Packs made with the template ``cookiecutter-action``: baked, built, installed beside the core, and tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

__all__ = [
    "ROOT",
    "TEMPLATE",
    "bake",
    "build",
    "command",
    "environment",
    "install",
    "outcomes",
    "run_tests",
    "succeed",
]

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "cookiecutter-action"


def bake(folder: Path, **answers: str) -> Path:
    """The pack that the template makes of these answers, below this folder. Nothing is written elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "cookiecutter.yaml"
    config.write_text(f"replay_dir: {folder}\ncookiecutters_dir: {folder}\n", encoding="utf-8")
    made = cookiecutter(
        str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder), config_file=str(config)
    )
    return Path(made)


def command(*arguments: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def succeed(*arguments: str | Path, cwd: Path, env: dict[str, str]) -> str:
    done = command(*arguments, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(*paths: Path) -> dict[str, str]:
    """That of these tests without what is about them, and with packages of these folders."""
    dropped = ("DJANGO_", "FLOWCONTROL_", "PYTEST_", "PYTHONPATH", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}


def build(pack: Path, folder: Path) -> Path:
    """The wheel of a pack."""
    succeed("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=pack, env=environment())
    (wheel,) = folder.glob(f"{pack.name.replace('-', '_')}-*.whl")
    return wheel


def install(pack: Path, folder: Path) -> Path:
    """A folder with the wheel of a pack and nothing else: beside it stands what these tests run with."""
    site = folder / "site"
    arguments = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(site)]
    succeed("-m", "pip", "install", *arguments, build(pack, folder), cwd=folder, env=environment())
    return site


def run_tests(pack: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The pack's own tests, against what is installed."""
    options = ("-q", "-p", "no:cacheprovider", *arguments)
    return command("-m", "pytest", *options, cwd=pack, env=environment(site))


def outcomes(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that pytest printed; the test fails when a test of the pack did."""
    if done.returncode:
        pytest.fail(f"{done.args}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout.strip().splitlines()[-1]
