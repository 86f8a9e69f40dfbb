"""How the command line shows things: aligned text for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

__all__ = ["Console", "columns", "counted", "iso", "shortened", "table"]


@dataclass(frozen=True)
class Console:
    """Where a subcommand writes. ``style`` colours nothing unless a person looks at a terminal."""

    stdout: OutputWrapper
    stderr: OutputWrapper
    style: Style
    verbosity: int = 1

    def line(self, text: str = "") -> None:
        self.stdout.write(text)

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.line(line)

    def note(self, text: str) -> None:
        """Something beside the answer, kept out of what a program reads."""
        if self.verbosity:
            self.stderr.write(text, style_func=str)
            self.stderr.flush()

    def json(self, value: Any) -> None:
        self.line(json.dumps(value, indent=2, ensure_ascii=False))

    def good(self, text: str) -> str:
        return str(self.style.SUCCESS(text))

    def bad(self, text: str) -> str:
        return str(self.style.ERROR(text))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Aligned lines, the header first; the last column takes what room it needs."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def columns(facts: Mapping[str, object]) -> list[str]:
    """``name: value`` for each fact that there is, values aligned."""
    told = {name: str(value) for name, value in facts.items() if value not in ("", None)}
    width = max(map(len, told), default=0) + 2
    return [f"{name}:".ljust(width) + value for name, value in told.items()]


def counted(number: int, one: str, many: str = "") -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def shortened(text: str, length: int = 60) -> str:
    """On one line and not longer than this."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def iso(time: datetime | None) -> str | None:
    """For JSON: in UTC, or null."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time else None
