"""Packs made with the template: baked, built, installed beside the core, and their tests run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

__all__ = ["OURS", "PACKS", "ROOT", "TEMPLATE", "bake", "install", "own_tests", "python", "unreserved"]

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "cookiecutter-action"
#: Packs that were made with it and are kept for tests.
PACKS = sorted((ROOT / "tests" / "packs").glob("flowcontrol-actions-*"))
#: Distributions of our own that were made with it, and grew.
OURS = sorted(file.parent for file in ROOT.glob("flowcontrol-*/.flowcontrol-template.json"))


def unreserved(folder: Path) -> Path:
    """A copy of the template that gives out the names which are our own."""
    copy = folder / "template"
    shutil.copytree(TEMPLATE, copy)
    hook = copy / "hooks" / "pre_gen_project.py"
    text, count = re.subn(
        r"^RESERVED = \(.*\)$", "RESERVED = ()", hook.read_text("utf-8"), flags=re.MULTILINE
    )
    assert count == 1
    hook.write_text(text, encoding="utf-8")
    return copy


def bake(folder: Path, template: Path = TEMPLATE, **answers: str) -> Path:
    """A new pack in the folder; raises ``FailedHookException`` when an answer is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as elsewhere:
        # What it remembers for a next time is nothing for the home of whoever runs the tests.
        config = Path(elsewhere) / "config.yaml"
        config.write_text(f"replay_dir: {elsewhere}\ncookiecutters_dir: {elsewhere}\n", encoding="utf-8")
        made = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            output_dir=str(folder),
            config_file=str(config),
        )
    return Path(made)


def install(pack: Path, folder: Path) -> Path:
    """The folder in which the pack's wheel is installed, and nothing else."""
    site, wheels = folder / "site", folder / "wheels"
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)], pack)
    (wheel,) = wheels.glob("*.whl")
    _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)], pack)
    return site


def own_tests(pack: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Run the pack's tests against what is installed in ``site``, as its author does."""
    return python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"], pack, site)


def python(arguments: list[str], pack: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """A Python beside whose packages the pack is installed."""
    unwanted = ("DJANGO_", "FLOWCONTROL_", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=pack,
        env={**inherited, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
