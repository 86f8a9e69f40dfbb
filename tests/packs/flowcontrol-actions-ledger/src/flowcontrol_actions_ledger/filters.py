"""Filters for expressions."""

from __future__ import annotations

__all__ = ["initials"]


def initials(name: object) -> str:
    """``Ada Lovelace`` becomes ``AL``."""
    return "".join(word[0] for word in str(name).split())
