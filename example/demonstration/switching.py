"""A pack that is switched off and on again: what its flow, its run and everything else make of it."""

from __future__ import annotations

import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from flowcontrol.engine import Started, start_flow
from flowcontrol.models import Flow, FlowRun

from .children import Child, ChildDied, answers, free_port, until
from .paper import Paper
from .show import Trouble, fresh_folder

__all__ = ["show"]

#: What switches the pack off: everything, without it.
WITHOUT = {"FLOWCONTROL_PLUGINS": "*,-builtin"}

STARTUP_SECONDS = 30


def show(folder: Path, flows: Path, seconds: float) -> int:
    """Tell the story in three steps, each thing within so many seconds. Returns the exit code."""
    paper = Paper(sys.stdout)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    try:
        with fresh_folder(folder):
            return Switching(paper, folder, flows, seconds).go()
    except KeyboardInterrupt:
        paper.write("\nStopped; nothing is left running.")
        return 130
    except (ChildDied, Trouble) as error:
        paper.write(f"\n{error}", "bold")
        return 1


class Switching:
    def __init__(self, paper: Paper, folder: Path, flows: Path, seconds: float) -> None:
        self.paper = paper
        self.folder = folder
        self.flows = flows
        self.seconds = seconds
        self.failed: list[str] = []
        self.children: list[Child] = []
        self.address = f"http://127.0.0.1:{free_port(0)}"

    def go(self) -> int:
        self.set_up()
        with self.processes("1. With the built-in pack"):
            run = self.started("patient")
            self.expect("its run waits in the pack's step", lambda: fresh(run).status == "waiting")
        with self.processes("2. Switched off, and everything restarted", WITHOUT):
            self.expect("the run is blocked", lambda: fresh(run).status == "blocked")
            self.quote(fresh(run).reason)
            self.expect("and knows what it knew", lambda: fresh(run).state.get("notes") == ["before"])
            other = self.started("bystander")
            self.expect("flows without the pack go on", lambda: fresh(other).status == "completed")
            page = self.page_of("patient")
            self.expect("the admin greys the step out and says why", lambda: "fc-missing" in page)
            self.quote(_missing_part(page))
            self.expect("the flow itself is untouched", lambda: stored() == self.before)
        with self.processes("3. Switched on again"):
            self.expect("the run goes on by itself and completes", lambda: fresh(run).status == "completed")
            self.expect(
                "each step was done once", lambda: fresh(run).state.get("notes") == ["before", "after"]
            )
            page = self.page_of("patient")
            self.expect("nothing is greyed out any more", lambda: "fc-missing" not in page)
        self.paper.write()
        if self.failed:
            self.paper.write(f"Not as it should be: {'; '.join(self.failed)}.", "bold")
            return 1
        self.paper.write("All as it should be; nothing is left running.", "green")
        return 0

    def set_up(self) -> None:
        self.paper.heading("A pack is switched off under a run, and on again")
        call_command("migrate", verbosity=0, interactive=False)
        files = sorted(map(str, self.flows.glob("*.yaml")))
        call_command("flowcontrol", "import", *files, stdout=StringIO())
        self.before = stored()
        self.admin = get_user_model().objects.create_superuser("admin", "admin@example.org", None)
        self.paper.fact("flows", ", ".join(Flow.objects.values_list("slug", flat=True)))

    @contextmanager
    def processes(self, title: str, environment: dict[str, str] | None = None) -> Iterator[None]:
        """Inside, a web server and a worker are at work, with these variables beside ours."""
        self.paper.heading(title)
        prefix = "".join(f'{name}="{value}" ' for name, value in (environment or {}).items())
        port = self.address.rpartition(":")[2]
        commands = {
            "worker": ["flowcontrol", "worker", "--poll-seconds", "0.2"],
            "web": ["runserver", "--noreload", f"127.0.0.1:{port}"],
        }
        with ExitStack() as stack:
            self.children = []
            for name, arguments in commands.items():
                self.paper.fact(name, f"{prefix}manage.py {' '.join(arguments)}")
                child = Child(name, arguments, self.folder / f"{name}.log", environment)
                stack.callback(child.stop)
                self.children.append(child)
            login = self.address + reverse("admin:login")
            if not until(lambda: self.is_alive() and answers(login), STARTUP_SECONDS):
                raise Trouble(
                    f"{login} did not answer within {STARTUP_SECONDS} seconds; see {self.folder / 'web.log'}."
                )
            yield

    def is_alive(self) -> bool:
        for child in self.children:
            child.check()
        return True

    def started(self, slug: str) -> FlowRun:
        answer = start_flow(slug)
        if not isinstance(answer, Started):
            raise Trouble(f"The flow {slug} did not start: {answer.detail}")
        self.paper.fact("start", f"flow {slug}, run {answer.run.pk}")
        return answer.run

    def expect(self, told: str, condition: Callable[[], object]) -> None:
        is_so = until(lambda: self.is_alive() and condition(), self.seconds)
        self.paper.write(f"  {'ok' if is_so else 'NO':<9} {told}", "green" if is_so else "bold")
        if not is_so:
            self.failed.append(told)

    def quote(self, text: str) -> None:
        self.paper.paragraph(f"“{text}”", " " * 12, "dim")

    def page_of(self, slug: str) -> str:
        """The page of a flow as the web server shows it to the superuser."""
        client = Client()
        client.force_login(self.admin)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        url = reverse("admin:flowcontrol_flow_change", args=[Flow.objects.get(slug=slug).pk])
        request = urllib.request.Request(  # noqa: S310  our own web server
            self.address + url, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=STARTUP_SECONDS) as response:
            return str(response.read().decode())


def fresh(run: FlowRun) -> FlowRun:
    return FlowRun.objects.get(pk=run.pk)


def stored() -> list[dict[str, Any]]:
    """Everything about the flows themselves."""
    return list(Flow.objects.order_by("pk").values())


def _missing_part(page: str) -> str:
    """What the page tells about the first step that is missing, as text."""
    _, _, rest = page.partition('class="fc-missing')
    text = re.sub(r"<[^>]*>", " ", rest.partition(">")[2].partition("</li>")[0])
    return " ".join(unescape(text).split())
