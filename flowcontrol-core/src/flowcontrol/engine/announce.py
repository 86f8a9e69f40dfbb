"""Telling others, after commit, what happened to runs: the scheduler, plugins' hooks and Django's signals."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from django.db import transaction
from django.dispatch import Signal

from .. import plugins, signals
from ..models import FlowRun
from ..schedulers import get_scheduler
from ..signals import RunInfo
from . import notify
from .claims import database

__all__ = ["finished", "ready", "started"]

logger = logging.getLogger("flowcontrol.engine")


def ready(run_ids: Sequence[int]) -> None:
    """Runs became due: tell the scheduler once the transaction is committed."""
    if run_ids:
        notify.send(database())
        ids = list(run_ids)
        # No partial: to log the error of a robust one, Django asks it for a name that it does not have.
        transaction.on_commit(lambda: _ready(ids), using=database(), robust=True)


class Named(Protocol):
    """What is told of a run's flow: of the row, or of the program that the run executes."""

    @property
    def slug(self) -> str: ...

    @property
    def queue(self) -> str: ...


def started(run: FlowRun, flow: Named) -> None:
    """A run takes its first step."""
    logger.info("run started run=%s flow=%s", run.pk, flow.slug, extra={"run": run.pk, "flow": flow.slug})
    _tell("flowcontrol_run_started", signals.run_started, run, flow, "running", "")


def finished(run: FlowRun, flow: Named, status: str, reason: str) -> None:
    """A run ended."""
    level = logging.ERROR if status == "failed" else logging.INFO
    known = {"run": run.pk, "flow": flow.slug, "step": run.step}
    logger.log(
        level,
        "run ended run=%s flow=%s status=%s reason=%s",
        run.pk,
        flow.slug,
        status,
        reason,
        extra=known,
    )
    _tell("flowcontrol_run_finished", signals.run_finished, run, flow, status, reason)


def _tell(hook: str, signal: Signal, run: FlowRun, flow: Named, status: str, reason: str) -> None:
    if not signal.receivers and not plugins.has_listeners(hook):
        return
    info = RunInfo(
        id=run.pk,
        flow=flow.slug,
        queue=flow.queue,
        status=status,
        object_model=run.object_model,
        object_pk=run.object_id,
        reason=reason,
        # What is there; a date that the database chose is not asked for.
        created_at=run.__dict__.get("created_at"),
        started_at=run.__dict__.get("started_at"),
        ended_at=run.__dict__.get("ended_at"),
        parent=run.parent_id,
        steps=run.visit_count,
    )
    transaction.on_commit(lambda: _send(hook, signal, info), using=database(), robust=True)


def _send(hook: str, signal: Signal, info: RunInfo) -> None:
    plugins.notify(hook, run=info)
    for receiver, answer in signal.send_robust(sender=RunInfo, run=info):
        if isinstance(answer, Exception):
            logger.error(
                "receiver failed signal=%s receiver=%r run=%s", hook, receiver, info.id, exc_info=answer
            )


def _ready(run_ids: list[int]) -> None:
    get_scheduler().runs_ready(run_ids)
