"""A compiled flow: a flat tuple of nodes with links between them, ready to be walked. No database, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..base import BaseAction, Effect, Retry
from ..expressions import Expression
from ..registry import MissingAction

__all__ = ["Limits", "Node", "Program"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs a flow may have; 0 is no limit. ``when_reached``: ``skip``, ``queue`` or ``restart``."""

    concurrent: int = 0
    per_object: int = 0
    concurrent_per_object: int = 0
    when_reached: str = "skip"

    def __bool__(self) -> bool:
        return bool(self.concurrent or self.per_object or self.concurrent_per_object)


@dataclass(frozen=True, slots=True)
class Node:
    """A step, compiled. Links are indexes into ``Program.nodes``; disabled steps are passed over by the links."""

    index: int
    #: The step's id, unique in the flow and kept for good.
    id: str
    #: For people: the step's name or its action's label.
    name: str
    action_name: str
    #: A ``MissingAction`` when no loaded plugin provides it, or its stored configuration is newer than the plugin.
    action: BaseAction | MissingAction
    #: Cleaned data of the action's form; the stored JSON when the action is missing.
    config: Mapping[str, Any]
    parent: int | None
    #: Branch of the parent that this step is in; "" at the top.
    branch: str
    next: int | None
    #: First enabled step of each branch the action declares; None for an empty one.
    branches: Mapping[str, int | None]
    is_enabled: bool = True
    #: How it is tried again, and the time limit of one call: of the step, or else of its action.
    retry: Retry | None = None
    timeout: timedelta | None = None
    #: Whether it is asked here and now, with nothing to be written before or after: pure, and without a time limit.
    is_plain: bool = field(init=False)

    def __post_init__(self) -> None:
        is_pure = isinstance(self.action, BaseAction) and self.action.effect is Effect.PURE
        object.__setattr__(self, "is_plain", is_pure and self.timeout is None)


@dataclass(frozen=True, slots=True)
class Program:
    """What ``documents.compile`` makes of a document, once per version and process."""

    slug: str
    nodes: tuple[Node, ...]
    #: First step to run; None for a flow without (enabled) steps.
    first: int | None
    by_id: Mapping[str, int]
    #: "app.model" the run is about, or "".
    object_model: str
    #: While this is not true, a run is discarded.
    condition: Expression | None
    limits: Limits
    #: What of the runs' history is kept: ``full``, ``errors`` or ``none``.
    history: str = "full"
    #: Where runs wait for a worker, and which go first: as on the flow's row.
    queue: str = "default"
    priority: int = 0
