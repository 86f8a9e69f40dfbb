"""The demonstration of plugins: tells a pack's way off and on again, fails when it goes otherwise, leaves nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
FLOWS = ROOT / "example" / "flows-plugins"


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # What a person has in the shell is no matter of the demonstration.
    environment = {**os.environ, "FLOWCONTROL_PLUGINS": "nonsense"}
    command = [sys.executable, str(ROOT / "example" / "demo_plugins.py"), "--folder", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.mark.slow
def test_a_run_whose_pack_is_switched_off_is_blocked_and_finishes_when_it_is_back(tmp_path: Path) -> None:
    done = demo(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    told = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("  ok ")]
    assert told == [
        "its run waits in the pack's step",
        "the run is blocked",
        "and knows what it knew",
        "flows without the pack go on",
        "the admin greys the step out and says why",
        "the flow itself is untouched",
        "the run goes on by itself and completes",
        "each step was done once",
        "nothing is greyed out any more",
    ]
    text = " ".join(done.stdout.split())
    reason = 'the environment variable FLOWCONTROL_PLUGINS leaves it out. Take "-builtin" off the list'
    assert text.count(reason) == 2, "with the run, and on the page of the flow"
    assert 'FLOWCONTROL_PLUGINS="*,-builtin" manage.py flowcontrol worker' in text
    assert (tmp_path / "worker.log").read_text().endswith("Worker stopped.\n")
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.slow
def test_a_story_that_goes_otherwise_fails_and_says_what(tmp_path: Path) -> None:
    """With a step of the shop's own in place of the pack's, nothing ever waits, and nothing is blocked."""
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "bystander.yaml").write_text((FLOWS / "bystander.yaml").read_text())
    patient = (FLOWS / "patient.yaml").read_text()
    patient = re.sub(r"builtin\.delay\n    config: .*", "workshop.note\n    config: {text: on}", patient)
    assert "builtin.delay" not in patient
    (flows / "patient.yaml").write_text(patient)

    done = demo(tmp_path / "demo", "--flows", str(flows), "--seconds", "1")

    assert done.returncode == 1
    assert "  NO        the run is blocked\n" in done.stdout
    assert "  ok        flows without the pack go on\n" in done.stdout
    assert "Not as it should be: its run waits in the pack's step; the run is blocked; " in done.stdout
