"""``flowcontrol docs``: the reference of a plugin, in Markdown."""

from __future__ import annotations

from argparse import Namespace

from ..output import Console
from ..reference import plugin_lines
from .plugins import named

__all__ = ["docs"]


def docs(console: Console, options: Namespace) -> int:
    report = named(options)
    if not report.is_active:
        console.note(
            f"The {report.title} is not in use, so what it brings is not known. {report.reason} {report.hint}"
        )
        return 1
    console.lines(plugin_lines(report))
    return 0
