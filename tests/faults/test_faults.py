"""The fault scenarios in the sizes for each change: ``dev.py faults`` plays them in full.

Each is played by processes of its own, on a database of its own; what Django the tests run in does not matter.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flowcontrol_tests.databases import chosen

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from run import SCENARIOS


@pytest.mark.faults
@pytest.mark.timing
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_and_nothing_done_twice(name: str) -> None:
    database = chosen().name
    if SCENARIOS[name].databases[0] != database:
        pytest.skip(f"is played on {SCENARIOS[name].databases[0]}; dev.py faults plays it on others")
    command = [sys.executable, str(HERE / "run.py"), "--small", "--database", database, name]
    played = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    print(played.stdout)
    assert played.returncode == 0, played.stdout + played.stderr
