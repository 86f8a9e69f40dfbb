"""The keys of ``settings.FLOWCONTROL_HTTP``: one definition each, from which checks and access come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from flowcontrol.exceptions import ConfigurationError

__all__ = ["NAME", "SETTINGS", "Setting", "find_wrong", "get"]

#: The one name in a project's settings that belongs to this pack.
NAME = "FLOWCONTROL_HTTP"


class Setting(NamedTuple):
    """One key. ``clean`` returns the value to use, or raises ``ValueError`` with what it has to be."""

    name: str
    default: Any
    help: str
    clean: Callable[[Any], Any]


def base_url(value: Any) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value) if isinstance(value, str) else None
    is_right = parts and parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    if not is_right:
        raise ValueError('has to be the URL under which people reach this site, "https://example.org", or None')
    return str(value).rstrip("/")


def days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 36_500:
        raise ValueError("has to be a whole number of days from 1 to 36,500")
    return value


def header_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise ValueError("has to be a list of names of headers, in brackets")
    return tuple(str(name).lower() for name in value)


SETTINGS: tuple[Setting, ...] = (
    Setting("BASE_URL", None, "The URL under which people reach this site: links begin with it.", base_url),
    Setting(
        "CALL_RETENTION_DAYS", 30, "How long calls of webhooks, and links that nobody needs any more, are kept.", days
    ),
    Setting("REPLY_HEADERS", (), "Headers that http.respond may send beside the usual ones.", header_names),
)
_BY_NAME = {one.name: one for one in SETTINGS}


def get(name: str) -> Any:
    """The value of a key, cleaned. Raises ``ConfigurationError`` for one that cannot be used."""
    one = _BY_NAME[name]
    given: Mapping[str, Any] = getattr(settings, NAME, {})
    try:
        return one.clean(given.get(name, one.default))
    except ValueError as error:
        raise ConfigurationError(f'{NAME}["{name}"] {error}.') from error


def find_wrong() -> list[str]:
    """What is wrong with values, in sentences."""
    problems = []
    for one in SETTINGS:
        try:
            get(one.name)
        except ConfigurationError as error:
            problems.append(str(error))
    return problems
