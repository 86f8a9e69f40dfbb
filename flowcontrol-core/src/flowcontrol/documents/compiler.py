"""From a document to a program: steps get their actions, branches become links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..base import BaseAction, Retry
from ..exceptions import DocumentError, ExpressionSyntaxError, Problem
from ..expressions import Expression, compile_expression
from ..registry import MissingAction, actions
from .configuration import check_config, migrated
from .normal_form import insides, with_ids
from .program import Limits, Node, Program
from .schema import LIMITS, RETRY

__all__ = ["compile_document"]


def compile_document(document: Mapping[str, Any]) -> Program:
    """The program of a document that validated once, when it was stored. No query.

    Never raises for what changed since around it: a step whose action is gone, is older than the step's
    configuration or no longer accepts it gets a ``MissingAction`` that says so, and a run that reaches it is
    blocked. Raises ``DocumentError`` when the flow's own condition is no expression any more.
    """
    document = with_ids(document)
    compiler = _Compiler()
    first = compiler.add(document["steps"], None, "")
    nodes = tuple(node for node in compiler.nodes if node is not None)
    return Program(
        slug=document["slug"],
        nodes=nodes,
        first=first,
        by_id={node.id: node.index for node in nodes},
        object_model=document.get("object") or "",
        condition=_condition(document.get("condition")),
        limits=_limits(document.get("limits") or {}),
        history=document.get("history") or "full",
        queue=document.get("queue") or "default",
        priority=document.get("priority") or 0,
    )


class _Compiler:
    def __init__(self) -> None:
        #: In the order of the document, each step before those inside it; None until its insides are
        #: compiled.
        self.nodes: list[Node | None] = []

    def add(self, steps: Sequence[Mapping[str, Any]], parent: int | None, branch: str) -> int | None:
        """Compile the steps of a branch, and return the index of the first that is enabled."""
        drafts = [self.insides(step) for step in steps]
        following: int | None = None
        # From the last on, so that each step knows which comes after it.
        for step, (index, firsts) in zip(reversed(steps), reversed(drafts), strict=True):
            self.nodes[index] = _node(step, index, parent, branch, following, firsts)
            if step.get("enabled", True) is not False:
                following = index
        return following

    def insides(self, step: Mapping[str, Any]) -> tuple[int, dict[str, int | None]]:
        """The index of a step, and the first enabled step of each of its branches, compiled."""
        index = len(self.nodes)
        self.nodes.append(None)
        return index, {name: self.add(inside, index, name) for name, inside in insides(step)}


def _node(
    step: Mapping[str, Any],
    index: int,
    parent: int | None,
    branch: str,
    following: int | None,
    firsts: Mapping[str, int | None],
) -> Node:
    action, config = _configured(step)
    names = action.branches if isinstance(action, BaseAction) else firsts
    return Node(
        index=index,
        id=step["id"],
        name=step.get("name")
        or str(action.label or step["action"].rpartition(".")[2].replace("_", " ").capitalize()),
        action_name=step["action"],
        action=action,
        config=config,
        parent=parent,
        branch=branch,
        next=following,
        branches={name: firsts.get(name) for name in names},
        is_enabled=step.get("enabled", True) is not False,
        retry=_retry(step.get("retry"), action),
        timeout=_timeout(step.get("timeout"), action),
    )


def _retry(given: Mapping[str, Any] | None, action: BaseAction | MissingAction) -> Retry | None:
    """What the step says or, when it says nothing, its action."""
    if given is None:
        return action.retry if isinstance(action, BaseAction) else None
    values = {key.name: given[key.name] for key in RETRY if given.get(key.name) is not None}
    return Retry(**{**values, "on": tuple(values.get("on", ()))})


def _timeout(seconds: float | None, action: BaseAction | MissingAction) -> timedelta | None:
    if seconds is None:
        return action.timeout if isinstance(action, BaseAction) else None
    return timedelta(seconds=seconds)


def _configured(step: Mapping[str, Any]) -> tuple[BaseAction | MissingAction, Mapping[str, Any]]:
    """The action of a step with its cleaned configuration, or what stands in for it with the stored one."""
    stored: dict[str, Any] = step.get("config") or {}
    action = actions.resolve(step["action"])
    if isinstance(action, MissingAction):
        return action, stored
    try:
        config = migrated(action, stored, step.get("config_version") or 1)
    except ValueError as error:
        return MissingAction(
            action.name, str(error), "Update the plugin, or configure the step anew and publish."
        ), stored
    checked = check_config(action, config)
    if checked.problems:
        told = " ".join(str(problem) for problem in checked.problems)
        reason = f"Its stored configuration is refused by the installed plugin: {told}"
        return MissingAction(
            action.name, reason, "Configure the step anew and publish, or install the earlier plugin."
        ), stored
    return action, checked.cleaned


def _condition(source: str | None) -> Expression | None:
    if not source:
        return None
    try:
        return compile_expression(source)
    except ExpressionSyntaxError as error:
        raise DocumentError([Problem("condition", str(error), source)]) from error


def _limits(limits: Mapping[str, Any]) -> Limits:
    return Limits(**{key.name: limits[key.name] for key in LIMITS if limits.get(key.name) is not None})
