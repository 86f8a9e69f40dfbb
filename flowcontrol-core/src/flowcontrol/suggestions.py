"""Did you mean: the one wording with which every message offers what is nearly as written."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """``Did you mean “http.request”?`` for the nearest of ``choices``; empty when none is near."""
    matches = get_close_matches(word, sorted(choices), n=1, cutoff=0.6)
    return f"Did you mean “{matches[0]}”?" if matches else ""
