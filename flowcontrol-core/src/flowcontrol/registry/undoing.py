"""All registries as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .of_actions import actions
from .of_credential_kinds import credential_kinds
from .of_schedulers import schedulers
from .of_triggers import triggers
from .table import Registry

__all__ = ["preserved", "undone_on_error"]

_ALL: tuple[Registry[Any], ...] = (actions, triggers, schedulers, credential_kinds)


@contextmanager
def preserved() -> Iterator[None]:
    """Inside, register at will; afterwards all registries are as before. For tests."""
    with ExitStack() as stack:
        for registry in _ALL:
            stack.enter_context(registry.preserved())
        yield


@contextmanager
def undone_on_error() -> Iterator[None]:
    """What is registered inside goes away again when the block raises: half of a module's actions is none."""
    kept = [registry.copies() for registry in _ALL]
    try:
        yield
    except BaseException:
        for registry, copies in zip(_ALL, kept, strict=True):
            registry.restore(copies)
        raise
