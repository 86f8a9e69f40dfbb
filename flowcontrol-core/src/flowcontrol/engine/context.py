"""What an action sees of a run: the engine's side of ``flowcontrol.base.ActionContext``."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Mapping, MutableMapping
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Model

from ..credentials import Credential
from ..documents.program import Node
from ..exceptions import ObjectGone
from ..expressions import Expression, Scope, Template
from ..masking import Masker
from ..models import FlowRun
from ..state import State
from . import secrecy
from .retries import retry_of

__all__ = ["RunView", "StepContext"]

_KEYS = uuid.UUID("5f1a6c3e-0f0b-4f6e-9a53-6b5d6a0c7d11")
_UNREAD: Any = object()
_log = logging.getLogger("flowcontrol.actions")


class RunView:
    """What all steps of one stretch of a run share: the object, read once, and what expressions see as ``run``."""

    def __init__(self, run: FlowRun, flow: str, moment: Callable[[float], datetime]) -> None:
        self.run = run
        self.flow = flow
        #: The time so many seconds after the claim.
        self.moment = moment
        #: The object was looked for, and is not there any more.
        self.is_object_gone = False
        #: What its steps were given in confidence, to be masked in all that is written; None for nothing.
        self.masker: Masker | None = None
        self._object: Model | None = _UNREAD
        self._facts: dict[str, Any] | None = None

    def load_object(self) -> Model | None:
        """The object the run is about; one query the first time. Raises ``ObjectGone``."""
        if self._object is _UNREAD:
            self._object = self._read_object()
        return self._object

    def _read_object(self) -> Model | None:
        run = self.run
        if not run.object_model:
            return None
        try:
            model = apps.get_model(run.object_model)
        except LookupError as error:
            self.is_object_gone = True
            raise ObjectGone(
                f"The model {run.object_model} that run {run.pk} is about is not installed."
            ) from error
        found: Model | None = model._base_manager.filter(pk=run.object_id).first()
        if found is None:
            self.is_object_gone = True
            raise ObjectGone(
                f"The {run.object_model} {run.object_id} that run {run.pk} is about no longer exists."
            )
        return found

    @property
    def facts(self) -> Mapping[str, Any]:
        if self._facts is None:
            run = self.run
            self._facts = {
                "id": run.pk,
                "flow": self.flow,
                "key": run.key,
                "parent": run.parent_id,
                "created_at": run.created_at,
                "started_at": run.started_at,
            }
        return self._facts


class StepContext:
    """One call of one method of an action. See ``flowcontrol.base.ActionContext`` for what it promises."""

    __slots__ = (
        "_crashes",
        "_log",
        "_node",
        "_now",
        "_path",
        "_scope",
        "_seconds",
        "_variables",
        "_view",
        "attempt",
        "config",
        "locals",
        "state",
        "step_id",
    )

    def __init__(
        self,
        view: RunView,
        node: Node,
        state: State,
        memory: dict[str, Any],
        variables: Mapping[str, Any],
        path: str,
        attempt: int,
        seconds: float,
        crashes: int = 0,
    ) -> None:
        """``seconds``: how long after the claim it is. ``crashes``: how many of the attempts were ended by one."""
        self._view = view
        self._variables = variables
        self._path = path
        self._scope: Scope | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self.config = node.config
        self._node = node
        self.state: MutableMapping[str, Any] = state
        self.locals: MutableMapping[str, Any] = memory
        self.step_id = node.id
        self.attempt = attempt
        self._crashes = crashes
        self._seconds = seconds
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = self._view.moment(self._seconds)
        return self._now

    def undo(self) -> None:
        """Have the state as it was before the call."""
        state = self.state
        assert isinstance(state, State)
        state.rollback()

    @property
    def run_id(self) -> int:
        return self._view.run.pk

    @property
    def object(self) -> Model | None:
        return self._view.load_object()

    @property
    def branches(self) -> frozenset[str]:
        return frozenset(name for name, first in self._node.branches.items() if first is not None)

    @property
    def idempotency_key(self) -> str:
        run = self._view.run
        visit = f"{run.pk}/{run.created_at.isoformat()}/{run.restart_count}/{self._path}/{self.step_id}"
        return str(uuid.uuid5(_KEYS, visit))

    @property
    def scope(self) -> Scope:
        if self._scope is None:
            state = self.state
            assert isinstance(state, State)
            self._scope = Scope(
                state.read, self._variables, self._view.facts, self.now, self._view.load_object
            )
        return self._scope

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._log is None:
            extra = {"run": self.run_id, "flow": self._view.flow, "step": self.step_id}
            self._log = logging.LoggerAdapter(_log, extra)
        return self._log

    def credential(self, name: str, *, kinds: Collection[str] | None = None) -> Credential:
        found = secrecy.fetch(name, kinds)
        self.keep_secret(*found.secrets())
        return found

    def keep_secret(self, *texts: str) -> None:
        view = self._view
        view.masker = secrecy.confide(view.run.pk, view.masker, list(texts))

    def is_retried(self, error: BaseException) -> bool:
        return retry_of(self._node, self.attempt - self._crashes, error) is not None

    def evaluate(self, expression: Expression) -> Any:
        return expression.evaluate(self.scope)

    def is_true(self, expression: Expression) -> bool:
        return expression.is_true(self.scope)

    def render(self, template: Template) -> str:
        return template.render(self.scope)
