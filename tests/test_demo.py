"""The demonstration: ends as it says it should, fails when a run does not, and leaves nothing running."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

pytestmark = pytest.mark.own_database

EXAMPLE = Path(__file__).resolve().parent.parent / "example"
DEMO = [sys.executable, str(EXAMPLE / "demo.py")]
SECONDS = 120


def module(name: str) -> ModuleType:
    """One of the demonstration's modules that need no Django."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", EXAMPLE / "demonstration" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


outcome, children = module("outcome"), module("children")
End = outcome.End


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*DEMO, "--folder", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def flows(folder: Path, slug: str, old: str, new: str) -> Path:
    """A copy of the flows in which one of them has another text."""
    copy = folder / "flows"
    shutil.copytree(EXAMPLE / "flows", copy)
    path = copy / f"{slug}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return copy


@pytest.fixture
def broken_intake(tmp_path: Path) -> Path:
    """Flows with which every bike's run fails at the first look, so that the story is short."""
    return flows(tmp_path, "intake", "config: {point: point}", "config: {point: poimt}")


def address(output: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/admin/", output)
    assert found is not None, output
    return found[0]


def page_answers(url: str) -> bool:
    try:
        # Past any proxy: the page is on this machine.
        with build_opener(ProxyHandler({})).open(url, timeout=5) as response:
            return bool(response.status == 200)
    except URLError:
        return False


@pytest.mark.slow
def test_every_run_comes_to_its_expected_end_and_nothing_is_left_running(tmp_path: Path) -> None:
    done = demo(tmp_path, "--once")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    out = done.stdout
    for action in outcome.BUILT_IN_ACTIONS:
        assert f" {action} " in out
    assert "All 12 runs came to their expected ends" in out
    assert re.search(r"user: admin   password: \S{12}\n", out)
    assert "= waiting at “Wait until Saturday 18:00” until Saturday" in out
    assert "= discarded: The condition of the flow is not true: object.status == 'ready'" in out
    assert max(map(len, out.replace(str(tmp_path), "demo").splitlines())) <= 100
    assert not page_answers(address(out))
    assert (tmp_path / "worker.log").read_text().endswith("Worker stopped.\n")
    # Django names a file by its second and its connection, so that two letters may share one.
    letters = "".join(path.read_text() for path in (tmp_path / "letters").iterdir())
    assert letters.count("Subject: ") >= 15


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.redis
def test_the_same_shop_runs_on_celery_by_one_option(tmp_path: Path) -> None:
    done = demo(tmp_path, "--once", "--scheduler", "celery")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 12 runs came to their expected ends" in done.stdout
    assert "celery -A repairshop worker" in done.stdout
    assert "flowcontrol.tasks.continue_flowruns_task" in (tmp_path / "worker.log").read_text()


def test_without_a_broker_it_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("demo_program", EXAMPLE / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(program, "BROKERS", ("redis://127.0.0.1:1/0",))
    monkeypatch.setattr(sys, "argv", ["demo", "--once", "--scheduler", "celery"])
    assert program.main() == 1
    assert "docker run --rm -p 6379:6379 redis" in capsys.readouterr().err


@pytest.mark.once
@pytest.mark.slow
def test_a_run_that_ends_elsewhere_makes_it_fail_and_is_told_with_the_reason(
    tmp_path: Path, broken_intake: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo(tmp_path, "--once", "--flows", str(broken_intake), "--port", str(port))

    assert done.returncode == 1
    assert " NO intake    Ada's city bike        completed  is_small" in done.stdout
    assert "\n     but status is failed, step is look, minutes is 0, price is missing\n" in done.stdout
    assert '= failed: Step "Look at one part" (look) failed: ' in done.stdout
    assert "It never came to this: Grace says yes to the quote." in done.stdout
    assert f"(port {port} is taken)" in done.stdout
    assert f":{port}/" not in done.stdout


@pytest.mark.once
@pytest.mark.slow
def test_it_stays_until_ctrl_c_and_stops_web_server_and_worker_then(
    tmp_path: Path, broken_intake: Path
) -> None:
    command = [*DEMO, "--folder", str(tmp_path), "--flows", str(broken_intake), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = "".join(lines_until(process.stdout, "Ctrl-C stops them."))
        another = demo(tmp_path, "--once")
        was_up = page_answers(address(out))
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert was_up
    for page in ("flow", "flowrun"):
        assert f"/admin/flowcontrol/{page}/\n" in out
    assert process.returncode == 0
    assert rest == "\nStopped; nothing is left running.\n"
    assert not page_answers(address(out))
    assert (tmp_path / "worker.log").read_text().endswith("Worker stopped.\n")
    assert another.returncode == 1
    assert f"Another demonstration is running in {tmp_path}" in another.stdout


def lines_until(stream: Iterator[str], text: str) -> Iterator[str]:
    for line in stream:
        yield line
        if text in line:
            return
    pytest.fail(f"{text!r} was never written")


@pytest.mark.once
@pytest.mark.slow
def test_a_flow_with_a_mistake_is_told_before_anything_is_started(tmp_path: Path) -> None:
    wrong = flows(tmp_path, "quote", "action: builtin.while", "action: builtin.whle")

    done = demo(tmp_path, "--once", "--flows", str(wrong))

    assert done.returncode == 1
    assert "The flows cannot be imported:" in done.stdout
    assert "steps[2].action" in done.stdout
    assert not (tmp_path / "worker.log").exists()


def test_the_shop_passes_its_checks_and_has_a_migration_for_each_model_change(tmp_path: Path) -> None:
    # makemigrations runs the system checks first.
    command = [sys.executable, "-W", "error", str(EXAMPLE / "manage.py")]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "repairshop.settings",
        "REPAIRSHOP_FOLDER": str(tmp_path),
    }
    done = subprocess.run(
        [*command, "makemigrations", "--check", "--dry-run", "workshop"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_process_that_dies_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "repairshop.settings")
    child = children.Child("worker", ["flowcontrl"], tmp_path / "worker.log")

    child.process.wait(30)

    with pytest.raises(children.ChildDied, match=r"(?s)The worker ended with exit code 1\..*flowcontrl"):
        child.check()


EXPECTED = End("intake", "Ada's bike", "completed", "done", {"price": 35})


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ([End("intake", "Ada's bike", "completed", "done", {"price": 35, "more": 1})], ""),
        ([], "there is no such run"),
        ([End("intake", "Alan's bike", "completed", "done", {"price": 35})], "there is no such run"),
        ([End("intake", "Ada's bike", "failed", "look", {"price": 35})], "status is failed, step is look"),
        ([End("intake", "Ada's bike", "completed", "done", {"price": 36})], "price is 36"),
        ([End("intake", "Ada's bike", "completed", "done")], "price is missing"),
    ],
)
def test_an_end_differs_by_status_step_and_the_keys_that_count(found: list[object], difference: str) -> None:
    assert outcome.compare([EXPECTED], found)[0] == outcome.Comparison(EXPECTED, difference)


def test_a_run_that_nobody_expected_is_a_difference() -> None:
    surplus = End("intake", "Ada's bike", "failed", "look")

    assert outcome.compare([], [surplus]) == [
        outcome.Comparison(surplus, "nobody expected this run, which is failed")
    ]
