"""``flowcontrol prune``: deleting ended runs, or their history alone."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta

from django.core.management.base import CommandError

from ... import conf
from ...engine.retention import Pruned, Pruning, prune_runs
from ...models import Flow
from ...models.run import ENDED
from ...suggestions import did_you_mean
from ..output import Console, counted

__all__ = ["prune"]


def prune(console: Console, options: Namespace) -> int:
    pruning = _chosen(options)
    pruned = Pruned(0, 0)
    if options.dry_run:
        count = pruning.count()
        pruned = Pruned(0, count) if pruning.is_history_only else Pruned(count, 0)
    else:
        for chunk in prune_runs(pruning):
            pruned = Pruned(pruned.runs + chunk.runs, pruned.history + chunk.history)
            if any(chunk) and not options.as_json:
                console.note(f"{_done(pruned, pruning)} …")
    if options.as_json:
        console.json({**pruned._asdict(), "is_dry_run": options.dry_run})
    elif options.dry_run:
        runs = counted(count, "run")
        console.line(f"{f'The history of {runs}' if pruning.is_history_only else runs} would be deleted.")
    else:
        history = f", and {counted(pruned.history, 'row')} of history with them" if pruned.runs else ""
        console.line(f"{_done(pruned, pruning)}{history}.")
    return 0


def _done(pruned: Pruned, pruning: Pruning) -> str:
    if pruning.is_history_only:
        return f"{counted(pruned.history, 'row')} of history deleted"
    return f"{counted(pruned.runs, 'run')} deleted"


def _chosen(options: Namespace) -> Pruning:
    days = conf.settings.RUN_RETENTION_DAYS if options.older_than is None else options.older_than
    if days is None:
        raise CommandError("Say how old: --older-than DAYS, or the setting RUN_RETENTION_DAYS.")
    flow = None
    if options.flow:
        slugs = Flow.objects.values_list("slug", flat=True)
        flow = Flow.objects.filter(slug=options.flow).first()
        if flow is None:
            raise CommandError(
                f'There is no flow "{options.flow}". {did_you_mean(options.flow, slugs)}'.rstrip()
            )
    return Pruning(
        timedelta(days=days),
        statuses=options.status or ENDED,
        flow=flow,
        is_history_only=options.history_only,
    )
