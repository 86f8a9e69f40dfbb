"""``flowcontrol cancel``, ``pause``, ``resume`` and ``restart``: the engine does them; here is said what was done."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from ... import engine
from ...engine import Changed
from ...exceptions import FlowcontrolError
from ...models import FlowRun
from ..output import Console
from .arguments import typed_state

__all__ = ["cancel", "pause", "restart", "resume"]


def cancel(console: Console, options: Namespace) -> int:
    return _tell(
        console, options, "cancelled", *_changed(engine.cancel_runs(options.ids, reason=options.reason))
    )


def pause(console: Console, options: Namespace) -> int:
    return _tell(console, options, "paused", *_changed(engine.pause_runs(options.ids)))


def resume(console: Console, options: Namespace) -> int:
    return _tell(console, options, "resumed", *_changed(engine.resume_runs(options.ids)))


def restart(console: Console, options: Namespace) -> int:
    state = None if options.state is None else typed_state(options.state)
    done: list[int] = []
    refused: dict[int, str] = {}
    for run_id in dict.fromkeys(options.ids):
        try:
            engine.restart_run(run_id, step=options.step, state=state)
        except FlowcontrolError as error:
            refused[run_id] = str(error)
        else:
            done.append(run_id)
    return _tell(console, options, "restarted", done, refused)


def _changed(changed: Changed) -> tuple[list[int], dict[int, str]]:
    statuses = dict(FlowRun.objects.filter(pk__in=changed.refused).values_list("pk", "status"))
    refused = {
        run_id: f"it is {statuses[run_id]}" if run_id in statuses else "there is no such run"
        for run_id in changed.refused
    }
    return list(changed.done), refused


def _tell(
    console: Console, options: Namespace, verb: str, done: list[int], refused: Mapping[int, str]
) -> int:
    if options.as_json:
        told: list[dict[str, Any]] = [{"id": run_id, "detail": detail} for run_id, detail in refused.items()]
        console.json({"done": done, "refused": told})
    else:
        console.lines(f"Run {run_id}: {console.good(verb)}" for run_id in done)
        console.lines(
            f"Run {run_id}: {console.bad('not ' + verb)}: {detail}" for run_id, detail in refused.items()
        )
    return 1 if refused else 0
