"""What a step was given in confidence stays out of all that is written of its run.

A run that uses no credential has no ``Masker``, and nobody comes here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from django.db import connections

from .. import logs, masking
from ..base import Decision, EnterBranch, StopFlow
from ..credentials import Credential, get_credential
from ..masking import Masker
from ..models import Credential as StoredCredential
from ..state import State
from .current import current_run

__all__ = ["confide", "fetch", "mask_decision", "mask_memory", "mask_state", "masked_here"]

logger = logging.getLogger("flowcontrol.engine")

#: The run that a step of which was given secrets in this thread last, and what masks them.
_confided: ContextVar[tuple[int, Masker] | None] = ContextVar("flowcontrol_confided", default=None)


def fetch(name: str, kinds: Any) -> Credential:
    """The credential. A thread that waits for the world afterwards holds no connection for having asked."""
    connection = connections[StoredCredential.objects.db]
    was_open = connection.connection is not None
    try:
        return get_credential(name, kinds=kinds)
    finally:
        if not was_open:
            connection.close()


def confide(run_id: int, masker: Masker | None, texts: list[str]) -> Masker:
    """Have these masked in all that is written of the run, and in this process's logs."""
    masker = masker or Masker()
    masker.add(texts)
    masking.known.add(texts)
    logs.mask_secrets()
    _confided.set((run_id, masker))
    return masker


def masked_here(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a step hands to runs that it starts, and to events: without what it was given in confidence."""
    confided = _confided.get()
    if confided is None or confided[0] != current_run.get():
        return values
    return _masked(values, confided[1], "handed on by a step", confided[0])


def mask_state(state: State, masker: Masker, run_id: int, step: str) -> None:
    """Mask what the step changed. Raises ``StateError`` as ``State.changes``."""
    changes = state.changes()
    for key, plain in changes.items():
        # The plain one tells whether, the value itself is what is kept: it may be a date or a decimal.
        if masker.mask(key) == key and masker.mask_values(plain) == plain:
            continue
        _warn("state", key, masker, run_id, step)
        if plain is not None:
            value = masker.mask_values(state.peek(key))
            del state[key]
            state[masker.mask(key)] = value


def mask_memory(memory: MutableMapping[str, Any], masker: Masker, run_id: int, step: str) -> None:
    for key, value in list(memory.items()):
        masked = masker.mask_values(value)
        if masked != value or masker.mask(key) != key:
            _warn("locals", key, masker, run_id, step)
            del memory[key]
            memory[masker.mask(key)] = masked


def mask_decision(decision: Decision, masker: Masker) -> Decision:
    """The same decision, with nothing to hide in what is kept of it."""
    match decision:
        case StopFlow(reason=reason):
            return StopFlow(masker.mask(reason))
        case EnterBranch(variables=variables) if variables:
            return replace(decision, variables=masker.mask_values(variables))
    return decision


def _masked(values: Mapping[str, Any], masker: Masker, where: str, run_id: int) -> Mapping[str, Any]:
    masked: Mapping[str, Any] = masker.mask_values(values)
    if masked != values:
        logger.warning("secret of a credential masked where=%s run=%s", where, run_id)
    return masked


def _warn(where: str, key: str, masker: Masker, run_id: int, step: str) -> None:
    shown = masker.mask(key)
    logger.warning(
        "secret of a credential masked where=%s key=%s run=%s step=%s: a step must not keep it",
        where,
        shown,
        run_id,
        step,
        extra={"run": run_id, "step": step},
    )
