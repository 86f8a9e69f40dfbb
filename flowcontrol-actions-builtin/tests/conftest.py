"""One step of one run, without an engine: a context over a real state and real expressions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from django.db.models import Model
from flowcontrol.base import BaseAction
from flowcontrol.expressions import Expression, Scope, Template
from flowcontrol.state import State

NOW = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)  # a Tuesday


@dataclass
class StepAlone:
    """An ``ActionContext`` for one visit of one step."""

    config: Mapping[str, Any]
    state: State
    about: Model | None = None
    now: datetime = NOW
    variables: Mapping[str, Any] = field(default_factory=dict)
    locals: MutableMapping[str, Any] = field(default_factory=dict)
    run_id: int = 7
    step_id: str = "step"
    attempt: int = 1
    idempotency_key: str = "key"
    log: logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.LoggerAdapter(logging.getLogger("flowcontrol.actions"), {})
    )

    @property
    def object(self) -> Model | None:
        return self.about

    @property
    def scope(self) -> Scope:
        return Scope(self.state.read, self.variables, {"id": self.run_id}, self.now, lambda: self.about)

    def evaluate(self, expression: Expression) -> Any:
        return expression.evaluate(self.scope)

    def is_true(self, expression: Expression) -> bool:
        return expression.is_true(self.scope)

    def render(self, template: Template) -> str:
        return template.render(self.scope)


class Configure(Protocol):
    def __call__(self, action: BaseAction, /, **config: Any) -> dict[str, Any]: ...


class Refusals(Protocol):
    def __call__(self, action: BaseAction, /, **config: Any) -> dict[str, list[str]]: ...


class Visit(Protocol):
    def __call__(
        self, action: BaseAction, state: Mapping[str, Any] | None = None, /, **config: Any
    ) -> StepAlone: ...


def cleaned(action: BaseAction, /, **config: Any) -> dict[str, Any]:
    form = action.Config(config)
    assert form.is_valid(), form.errors.as_json()
    return form.cleaned_data


@pytest.fixture(scope="session")
def configured() -> Configure:
    """The cleaned configuration; the test fails when it is refused."""
    return cleaned


@pytest.fixture(scope="session")
def refusals() -> Refusals:
    """What is wrong with a configuration: messages by field, ``__all__`` for the whole."""

    def refusals(action: BaseAction, /, **config: Any) -> dict[str, list[str]]:
        return {
            name: [str(message) for message in messages]
            for name, messages in action.Config(config).errors.items()
        }

    return refusals


@pytest.fixture(scope="session")
def visit() -> Visit:
    """A step of this action and configuration, as a run with this state reaches it."""

    def visit(action: BaseAction, state: Mapping[str, Any] | None = None, /, **config: Any) -> StepAlone:
        return StepAlone(cleaned(action, **config), State(dict(state or {})))

    return visit
