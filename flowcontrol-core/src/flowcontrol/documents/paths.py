"""Places in a document, spelled as people read them: ``steps[2].branches.else[0].config.seconds``."""

from __future__ import annotations

import json
import re

__all__ = ["join", "shorten"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def join(path: str, *parts: str | int) -> str:
    """``path`` with keys and list indexes behind it."""
    for part in parts:
        if isinstance(part, int):
            path = f"{path}[{part}]"
        elif _PLAIN.fullmatch(part):
            path = f"{path}.{part}" if path else part
        else:
            path = f"{path}[{json.dumps(shorten(part))}]"
    return path


def shorten(text: str, length: int = 60) -> str:
    """Text for a message, which a document may have made as long as it likes."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
