"""The demonstration from beginning to end."""

from __future__ import annotations

import secrets
import shlex
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.files import locks
from django.core.management import CommandError, call_command
from django.db.models import Model
from django.urls import reverse
from flowcontrol.models import Flow, FlowRun, Trigger
from workshop.models import Repair

from .children import MANAGE, POLL_SECONDS, Child, ChildDied, answers, free_port, until
from .outcome import BUILT_IN_ACTIONS, EXPECTED, End, compare
from .paper import Paper
from .report import steps_by_id, tell_outcome, tell_run
from .story import News, Story

__all__ = ["show"]

STARTUP_SECONDS = 30
STORY_SECONDS = 60
#: Everything that an earlier demonstration may have left in its folder.
_LEFT = ("repairshop.sqlite3*", "letters/*.log", "*.log", "celerybeat*")


class Trouble(Exception):
    """The demonstration cannot go on; the message says why."""


def show(options: Namespace) -> int:
    """Set up, tell the story, report and compare. Returns the exit code."""
    paper = Paper(sys.stdout)
    # Ctrl-C, too: a shell that starts this in the background has it ignored.
    for ending in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(ending, _interrupt)
    try:
        with fresh_folder(options.folder), ExitStack() as stack:
            return Demonstration(paper, options, stack).go()
    except KeyboardInterrupt:
        paper.write("\nStopped; nothing is left running.")
        return 0 if not options.once else 130
    except (ChildDied, Trouble) as error:
        paper.write(f"\n{error}", "bold")
        return 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def fresh_folder(folder: Path) -> Iterator[None]:
    """The folder without what the last demonstration left; ours alone until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        if not locks.lock(lock, locks.LOCK_EX | locks.LOCK_NB):
            raise Trouble(f"Another demonstration is running in {folder}. Stop it, or use another --folder.")
        for pattern in _LEFT:
            for path in folder.glob(pattern):
                path.unlink()
        yield


class Demonstration:
    def __init__(self, paper: Paper, options: Namespace, stack: ExitStack) -> None:
        self.paper = paper
        self.options = options
        self.stack = stack
        self.children: list[Child] = []

    def go(self) -> int:
        self.paper.heading(f"Spoke & Chain, a bicycle repair shop · Django {django.__version__}")
        self.set_up()
        is_in_time = self.tell_story()
        is_as_expected = self.report()
        if not is_in_time:
            self.paper.write(f"\nNot everything was done within {STORY_SECONDS} seconds.", "bold")
        self.tell_where_to_look()
        if self.options.once:
            return 0 if is_as_expected and is_in_time else 1
        self.stay()
        return 0

    # -- set up ---------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        paper, folder = self.paper, self.options.folder
        call_command("migrate", verbosity=0, interactive=False)
        paper.fact("database", f"{_shown(folder / 'repairshop.sqlite3')}, made anew")
        self.import_flows()
        password = secrets.token_urlsafe(9)
        get_user_model().objects.create_superuser("admin", "admin@example.org", password)
        port = free_port(self.options.port)
        self.address = f"http://127.0.0.1:{port}"
        if self.options.scheduler == "celery":
            self.start_celery()
        else:
            self.start("worker", "flowcontrol", "worker", "--poll-seconds", "0.2")
        self.start("web", "runserver", "--noreload", f"127.0.0.1:{port}")
        if self.options.port not in (0, port):
            paper.fact("", f"(port {self.options.port} is taken)")
        login = self.address + reverse("admin:login")
        if not until(lambda: self.is_alive() and answers(login), STARTUP_SECONDS):
            log = folder / "web.log"
            raise Trouble(f"{login} did not answer within {STARTUP_SECONDS} seconds; see {log}.")
        paper.fact("admin", f"{self.address}{reverse('admin:index')}   user: admin   password: {password}")

    def import_flows(self) -> None:
        files = sorted(map(str, self.options.flows.glob("*.yaml")))
        out = StringIO()
        try:
            call_command("flowcontrol", "import", *files, stdout=out, stderr=out)
        except (CommandError, SystemExit) as error:
            told = f"{out.getvalue()}{error if isinstance(error, CommandError) else ''}"
            raise Trouble(f"The flows cannot be imported:\n{told.rstrip()}") from error
        self.paper.fact("flows", f"manage.py flowcontrol import {_shown(self.options.flows)}/*.yaml")
        for line in out.getvalue().splitlines():
            self.paper.fact("", line)

    def start(self, name: str, *arguments: str) -> None:
        self.add(name, list(arguments), [str(MANAGE)])
        self.paper.fact(name, f"manage.py {' '.join(arguments)}")

    def add(self, name: str, arguments: list[str], program: list[str]) -> None:
        log = self.options.folder / f"{name}.log"
        child = Child(
            name if name == "worker" else f"{name} server",
            arguments,
            log,
            program=program,
        )
        self.stack.callback(child.stop)
        self.children.append(child)

    def start_celery(self) -> None:
        """A worker of Celery's with two processes, and beat in it."""
        schedule = str(self.options.folder / "celerybeat")
        shown = ["-A", "repairshop", "worker", "-B", "--concurrency", "2"]
        program = ["-m", "celery", "--workdir", str(MANAGE.parent)]
        self.add("worker", [*shown, "--schedule", schedule, "--loglevel", "INFO"], program)
        self.paper.fact("worker", f"celery {' '.join(shown)}")
        # Without the password.
        self.paper.fact("broker", settings.CELERY_BROKER_URL.rpartition("@")[2])

    def is_alive(self) -> bool:
        for child in self.children:
            child.check()
        return True

    # -- the story ------------------------------------------------------------------------------------------

    def tell_story(self) -> bool:
        self.paper.heading("What happens")
        self.story, self.news = Story(), News()
        self.tell("people", self.story.begin())

        def is_over() -> bool:
            self.is_alive()
            due, is_over = self.story.due(), self.story.is_over()
            # After the look and before the act, so that what made it due is told first.
            self.tell_news()
            for act, repair in due:
                self.tell("people", self.story.play(act, repair))
            return is_over and not due

        return until(is_over, STORY_SECONDS)

    def tell_news(self) -> None:
        for kind, who, text in self.news.fresh():
            self.tell(kind, f"{who:<12}  {text}")

    def tell(self, kind: str, text: str) -> None:
        style = "bold" if kind == "people" else ""
        self.paper.write(f"  {self.news.seconds():4.1f} s  {kind:<6}  {text}", style)

    # -- the report -----------------------------------------------------------------------------------------

    def report(self) -> bool:
        paper = self.paper
        runs = list(FlowRun.objects.select_related("flow", "version", "trigger").order_by("id"))
        repairs = {str(repair.pk): str(repair) for repair in Repair.objects.select_related("customer")}
        paper.heading("What each flow did, step by step")
        paper.write(f"     {'step':<30} {'action':<22}  answer, and what it changed in the state", "dim")
        for run in runs:
            tell_run(paper, run, repairs.get(run.object_id, "about nothing"))
        paper.heading("The expected ends")
        ends = [
            End(run.flow.slug, repairs.get(run.object_id, ""), run.status, run.step, _plain(run))
            for run in runs
        ]
        lines = compare(EXPECTED, ends)
        tell_outcome(paper, lines)
        unused = BUILT_IN_ACTIONS - _actions_used(runs)
        missed = [f"It never came to this: {act.text}" for act in self.story.to_come]
        if unused:
            missed.append(f"No step ran these actions: {', '.join(sorted(unused))}")
        for text in missed:
            paper.write(f"  NO {text}", "bold")
        different = sum(1 for line in lines if line.difference) + len(missed)
        paper.write()
        if different:
            paper.write(f"  {different} of {len(lines) + len(missed)} differ.", "bold")
        else:
            count = sum(run.visit_count for run in runs)
            paper.write(
                f"  All {len(lines)} runs came to their expected ends, in {count} steps, with each of the "
                f"{len(BUILT_IN_ACTIONS)} built-in actions.",
                "green",
            )
        return not different

    def tell_where_to_look(self) -> None:
        paper, folder = self.paper, self.options.folder
        paper.heading("Where to look")
        if not self.options.once:
            for name, model in _PAGES:
                if admin.site.is_registered(model):
                    page = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
                    paper.fact(name, self.address + page)
        paper.fact(
            "as text",
            f"{_shown(self.options.flows)}; what each shows: {_shown(MANAGE.with_name('README.md'))}",
        )
        paper.fact("letters", f"{_shown(folder)}/letters")
        paper.fact("logs", f"{_shown(folder)}/worker.log, {_shown(folder)}/web.log")
        place, python, manage = (shlex.quote(_shown(path)) for path in (folder, Path(sys.executable), MANAGE))
        paper.fact("shell", f"REPAIRSHOP_FOLDER={place} {python} {manage} flowcontrol runs")

    def stay(self) -> None:
        self.paper.write(
            "\nWeb server and worker go on; what happens is told here. Ctrl-C stops them.", "bold"
        )
        while self.is_alive():
            self.tell_news()
            time.sleep(POLL_SECONDS * 5)


_PAGES: tuple[tuple[str, type[Model]], ...] = (
    ("flows", Flow),
    ("runs", FlowRun),
    ("triggers", Trigger),
    ("repairs", Repair),
)


def _plain(run: FlowRun) -> dict[str, Any]:
    return dict(run.state)


def _actions_used(runs: list[FlowRun]) -> set[str]:
    used = set()
    for run in runs:
        steps = steps_by_id(run.version.document["steps"])
        used |= {str(steps[record.step]["action"]) for record in run.history()}
    return used


def _shown(path: Path) -> str:
    """The path as a person in this folder would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
