"""django-flowcontrol, the peer, used as its documentation says: its engine's functions and its own actions."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.conf import settings
from on_celery import QUEUE_VARIABLE, drained, make_app
from protocol import Figures, Statements, database, measured, serve

settings.configure(
    SECRET_KEY="benchmark",  # noqa: S106  no secret
    USE_TZ=True,
    DATABASES={"default": database()},
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "treebeard",
        "flowcontrol",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
app = make_app(os.environ[QUEUE_VARIABLE], "flowcontrol.tasks") if QUEUE_VARIABLE in os.environ else None

from django.core.management import call_command  # noqa: E402  settings come first
from django.utils import timezone  # noqa: E402  settings come first
from flowcontrol import actions  # noqa: E402  settings come first
from flowcontrol.base import BaseAction, FlowDirective  # noqa: E402  settings come first
from flowcontrol.engine import (  # noqa: E402  settings come first
    continue_flowruns,
    create_flowrun,
    start_flowrun,
    trigger_flows,
)
from flowcontrol.models import Flow, FlowRun, Trigger  # noqa: E402  settings come first
from flowcontrol.registry import register_action, register_trigger  # noqa: E402  settings come first
from flowcontrol.utils import ActionNode, make_action_tree  # noqa: E402  settings come first
from rows import copies, emptied, settled  # noqa: E402  settings come first

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@register_action
class Nothing(BaseAction):
    """A step in the world outside that does nothing."""

    def run(self, *, run: Any, obj: Any = None, config: Any = None) -> FlowDirective:
        return FlowDirective.CONTINUE


register_trigger("fired")


def pure(count: int = 10) -> list[ActionNode]:
    return [
        ActionNode(actions.UpdateStateAction, {"state": {f"n{number}": number}}) for number in range(count)
    ]


def flow(name: str, nodes: list[ActionNode], **columns: Any) -> Flow:
    made = Flow.objects.create(name=name, active_at=timezone.now() - timedelta(days=1), **columns)
    make_action_tree(made, nodes)
    return made


class Peer:
    def __init__(self) -> None:
        self.statements: Statements | None = None
        self.flows: dict[str, Flow] = {}

    def setup(self) -> None:
        call_command("migrate", verbosity=0)
        flow("pure", pure())
        flow("external", [ActionNode(Nothing)] * 10)
        inside = ActionNode(actions.UpdateStateAction, {"state": {"a": 1}})
        flow("loop", [ActionNode(actions.ForLoopAction, {"end": 900}, [inside])])
        later = ActionNode(actions.DelayAction, {"seconds": timedelta(days=365)})
        flow("delayed", [later, *pure(1)])
        wakes = Trigger.objects.create(trigger="fired", create_flow=False, active_at=PAST)
        wait = ActionNode(actions.WaitForTriggerAction, {"trigger": wakes, "require_object": False})
        flow("awaiting", [wait, *pure(1)])
        flow("limited", pure(1), max_concurrent=100)

    def begin(self) -> None:
        self.statements = Statements()
        self.flows = {flow.name: flow for flow in Flow.objects.all()}

    def one_by_one(self, size: int, slug: str = "pure") -> Figures:
        _empty()
        figures = measured(lambda: [self._run(slug) for _ in range(size)], size, self.statements)
        _all_done(size)
        return figures

    def worker(self, size: int, slug: str = "pure") -> Figures:
        _empty()
        copies(FlowRun, create_flowrun(self.flows[slug]).pk, size - 1)
        settled()
        figures = measured(continue_flowruns, size, self.statements)
        _all_done(size)
        return figures

    def celery(self, size: int) -> Figures:
        _empty()
        copies(FlowRun, create_flowrun(self.flows["pure"]).pk, size - 1)
        settled()
        done = FlowRun.objects.filter(status="done", outcome="complete")
        return drained("peer", "flowcontrol.tasks.enqueue_flowruns_task", lambda: done.count() == size, size)

    def loop(self, size: int) -> Figures:
        figures = self.one_by_one(size, "loop")
        return {**figures, "runs": size * 900}

    def waiting(self, rows: int) -> None:
        _empty()
        copies(FlowRun, self._run("delayed").pk, rows - 1)
        settled()

    def drain(self, size: int) -> Figures:
        template = FlowRun.objects.filter(status="waiting").first()
        copies(FlowRun, template.pk, size, {"continue_after": PAST})
        settled()
        figures = measured(continue_flowruns, size, self.statements)
        _all_done(size)
        FlowRun.objects.filter(status="done").delete()
        return figures

    def listening(self, flows: int) -> None:
        _empty()
        for number in range(flows):
            made = flow(f"listens-{number}", pure(1))
            Trigger.objects.create(trigger="fired", flow=made, active_at=PAST)
        trigger_flows("fired")

    def trigger(self, size: int, flows: int) -> Figures:
        _empty()
        figures = measured(lambda: [trigger_flows("fired") for _ in range(size)], size, self.statements)
        assert FlowRun.objects.count() == size * flows
        return figures

    def wake(self, size: int) -> Figures:
        _empty()
        copies(FlowRun, self._run("awaiting").pk, size - 1)
        settled()
        figures = measured(lambda: trigger_flows("fired"), size, self.statements)
        assert FlowRun.objects.get_runnable().count() == size
        return figures

    def many(self, rows: int) -> None:
        _empty()
        copies(FlowRun, self._run("delayed").pk, rows - 1)
        copies(FlowRun, self._run("limited").pk, rows - 1)
        settled()

    def choose(self, size: int) -> Figures:
        return measured(
            lambda: [list(FlowRun.objects.get_runnable()) for _ in range(size)], size, self.statements
        )

    def start(self, size: int) -> Figures:
        pks: list[int] = []
        figures = measured(
            lambda: pks.extend(create_flowrun(self.flows["limited"]).pk for _ in range(size)),
            size,
            self.statements,
        )
        FlowRun.objects.filter(pk__in=pks).delete()
        return figures

    def _run(self, name: str) -> FlowRun:
        return start_flowrun(self.flows[name])


def _empty() -> None:
    emptied(FlowRun)


def _all_done(count: int) -> None:
    done = FlowRun.objects.filter(status="done", outcome="complete").count()
    if done != count:
        raise AssertionError(f"{done} of {count} runs were completed")


if __name__ == "__main__":
    serve(Peer())
