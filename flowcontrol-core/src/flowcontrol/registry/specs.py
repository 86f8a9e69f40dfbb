"""What is declared: actions, trigger types, filters, schedulers and kinds of credentials, by name and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..base import BaseAction
    from ..credentials import CredentialKind

__all__ = [
    "ActionSpec",
    "CredentialKindSpec",
    "FilterSpec",
    "MissingAction",
    "SchedulerSpec",
    "TriggerSpec",
    "import_path",
    "is_name",
    "is_path",
    "path_of",
]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_name(name: object) -> bool:
    """Whether this can name an action or trigger type: ``<plugin or app label>.<name>``, small letters."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_path(path: object) -> bool:
    """Whether this is written as ``package.module:Name``."""
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def import_path(path: str) -> Any:
    """The object at ``package.module:Name``. Raises whatever importing it raises."""
    module_name, _, qualname = path.partition(":")
    found: Any = import_module(module_name)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _spelled_out(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ").capitalize()


def path_of(thing: Any) -> str:
    """Where a class or function is, as ``import_path`` reads it."""
    return f"{thing.__module__}:{thing.__qualname__}"


@dataclass(frozen=True)
class ActionSpec:
    """An action: ``ActionSpec("http.request", "acme_http.actions:Request", "Send a request")``.

    ``path`` is ``package.module:Class`` or the class. ``label`` and ``description`` are what staff read
    before the class is imported; without a label it is the name's last part, spelled out.

    ``needs_permission=False`` is for what only steers the run and computes with what it has: whoever may edit flows may
    place it. Everything else asks for the permission to use the plugin.
    """

    name: str
    path: str | type[BaseAction]
    label: str = ""
    description: str = ""
    needs_permission: bool = True

    def __post_init__(self) -> None:
        known = None if isinstance(self.path, str) else self.path
        if not self.label:
            label = getattr(known, "label", "") or _spelled_out(str(self.name))
            object.__setattr__(self, "label", label)
        if not self.description:
            object.__setattr__(self, "description", getattr(known, "description", ""))

    @property
    def path_text(self) -> str:
        """``package.module:Class`` in either case."""
        return self.path if isinstance(self.path, str) else path_of(self.path)


@dataclass(frozen=True)
class TriggerSpec:
    """A trigger type: ``TriggerSpec("shop.order_paid", "Order paid", model="shop.order")``.

    ``model`` is the ``app.model`` of the object it is fired with, empty for any or none.
    """

    name: str
    label: str = ""
    model: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", _spelled_out(str(self.name)))


@dataclass(frozen=True)
class FilterSpec:
    """A filter for expressions: ``FilterSpec("slug", "flowcontrol_actions_text.filters:slug")``.

    The function gets the value and at most one argument. Filter names have no dot; one name has one provider.
    """

    name: str
    path: str | Callable[..., Any]


@dataclass(frozen=True)
class SchedulerSpec:
    """A scheduler: ``SchedulerSpec("celery", "flowcontrol_celery.scheduler:CeleryScheduler")``.

    ``task`` is the dotted path of its task that executes what is due, if it has tasks:
    ``flowcontrol.tasks.continue_flowruns_task`` is that one then.
    """

    name: str
    path: str | type[Any]
    label: str = ""
    task: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", _spelled_out(str(self.name)))


@dataclass(frozen=True)
class CredentialKindSpec:
    """A kind of credential: ``CredentialKindSpec("http.bearer", "acme_http.credentials:Bearer", "Bearer token")``.

    ``path`` is ``package.module:Class`` or the class; without a label it is the name's last part, spelled out.
    """

    name: str
    path: str | type[CredentialKind]
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            known = "" if isinstance(self.path, str) else str(getattr(self.path, "label", ""))
            object.__setattr__(self, "label", known or _spelled_out(str(self.name)))

    @property
    def path_text(self) -> str:
        """``package.module:Class`` in either case."""
        return self.path if isinstance(self.path, str) else path_of(self.path)


@dataclass(frozen=True)
class MissingAction:
    """Stands in for an action that cannot be run here: the step stays, and says why and what to do."""

    name: str
    #: Why, as a sentence.
    reason: str
    #: What to do, as a sentence.
    hint: str

    @property
    def label(self) -> str:
        return self.name

    def __str__(self) -> str:
        return f'The action "{self.name}" is missing. {self.reason} {self.hint}'.rstrip()
