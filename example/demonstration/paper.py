"""What the demonstration is written on: lines of 100 columns, in colour on a terminal that wants it."""

from __future__ import annotations

import os
import textwrap
from typing import TextIO

__all__ = ["Paper"]

_STYLES = {"bold": "\x1b[1m", "dim": "\x1b[2m", "green": "\x1b[32m"}


class Paper:
    width = 100

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.is_coloured = stream.isatty() and not is_plain

    def write(self, text: str = "", style: str = "") -> None:
        start, end = (_STYLES[style], "\x1b[0m") if style and self.is_coloured else ("", "")
        # Flushed, so that whoever reads from a pipe sees each line when it happens.
        print(f"{start}{text}{end}", file=self.stream, flush=True)

    def paragraph(self, text: str, indent: str = "", style: str = "") -> None:
        """Text broken at the width, further lines indented by two more."""
        for line in textwrap.wrap(text, self.width, initial_indent=indent, subsequent_indent=indent + "  "):
            self.write(line, style)

    def heading(self, text: str) -> None:
        self.write()
        self.write(f"── {text} ".ljust(self.width, "─"), "bold")

    def fact(self, name: str, text: str) -> None:
        self.write(f"  {name:<9} {text}")
