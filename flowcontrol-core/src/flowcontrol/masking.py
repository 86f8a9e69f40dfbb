"""Takes secrets out of what is about to be written: the texts themselves, and the shapes in which they get about."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

__all__ = ["MASK", "SHORTEST", "Masker", "known"]

#: What stands in the place of a secret.
MASK = "•••"

#: A shorter text is in everything that is written: it cannot be masked, so it is no secret that can be kept.
SHORTEST = 4

#: Base64 of less is in too much.
_SHORTEST_ENCODED = 6
_SHORTEST_LINE = 16
#: So many characters of a text cost as much as one look for a shape.
_FEW = 8
_TOLD_AS_TEXT = (int, float, Decimal, UUID)


class Masker:
    """Secrets and their shapes. Safe to use from several threads."""

    def __init__(self, most: int = 500) -> None:
        self._lock = threading.Lock()
        self._most = most
        #: The shapes by secret, the one that was seen last at the end.
        self._secrets: dict[str, tuple[str, ...]] = {}
        #: Longest first, so that nothing is left of one that contains another.
        self._shapes: tuple[str, ...] = ()
        #: The same by how they begin.
        self._heads: dict[str, list[str]] = {}

    def add(self, secrets: Iterable[str]) -> None:
        """Have these masked from now on. Of more than ``most``, the ones that were not added for longest are forgotten.

        Texts of fewer than ``SHORTEST`` characters are passed over.
        """
        with self._lock:
            before = len(self._secrets)
            is_new = False
            for secret in secrets:
                if len(secret) >= SHORTEST:
                    is_new |= secret not in self._secrets
                    self._secrets[secret] = self._secrets.pop(secret, ()) or tuple(_shapes(secret))
            while len(self._secrets) > self._most:
                del self._secrets[next(iter(self._secrets))]
            if is_new or before != len(self._secrets):
                shapes = {shape for each in self._secrets.values() for shape in each}
                heads: dict[str, list[str]] = {}
                for shape in shapes:
                    heads.setdefault(shape[:SHORTEST], []).append(shape)
                self._heads, self._shapes = heads, tuple(_longest_first(shapes))

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def mask(self, text: str) -> str:
        """The text without the secrets; the same object where there is none in it."""
        # One look for each is much faster than one regular expression for all; and where they are many and the text is
        # short, as a line of a log is, only those can be in it whose beginning is.
        shapes = self._shapes if len(text) > _FEW * len(self._shapes) else self._possible(text)
        for shape in shapes:
            if shape in text:
                text = text.replace(shape, MASK)
        return text

    def _possible(self, text: str) -> Iterable[str]:
        heads = self._heads
        there = heads.keys() & {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        return _longest_first(shape for head in there for shape in heads[head]) if there else ()

    def mask_values(self, value: Any) -> Any:
        """The same of every text in nested lists and mappings, keys included.

        A number, or what else a state can hold, with a secret in it becomes text. All else stays as it is.
        """
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask_values(key): self.mask_values(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.mask_values(item) for item in value]
        if isinstance(value, _TOLD_AS_TEXT) and not isinstance(value, bool):
            text = str(value)
            masked = self.mask(text)
            return value if masked is text else masked
        return value


#: Every secret that was handed out in this process, for its logs.
known = Masker()


def _longest_first(shapes: Iterable[str]) -> list[str]:
    return sorted(shapes, key=len, reverse=True)


def _shapes(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield repr(data)[2:-1]
    yield html.escape(secret)
    yield quote(data)
    yield quote(data, safe="")
    yield quote_plus(data)
    yield from _encoded(data)
    for line in secret.splitlines():
        if len(line) >= _SHORTEST_LINE and line != secret and not line.startswith("-----"):
            yield line


def _encoded(data: bytes) -> Iterator[str]:
    """What is certain to stand in base64 of anything that contains the data: in three places it can begin."""
    for before, first in ((0, 0), (1, 2), (2, 3)):
        padded = b"\0" * before + data
        certain = slice(first, len(padded) * 8 // 6)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).decode()[certain]
            if len(text) >= _SHORTEST_ENCODED:
                yield text
