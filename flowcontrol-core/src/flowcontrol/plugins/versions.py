"""Comparing versions for bounds such as ``http>=0.1``; as much of Python's rules as that needs."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["is_bound", "satisfies"]

_STAGES = {"dev": -4, "a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "": 0, "post": 1}
_VERSION = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)[-_.]?(dev|alpha|a|beta|b|rc|c|post|)[-_.]?(\d*)", re.ASCII)
_BOUND = re.compile(r"(>=|<=|==|!=|~=|>|<)\s*(v?\d[\w.!-]*)", re.ASCII)

Key = tuple[tuple[int, ...], int, int]

_TESTS: dict[str, Callable[[Key, Key], bool]] = {
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
    "~=": lambda have, want: have >= want,
}


def is_bound(text: str) -> bool:
    """Whether this is one bound, such as ``>=0.1``."""
    return _BOUND.fullmatch(text.strip()) is not None


def satisfies(version: str, bounds: tuple[str, ...]) -> bool:
    """Whether a version is within all bounds. A version that is none satisfies no bound."""
    have = _key(version)
    for bound in bounds:
        match = _BOUND.fullmatch(bound.strip())
        want = _key(match[2]) if match else None
        if match is None or have is None or want is None or not _TESTS[match[1]](have, want):
            return False
        if match[1] == "~=" and not _within_series(have, match[2]):
            return False
    return True


def _key(version: str) -> Key | None:
    """Sorts as versions do: 0.2.dev1 < 0.2a1 < 0.2 = 0.2.0 < 0.2.post1 < 0.10."""
    match = _VERSION.match(version.strip().lower())
    if match is None:
        return None
    release = [int(part) for part in match[1].split(".")]
    while release and release[-1] == 0:
        release.pop()
    return tuple(release), _STAGES[match[2]], int(match[3] or 0)


def _within_series(have: Key, wanted: str) -> bool:
    """``~=0.1.2`` stays within 0.1."""
    match = _VERSION.match(wanted.lower())
    series = [int(part) for part in match[1].split(".")][:-1] if match else []
    padded = (*have[0], *[0] * len(series))
    return list(padded[: len(series)]) == series
