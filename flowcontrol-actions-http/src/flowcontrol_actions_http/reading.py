"""Reading a request's body, of which no more is kept in memory than is allowed; and keeping its URL out of logs."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpRequest, HttpResponseBase, RawPostDataException, UnreadablePostError

from .normaliser import MAX_BYTES, BodyRefused

__all__ = ["body_of", "unlogged"]

_Response = TypeVar("_Response", bound=HttpResponseBase)


def body_of(request: HttpRequest) -> bytes:
    """Raises ``BodyRefused`` for one that is too large, that its sender gave up, and with a length that is none."""
    declared = (request.META.get("CONTENT_LENGTH") or "0").strip()
    if not (declared.isascii() and declared.isdigit() and len(declared) < 20):
        raise BodyRefused("The length is no number.")
    if int(declared) > MAX_BYTES:
        raise _too_large()
    try:
        body: bytes = request.read(MAX_BYTES + 1)
    except (UnreadablePostError, RawPostDataException):
        raise BodyRefused("The body cannot be read.") from None
    if len(body) > MAX_BYTES:
        raise _too_large()
    return body


def _too_large() -> BodyRefused:
    return BodyRefused(f"The body has more than {MAX_BYTES:,} bytes.", 413)


def unlogged(response: _Response) -> _Response:
    """Django logs the path of a request that is answered with 400 or more, and in this one there is a token."""
    response._has_been_logged = True  # type: ignore[attr-defined]  # of Django's own, for errors that it logged itself
    return response
