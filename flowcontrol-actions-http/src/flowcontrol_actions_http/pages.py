"""Where the next page is: by a Link header, an address or a cursor in the body, or a number. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from .errors import InvalidResponse

__all__ = ["PAGING", "joined", "linked"]

PAGING = ("link", "url", "cursor", "number")


def linked(headers: Mapping[str, str], here: httpx2.URL) -> httpx2.URL | None:
    """The URL of the ``Link`` header (RFC 8288) whose relation is ``next``."""
    for link in _links(headers.get("link", "")):
        address, parameters = link
        if "next" in parameters.get("rel", "").lower().split():
            return joined(here, address)
    return None


def joined(here: httpx2.URL, address: str) -> httpx2.URL:
    """An address of a page, which may be relative to the one it was found on. Raises ``InvalidResponse``."""
    try:
        found = here.join(address)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InvalidResponse(f"The address of the next page is no URL: {error}") from None
    if (found.scheme, found.host, found.port) != (here.scheme, here.host, here.port):
        # Whatever a page says, requests and credentials of this step stay with the server that it names.
        raise InvalidResponse(
            f"The next page is on another server ({found.host}) than this one ({here.host}), and is not asked for."
        )
    return found


def _links(header: str) -> list[tuple[str, dict[str, str]]]:
    """Addresses with their parameters; commas and semicolons may stand in both."""
    found: list[tuple[str, dict[str, str]]] = []
    rest = header
    while (start := rest.find("<")) >= 0 and (end := rest.find(">", start)) >= 0:
        address, rest = rest[start + 1 : end], rest[end + 1 :]
        parameters, rest = _parameters(rest)
        found.append((address, parameters))
    return found


def _parameters(text: str) -> tuple[dict[str, str], str]:
    found: dict[str, str] = {}
    while text.lstrip().startswith(";"):
        name, text = _until(text.lstrip()[1:], "=;,")
        value = ""
        if text.startswith("="):
            value, text = _value(text[1:].lstrip())
        found.setdefault(name.strip().lower(), value.strip())
    return found, text


def _value(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        return _until(text, ";,")
    end = text.find('"', 1)
    return (text[1:end], text[end + 1 :]) if end > 0 else (text[1:], "")


def _until(text: str, ends: str) -> tuple[str, str]:
    at = min((found for found in map(text.find, ends) if found >= 0), default=len(text))
    return text[:at], text[at:]
