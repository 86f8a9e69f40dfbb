"""What a flow gets to see of a reply: status, headers and body, as a state can hold them."""

from __future__ import annotations

import base64
import codecs
import json
import math
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from flowcontrol.state import MAX_DEPTH

from .errors import InvalidResponse
from .exchange import Reply

__all__ = ["READ_AS", "answer", "excerpt", "retry_after"]

#: How a body is read: by its type, or as one of these whatever it says.
READ_AS = ("auto", "json", "text", "base64", "nothing")
#: Not the sign by which the engine masks: that it has to is a mistake of whoever kept a secret, and this is none.
_HIDDEN = "[secret]"
#: A body in a mapping, inside a state: two levels are taken.
_DEEPEST = MAX_DEPTH - 4
#: What of a body a variable of the branch ``error`` has.
_EXCERPT = 16_384
_LONGEST_HEADER = 8_192


def answer(reply: Reply, read_as: str, secrets: Collection[str] = ()) -> dict[str, Any]:
    """``{status, headers, body, url}``; names of headers in small letters with _ for -, as expressions read them.

    Raises ``InvalidResponse`` for a body that is not what ``read_as`` says.
    """
    body = None if read_as == "nothing" else _body(reply, read_as)
    found = {"status": reply.status, "headers": _headers(reply), "body": body, "url": str(reply.url)}
    hidden = [secret for secret in secrets if len(secret) >= 4]
    masked: dict[str, Any] = _masked(found, hidden) if hidden else found
    return masked


def excerpt(found: dict[str, Any]) -> dict[str, Any]:
    """The same with a body that is short enough to be carried along: text that is cut, where it is not."""
    body = found["body"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return found if len(text) <= _EXCERPT else {**found, "body": f"{text[:_EXCERPT]}…"}


def retry_after(reply: Reply, now: datetime) -> float | None:
    """Seconds until the server wants to be asked again; None when it does not say."""
    told = reply.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdecimal():
        return float(told[:9])
    try:
        moment = parsedate_to_datetime(told)
    except (TypeError, ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _headers(reply: Reply) -> dict[str, str]:
    return {
        name.lower().replace("-", "_"): _clean(value)[:_LONGEST_HEADER]
        for name, value in reply.headers.items()
    }


def _body(reply: Reply, read_as: str) -> Any:
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if read_as == "base64":
        return base64.b64encode(reply.content).decode("ascii")
    is_json = kind == "application/json" or kind.endswith("+json")
    if read_as == "json" or (read_as == "auto" and is_json):
        return _parsed(reply, is_demanded=read_as == "json")
    if read_as == "text" or _is_text(kind):
        return _text(reply)
    return base64.b64encode(reply.content).decode("ascii")


def _is_text(kind: str) -> bool:
    return (
        not kind
        or kind.startswith("text/")
        or kind.rpartition("/")[2].rpartition("+")[2]
        in (
            "xml",
            "javascript",
            "x-www-form-urlencoded",
            "yaml",
            "x-ndjson",
            "json",
        )
    )


def _text(reply: Reply) -> str:
    try:
        codec = codecs.lookup(reply.charset or "utf-8")
    except LookupError:
        codec = codecs.lookup("utf-8")
    # Of Python's codecs some unpack, or run through escapes; only those that are for text do here.
    name = codec.name if getattr(codec, "_is_text_encoding", True) else "utf-8"
    return _clean(reply.content.decode(name, "replace"))


def _clean(text: str) -> str:
    """Without halves of characters, which a state refuses, and zeros, which databases do."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _parsed(reply: Reply, *, is_demanded: bool) -> Any:
    if not reply.content.strip():
        return None
    try:
        found = _LOAD(reply.content.decode("utf-8-sig"))
        return _held(found, 0)
    except (ValueError, RecursionError) as error:
        if is_demanded:
            raise InvalidResponse(f"The body is no JSON that a state can hold: {error}") from None
        return _text(reply)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > 1_000:
        raise ValueError(f"the number {text[:20]}… has {len(text):,} digits")
    return int(text)


_LOAD = json.JSONDecoder(parse_constant=_no_constant, parse_float=_float, parse_int=_integer).decode


def _held(value: Any, depth: int) -> Any:
    """The value as every database keeps it."""
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _clean(value)
    if isinstance(value, list):
        return [_held(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_held(key, depth + 1): _held(item, depth + 1) for key, item in value.items()}
    return value


def _masked(value: Any, secrets: list[str]) -> Any:
    """A server may send back what it was sent."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _HIDDEN)
        return value
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value]
    if isinstance(value, dict):
        return {_masked(key, secrets): _masked(item, secrets) for key, item in value.items()}
    return value
