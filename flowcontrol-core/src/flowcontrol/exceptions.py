"""Everything flowcontrol raises on purpose: one base class, and a class per thing a caller can react to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ActionNotInstalled",
    "ConfigurationError",
    "CredentialError",
    "CredentialInvalid",
    "CredentialKindMissing",
    "CredentialNotFound",
    "CredentialOfAnotherKind",
    "CredentialUndecryptable",
    "CredentialVariableMissing",
    "DocumentError",
    "EvaluationError",
    "ExpressionError",
    "ExpressionSyntaxError",
    "FlowNotFound",
    "FlowNotStartable",
    "FlowcontrolError",
    "InvalidDecision",
    "InvalidTransition",
    "LeaseLost",
    "ObjectGone",
    "PluginError",
    "Problem",
    "RegistrationError",
    "StateError",
    "UnknownName",
]


class FlowcontrolError(Exception):
    """Base of every error that flowcontrol raises on purpose."""


class ConfigurationError(FlowcontrolError):
    """A value in ``settings.FLOWCONTROL`` cannot be used; the message names the key, the value and the way out."""


class PluginError(FlowcontrolError):
    """A plugin cannot be used, and this process is one that must not go on without it (``migrate``, ``check`` …)."""


class RegistrationError(FlowcontrolError):
    """An action, trigger type, filter or scheduler cannot be registered under the name it asks for."""


class ActionNotInstalled(FlowcontrolError):
    """No loaded plugin provides the action of a step; the message says why and what to install."""


class CredentialError(FlowcontrolError):
    """Base of what keeps a credential from being used. The message says which, why and the way out, and no secret."""


class CredentialNotFound(CredentialError):
    """There is no credential with this name."""


class CredentialOfAnotherKind(CredentialError):
    """A credential is of another kind than what it is to be used for takes."""


class CredentialKindMissing(CredentialError):
    """The plugin that brings a credential's kind is not there, or its kind cannot be imported."""


class CredentialUndecryptable(CredentialError):
    """None of the keys opens the secrets of a credential, there are no keys, or the row was changed behind our back."""


class CredentialVariableMissing(CredentialError):
    """A secret is to come from an environment variable that is not set, or that credentials may not read."""


class CredentialInvalid(CredentialError):
    """What a credential holds does not fit the form of its kind (any more), or cannot be stored."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document, said so that its author can mend it.

    ``path`` is where (``steps[2].branches.else[0].config.seconds``), ``message`` what and how to mend it,
    ``value`` what stands there now. An ``error`` keeps the document from being stored, a ``warning`` does not.
    """

    path: str
    message: str
    value: object = None
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        where = self.path or "the document"
        return f"{where}: {self.message}"


class DocumentError(FlowcontrolError):
    """A document is not stored, because of these ``problems`` (all of them, in the order of the document)."""

    def __init__(self, problems: Sequence[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        count = f"{len(self.problems)} problem" + ("" if len(self.problems) == 1 else "s")
        super().__init__(f"{source or 'The flow document'} has {count}; nothing was stored:\n{lines}")


class ExpressionError(FlowcontrolError):
    """Base of what goes wrong with an expression."""


class ExpressionSyntaxError(ExpressionError):
    """The text is no expression. ``column`` is where, counted from 0 (None when the parser cannot tell)."""

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message)
        self.column = column


class EvaluationError(ExpressionError):
    """An expression cannot be evaluated: types that do not compare, a filter that fails, a value over its cap."""


class UnknownName(EvaluationError):
    """An expression reads a name that is not there (or may not be read) and gives no ``|default:``."""


class StateError(FlowcontrolError):
    """A value cannot be kept in a run's state; the message names the key and what can be kept."""


class ObjectGone(FlowcontrolError):
    """The model object that a run, or a value in its state, refers to was deleted."""


class FlowNotFound(FlowcontrolError):
    """There is no flow with this slug."""


class FlowNotStartable(FlowcontrolError):
    """A flow cannot be started as asked: the object is of another model, or a bound is reached."""


class InvalidDecision(FlowcontrolError):
    """An action answered with something the engine cannot follow."""


class InvalidTransition(FlowcontrolError):
    """A run cannot change from its status to the one asked for."""


class LeaseLost(FlowcontrolError):
    """Another worker, or an operator, took the run: what this worker computed since is not written."""
