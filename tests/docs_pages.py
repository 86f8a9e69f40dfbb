"""The pages of the documentation, taken apart: fenced blocks, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "anchors", "blocks", "headings", "links", "prose"]

ROOT = Path(__file__).resolve().parents[1]

#: What the documentation consists of.
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^( *)```(\w*) *(.*?)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``python title="shop/models.py" append`` stands behind the fence of one that is appended."""

    language: str
    marks: str
    text: str
    line: int

    @property
    def title(self) -> str:
        found = re.search(r'title="([^"]+)"', self.marks)
        return found[1] if found else ""


def blocks(page: Path, language: str = "") -> Iterator[Block]:
    """The fenced blocks of a page, in order; of one language or of all."""
    source = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(source):
        if not language or match[2] == language:
            yield Block(match[2], match[3], match[4], source.count("\n", 0, match.start()) + 1)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def headings(page: Path) -> list[str]:
    return _HEADING.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names under which GitHub makes the headings of a page reachable."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")
        for heading in headings(page)
    }
