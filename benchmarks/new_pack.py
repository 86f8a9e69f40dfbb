"""From nothing to a pack's green tests: the three commands of docs/packs.md, in a fresh environment.

Packages come from wherever pip is told to take them; its cache is used. At most two minutes, by the design.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_SECONDS = 120
FOLDERS = ("flowcontrol-core", "flowcontrol-actions-builtin", "cookiecutter-action")


def commands() -> list[str]:
    """Those of the first block of the guide."""
    page = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
    (block, *_) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in FOLDERS:
            (folder / each).symlink_to(ROOT / each)
        subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
        path = f"{folder / 'environment' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "HOME": os.environ.get("HOME", name), "PYTHONPATH": ""}
        began = time.perf_counter()
        for command in commands():
            at = time.perf_counter()
            subprocess.run(command, shell=True, cwd=folder, env=env, check=True)  # noqa: S602  those of our own page
            print(f"{time.perf_counter() - at:6.1f} s  {command}", flush=True)
        total = time.perf_counter() - began
    print(
        f"{total:6.1f} s  from nothing to green tests, in {len(commands())} commands; at most {MOST_SECONDS}"
    )
    return int(total > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
