"""``flowcontrol start``: makes a run and, with ``--wait``, executes it here and shows its steps."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.models.signals import post_save

from ...engine import Refused, execute_run, start_flow
from ...models import FlowRun, HistoryChunk, RunStatus, StepRecord
from ..output import Console
from .arguments import find_object, typed_state
from .runs import record_line, standing_of, step_names

__all__ = ["start"]

#: Between two looks at a run that a worker took before us.
_LOOK_SECONDS = 0.2

_GOOD = {RunStatus.COMPLETED, RunStatus.STOPPED, RunStatus.WAITING, RunStatus.PENDING}


def start(console: Console, options: Namespace) -> int:
    obj = find_object(*options.object) if options.object else None
    state = typed_state(options.state or {})
    answer = start_flow(options.slug, obj, state, options.key)
    if isinstance(answer, Refused):
        return _refused(console, options, answer)
    run, is_new = answer.run, answer.is_new
    console.note(
        f"Run {run.pk} of {options.slug} {'started' if is_new else 'was started with this key before'}."
    )
    if options.wait:
        run = _follow(console, run)
    run = FlowRun.objects.select_related("flow", "version").get(pk=run.pk)
    if options.as_json:
        console.json(_told(run, is_new))
    elif options.wait:
        console.line(f"{run.status}: {standing_of(run)}")
        if run.reason:
            console.line(run.reason)
    else:
        console.line(str(run.pk))
    return 0 if not options.wait or run.status in _GOOD else 1


def _refused(console: Console, options: Namespace, answer: Refused) -> int:
    if options.as_json:
        console.json(
            {
                "id": None,
                "flow": options.slug,
                "status": None,
                "is_new": False,
                "refused": answer.reason,
                "detail": answer.detail,
            }
        )
    else:
        console.line(f"{console.bad('Refused')}: {answer.detail}")
    return 1


def _told(run: FlowRun, is_new: bool) -> dict[str, Any]:
    return {
        "id": run.pk,
        "flow": run.flow.slug,
        "status": str(run.status),
        "is_new": is_new,
        "refused": None,
        "detail": run.reason,
    }


def _follow(console: Console, run: FlowRun) -> FlowRun:
    """Execute the run, or watch the worker that was faster, until it is left; tell its steps meanwhile."""
    steps = _Steps(console, run)
    try:
        with steps.as_written():
            run = execute_run(run)
            while run.status == RunStatus.RUNNING:
                steps.tell()
                time.sleep(_LOOK_SECONDS)
                run = execute_run(run)
        steps.tell()
    except KeyboardInterrupt as error:
        text = f"Left while it runs. A worker goes on with it: manage.py flowcontrol run {run.pk}"
        raise CommandError(text, returncode=130) from error
    return run


class _Steps:
    """Tells each step of a run once."""

    def __init__(self, console: Console, run: FlowRun) -> None:
        self.console = console
        self.run = run
        self.names = step_names(run)
        self.last = max((record.number for record in run.history()), default=-1)

    def tell(self) -> None:
        self.tell_of(self.run.history())

    def tell_of(self, records: list[StepRecord]) -> None:
        for record in records:
            if record.number > self.last:
                self.last = record.number
                self.console.note(record_line(record, self.names))

    @contextmanager
    def as_written(self) -> Iterator[None]:
        """Inside, steps that this process writes are told when they are committed, and not only in the end."""

        def written(instance: HistoryChunk, using: str, **kwargs: Any) -> None:
            if instance.run_id == self.run.pk:
                records = instance.records()
                # No partial: to log the error of a robust one, Django asks it for a name that it does not have.
                transaction.on_commit(lambda: self.tell_of(records), using=using, robust=True)

        post_save.connect(written, sender=HistoryChunk, weak=False)
        try:
            yield
        finally:
            post_save.disconnect(written, sender=HistoryChunk)
