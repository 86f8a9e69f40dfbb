"""Whether a step that failed is tried again: asked by the engine, and by an action that would rather deal with it."""

from __future__ import annotations

from ..base import Retry
from ..documents.program import Node

__all__ = ["retry_of"]


def retry_of(node: Node, attempt: int, error: BaseException) -> Retry | None:
    """How the step is tried again after this error of its ``attempt``-th try; None when it is not."""
    retry = node.retry
    if retry is None or attempt >= retry.attempts or not _is_one_of(error, retry.on):
        return None
    return retry


def _is_one_of(error: BaseException, names: tuple[str, ...]) -> bool:
    """Whether the error's class, or one it inherits, has one of these names: plain, or with its module."""
    if not names:
        return True
    known = {
        name
        for kind in type(error).__mro__
        for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
    }
    return not known.isdisjoint(names)
