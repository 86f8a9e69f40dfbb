"""Runs as text: each step with what it answered and what it changed, loops and branches indented."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from flowcontrol.models import FlowRun, StepRecord

from .outcome import Comparison
from .paper import Paper

__all__ = ["steps_by_id", "tell_outcome", "tell_run"]

_NAME, _ACTION = 30, 22
_ANSWER = 5 + _NAME + 1 + _ACTION + 2

#: A run that began this much later was started for a later time, or had to queue.
_AT_ONCE = timedelta(seconds=2.5)

_ANSWERS = {
    "Next": "next",
    "ReturnToParent": "back to the parent",
    "LeaveBranch": "leave the branch",
    "StopFlow": "stop the flow",
    "Fail": "FAILED",
}
_WAITED = {"time": "waited", "event": "heard"}


def steps_by_id(steps: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """All steps of a document by their ids."""
    found: dict[str, Mapping[str, Any]] = {}
    for step in steps:
        found[step["id"]] = step
        for branch in [step.get("steps", []), *step.get("branches", {}).values()]:
            found |= steps_by_id(branch)
    return found


def tell_run(paper: Paper, run: FlowRun, about: str) -> None:
    """The run's steps in order, then where it is now."""
    steps = steps_by_id(run.version.document["steps"])
    left = f"run {run.pk}: {run.flow.name}"
    right = f"{run.flow.slug} v{run.version.number} · {about}"
    paper.write()
    paper.write(left + " " * max(1, paper.width - len(left) - len(right)) + right, "bold")
    paper.paragraph(_origin(run), " " * 5, "dim")
    for record in run.history():
        _tell_step(paper, record, steps.get(record.step, {}))
    paper.paragraph(_standing(run, steps), " " * 5, "bold" if run.status == "failed" else "green")


def _origin(run: FlowRun) -> str:
    """What started the run, and when it began if that was later."""
    trigger = run.trigger
    if trigger is not None:
        text = f"started by {trigger.on}, {trigger.condition}"
    else:
        text = f"started by run {run.parent_id}" if run.parent_id else "started by hand"
    if run.started_at is None or run.started_at - run.created_at < _AT_ONCE:
        return text
    text += f", begun {(run.started_at - run.created_at).total_seconds():.1f} s later"
    ahead = _ahead(run)
    return f"{text}: it queued behind run {ahead.pk}" if ahead else text


def _ahead(run: FlowRun) -> FlowRun | None:
    """The run whose end made room for this one, if its flow lets runs queue."""
    if run.version.document.get("limits", {}).get("when_reached") != "queue":
        return None
    meanwhile = FlowRun.objects.filter(ended_at__gt=run.created_at, ended_at__lte=run.started_at)
    return meanwhile.filter(flow_id=run.flow_id, pk__lt=run.pk).order_by("ended_at").last()


def _tell_step(paper: Paper, record: StepRecord, step: Mapping[str, Any]) -> None:
    depth = len(record.path.split("/")) if record.path else 0
    name = "│ " * depth + str(step.get("name") or record.step)
    action = str(step.get("action", ""))
    first, *more = textwrap.wrap(_answer(record), paper.width - _ANSWER, subsequent_indent="  ")
    number = record.number + 1
    paper.write(f"{number:>3}  {_cut(name, _NAME):<{_NAME}} {_cut(action, _ACTION):<{_ACTION}}  {first}")
    guide = " " * 5 + "│ " * depth
    for line in more:
        paper.write(f"{guide:<{_ANSWER}}{line}")


def _answer(record: StepRecord) -> str:
    changes = [f"{key} = {_value(value)}" for key, value in (record.changes or {}).items()]
    return " · ".join([_decision(record), *changes, *([record.error] if record.error else [])])


def _decision(record: StepRecord) -> str:
    word, _, rest = record.decision.partition(" ")
    if word == "EnterBranch":
        return "once more" if record.phase == "branch" else f"enter {rest}"
    if word == "Wait":
        return f"wait {_readable_times(rest)}"
    if record.phase == "branch" and word == "Next":
        return "done, next"
    answer = _ANSWERS.get(word, word)
    if record.phase in _WAITED:
        answer = f"{_WAITED[record.phase]}, {answer}"
    return f"{answer}: {rest}" if rest else answer


def _readable_times(text: str) -> str:
    return " ".join(_moment(word) for word in text.split())


def _moment(text: str) -> str:
    try:
        moment = timezone.localtime(datetime.fromisoformat(text))
    except ValueError:
        return text
    is_today = moment.date() == timezone.localdate()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%A %d %B %H:%M}"


def _value(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1 and "$datetime" in value:
        return _moment(value["$datetime"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if value is None:
        return "removed"
    return json.dumps(value, ensure_ascii=False)


def _standing(run: FlowRun, steps: Mapping[str, Mapping[str, Any]]) -> str:
    text = f"= {run.status}"
    if run.status == "waiting" and run.wait_until:
        name = steps.get(run.step, {}).get("name", run.step)
        text += f" at “{name}” until {_moment(run.wait_until.isoformat())}"
    elif run.reason:
        text += f": {run.reason}"
    return text


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def tell_outcome(paper: Paper, lines: Iterable[Comparison]) -> None:
    """The table of expected ends, with what differs."""
    paper.write(f"     {'flow':<9} {'about':<22} {'status':<10} {'at step':<9} state", "dim")
    for line in lines:
        end = line.end
        state = ", ".join(f"{key}={_value(value)}" for key, value in end.state.items())
        mark, style = ("ok", "green") if not line.difference else ("NO", "bold")
        cells = f"{end.flow:<9} {end.about:<22} {end.status:<10} {end.step:<9} {state}"
        paper.write(f" {mark:>3} {cells}".rstrip(), style)
        if line.difference:
            paper.paragraph(f"but {line.difference}", " " * 5, "bold")
