"""What callers are answered: that it was taken, or what a run has to say; waiting for that, for so long at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from django.http import HttpResponse, JsonResponse
from flowcontrol.engine import Fired

from . import conf
from .models import Reply

__all__ = ["MAX_REPLY_BYTES", "accepted", "allowed_headers", "awaited", "refusal", "told"]

MAX_REPLY_BYTES = 1_048_576
#: Whatever a flow says, no browser takes it for a page of this site.
_ALWAYS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: All others could reach further than the caller: cookies, and orders to the server in front (X-Sendfile).
_ALLOWED = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-language",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "retry-after",
    }
)
_NEVER = frozenset({"set-cookie", "content-length", "transfer-encoding", "connection"}) | {
    name.lower() for name in _ALWAYS
}
#: How many callers of this process may wait at once; the others are told that it was taken.
_waiting = threading.BoundedSemaphore(8)
_FIRST_LOOK_SECONDS, _LAST_LOOK_SECONDS = 0.02, 0.5


def allowed_headers() -> frozenset[str]:
    """Names of headers that a flow may send, in small letters."""
    return (_ALLOWED | set(conf.get("REPLY_HEADERS"))) - _NEVER


def refusal(text: str, status: int, **headers: str) -> HttpResponse:
    """An answer in plain text."""
    return HttpResponse(
        text, "text/plain; charset=utf-8", status, headers={**headers, **_ALWAYS, **_NO_STORE}
    )


_NO_STORE = {"Cache-Control": "no-store"}


def accepted(fired: Fired) -> HttpResponse:
    """It was taken: by which event and runs. A message that came before is told the same as the first time."""
    body = {"event": fired.event, "runs": list(fired.runs)}
    return JsonResponse(body, status=202, headers={**_ALWAYS, **_NO_STORE})


def awaited(runs: Sequence[int], seconds: float) -> Reply | None:
    """The first reply of these runs, waited for so long at most: not at all where too many wait already."""
    if not _waiting.acquire(blocking=False):
        return _first(runs)
    try:
        end, pause = time.monotonic() + seconds, _FIRST_LOOK_SECONDS
        while True:
            # In this order: a run says what it has to say before it ends.
            is_over = Reply.are_over(runs)
            reply = _first(runs)
            left = end - time.monotonic()
            if reply is not None or is_over or left <= 0:
                return reply
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK_SECONDS)
    finally:
        _waiting.release()


def _first(runs: Sequence[int]) -> Reply | None:
    return Reply.objects.filter(run_id__in=runs).order_by("pk").first()


def told(reply: Reply) -> HttpResponse:
    """What a run says, as a response: never a page of this site, whatever its type."""
    headers: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8", **_NO_STORE, **reply.headers}
    return HttpResponse(reply.body, status=reply.status, headers={**headers, **_ALWAYS})
