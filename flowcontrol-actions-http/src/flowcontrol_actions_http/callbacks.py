"""The page behind a link that a run handed out: it asks, and only a button or a program's POST answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import router, transaction
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from flowcontrol.engine import send_event
from flowcontrol.exceptions import StateError
from flowcontrol.state import encode

from . import normaliser
from .models import Callback, digest
from .normaliser import BodyRefused
from .reading import body_of, unlogged

__all__ = ["callback"]

_LONGEST_COMMENT = 5_000
_PAGE = "flowcontrol_actions_http/callback.html"
_STYLE = "flowcontrol_actions_http/callback.css"
#: What becomes of a link, by name: the status of the answer.
_STATUSES = {"open": 200, "thanks": 200, "used": 409, "over": 410, "later": 503}


@csrf_exempt
@transaction.non_atomic_requests
def callback(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the question and changes nothing. POST of the form, or of JSON, answers it, once.

    Whoever has the link may answer, with whatever cookies: so there is nothing that a forged request could add.
    """
    found = Callback.objects.filter(digest=digest(token)).annotate(ended_at=F("run__ended_at")).first()
    if found is None:
        raise Http404
    is_page = _is_page(request)
    if request.method not in ("GET", "HEAD", "POST"):
        return unlogged(HttpResponse(status=405, headers={"Allow": "GET, POST"}))
    standing = _standing(found, timezone.now())
    if request.method != "POST" or standing != "open":
        return _told(request, found, standing, is_page=is_page)
    try:
        answer = _answer(found, request, is_page=is_page)
    except BodyRefused as error:
        return _refused(request, found, error, is_page=is_page)
    return _told(request, found, _take(found, answer), is_page=is_page)


def _is_page(request: HttpRequest) -> bool:
    """Whether a person's browser asks, and no program."""
    sent = request.headers.get("Content-Type", "")
    return request.method in ("GET", "HEAD") or sent.startswith("application/x-www-form-urlencoded")


def _standing(found: Callback, now: datetime) -> str:
    if found.used_at is not None:
        return "used"
    is_late = found.expires_at is not None and found.expires_at <= now
    is_over = found.closed_at is not None or found.ended_at is not None  # type: ignore[attr-defined]  # annotated
    return "over" if is_late or is_over else "open"


# -- the answer --------------------------------------------------------------------------------------------------


def _answer(found: Callback, request: HttpRequest, *, is_page: bool) -> str:
    """What the run is given, as text of a state. Raises ``BodyRefused``."""
    body = body_of(request)
    content_type = request.headers.get("Content-Type", "")
    sent: Any = None
    if body or is_page:
        sent = normaliser.parsed("form" if is_page else "json", content_type, body)
    given: Mapping[str, Any] = sent if isinstance(sent, dict) else {}
    choice, comment = given.get("choice", ""), given.get("comment", "")
    names = [name for name, _label in found.choices]
    if names and choice not in names:
        raise BodyRefused(_("Choose one of: %(names)s.") % {"names": ", ".join(names)})
    if not isinstance(comment, str) or len(comment) > _LONGEST_COMMENT:
        raise BodyRefused(_("A comment is text of at most %(most)s characters.") % {"most": _LONGEST_COMMENT})
    answer = {
        "choice": choice if names else "",
        "comment": comment.replace("\r\n", "\n").strip() if not is_page or found.asks_comment else "",
        "data": None if is_page else sent,
        "at": timezone.now(),
    }
    try:
        return encode(answer)
    except StateError:
        raise BodyRefused(_("It is too large for the state of a run."), 413) from None


def _take(found: Callback, answer: str) -> str:
    """Keep the answer, unless somebody was faster, and wake the run: both or neither. What becomes of the link."""
    now = timezone.now()
    rows = Callback.objects.filter(pk=found.pk)
    with transaction.atomic(using=router.db_for_write(Callback)):
        if not rows.open(now).update(used_at=now, answer_json=answer):
            found.refresh_from_db(fields=["used_at", "closed_at"])
            return _standing(found, now)
        if send_event(found.event).error:
            transaction.set_rollback(True, using=router.db_for_write(Callback))
            return "later"
    return "thanks"


# -- what is shown -----------------------------------------------------------------------------------------------


def _told(request: HttpRequest, found: Callback, standing: str, *, is_page: bool) -> HttpResponse:
    if not is_page:
        return _guarded(JsonResponse({"status": _said(standing)}, status=_STATUSES[standing]))
    return _page(request, found, standing, _STATUSES[standing])


def _said(standing: str) -> str:
    return "accepted" if standing == "thanks" else standing


def _refused(request: HttpRequest, found: Callback, error: BodyRefused, *, is_page: bool) -> HttpResponse:
    if not is_page:
        return _guarded(JsonResponse({"status": "refused", "reason": str(error)}, status=error.status))
    return _page(request, found, "open", error.status, str(error))


def _page(request: HttpRequest, found: Callback, standing: str, status: int, error: str = "") -> HttpResponse:
    context = {
        "callback": found,
        "standing": standing,
        "error": error,
        "choices": [{"name": name, "label": label} for name, label in found.choices],
        "longest": _LONGEST_COMMENT,
    }
    response = _guarded(render(request, _PAGE, context, status=status))
    origin = urlsplit(static(_STYLE))
    styles = f"{origin.scheme}://{origin.netloc}" if origin.netloc else "'self'"
    response["Content-Security-Policy"] = (
        f"default-src 'none'; style-src {styles}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


def _guarded(response: HttpResponse) -> HttpResponse:
    """The URL is a secret: it is kept out of caches, of what other sites are told, and of what is searched."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Frame-Options"] = "DENY"
    return unlogged(response)
