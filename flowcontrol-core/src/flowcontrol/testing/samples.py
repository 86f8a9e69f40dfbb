"""The configurations that an author gives as samples, and runs of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ..base import BaseAction
from ..documents.configuration import check_config
from .rules import NotApplicable, Subject
from .running import FlowResult, run_flow

__all__ = ["actions_of", "run_sample", "samples_of", "to_run"]


def actions_of(subject: Subject) -> dict[str, BaseAction]:
    actions = subject.actions
    if not actions:
        raise NotApplicable("the pack has no actions that can be imported")
    return actions


def samples_of(subject: Subject) -> Iterator[tuple[str, BaseAction, dict[str, Any]]]:
    """Of each action its samples, and the empty configuration of one that needs none."""
    for name, action in actions_of(subject).items():
        samples = subject.samples.get(name)
        if samples is None:
            samples = [] if check_config(action, {}).problems else [{}]
        for sample in samples:
            yield name, action, copy.deepcopy(dict(sample))


def to_run(subject: Subject) -> list[tuple[str, dict[str, Any]]]:
    found = [
        (name, config)
        for name, action, config in samples_of(subject)
        if name not in subject.not_run and not check_config(action, config).problems
    ]
    if subject.prepare is not None:
        subject.prepare()
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in subject.not_run.items())
        raise NotApplicable(f"nothing of it is run here ({reasons or 'there are no samples'})")
    return found


def run_sample(name: str, config: Mapping[str, Any]) -> FlowResult:
    return run_flow({"id": "it", "action": name, "config": dict(config)}, status=None)
