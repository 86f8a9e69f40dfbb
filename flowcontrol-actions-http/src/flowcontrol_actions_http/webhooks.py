"""The address that others call: who it is, what they say, and which runs that starts, in this order.

Whoever is not let in learns nothing: an address that never was, one that is switched off and a wrong signature are
answered alike, after the same work.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from flowcontrol.credentials import get_credential
from flowcontrol.engine import Fired, fire_trigger
from flowcontrol.exceptions import CredentialError, StateError
from flowcontrol.state import encode

from . import normaliser
from .models import Call, Endpoint, digest
from .normaliser import BodyRefused
from .reading import body_of, unlogged
from .replies import accepted, awaited, refusal, told
from .verification import KINDS, CallRefused, Incoming, verified

__all__ = ["TRIGGER", "webhook"]

logger = logging.getLogger(__name__)

#: The trigger type that every call fires.
TRIGGER = "http.webhook"
_MINUTE = timedelta(minutes=1)
#: Calls that were not let in, written down of an endpoint per minute: whoever knows the URL may send any number.
_NOTED_PER_MINUTE = 20
_LONGEST_HEADER = 1_000
_LONGEST_QUERY = 8_192
#: Stands in where there is no endpoint, so that the work is the same.
_NOBODY = Endpoint(name="nobody", style=Endpoint.Style.STANDARD)
_DECOY = {"secret": f"whsec_{secrets.token_hex(16)}", "previous_secret": ""}


class _Answer(Exception):
    """Ends the call with this response."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status_code)
        self.response = response


@csrf_exempt
@transaction.non_atomic_requests
def webhook(request: HttpRequest, token: str) -> HttpResponse:
    """A call. 202 and the runs, or what one of them replies; 404 for whoever is not let in; 400, 413, 415 or 429 for
    those who are and send what cannot be taken; 503 while the database does not answer."""
    if request.method != "POST":
        return unlogged(_unknown())
    try:
        return unlogged(_answered(request, token))
    except _Answer as answer:
        return unlogged(answer.response)
    except (DatabaseError, InterfaceError):
        logger.exception("webhook not taken: the database does not answer")
        return unlogged(_later())


def _answered(request: HttpRequest, token: str) -> HttpResponse:
    call = Incoming(_headers(request), _read(request))
    endpoint = Endpoint.objects.filter(token_digest=digest(token)).first()
    message_id = _let_in(endpoint, call)
    assert endpoint is not None, "nobody else is let in"
    _not_too_many(endpoint)
    try:
        message = _message(endpoint, call, request, message_id)
    except BodyRefused as error:
        _note(endpoint, Call.Outcome.REFUSED, str(error), message_id)
        raise _Answer(refusal(f"{error}\n", error.status)) from None
    fired = _fire(endpoint, message)
    if fired.error:
        return _later()
    reply = awaited(fired.runs, endpoint.wait_seconds) if endpoint.wait_seconds and fired.runs else None
    return accepted(fired) if reply is None else told(reply)


# -- who it is ---------------------------------------------------------------------------------------------------


def _let_in(endpoint: Endpoint | None, call: Incoming) -> str:
    """The id of the message of somebody who may call."""
    known = _NOBODY if endpoint is None else endpoint
    try:
        message_id = verified(known.style, call, _values(known), time.time())
        if endpoint is not None and endpoint.is_active:
            return message_id
        reason = "The endpoint is switched off."
    except CallRefused as refused:
        reason = str(refused)
    raise _Answer(_unknown(endpoint, reason))


def _values(endpoint: Endpoint) -> Mapping[str, Any]:
    kinds = KINDS.get(endpoint.style)
    if kinds is None:
        return {}
    if endpoint is _NOBODY:
        # The look-up that a credential takes.
        Endpoint.objects.filter(token_digest="").first()
        return _DECOY
    try:
        return get_credential(str(endpoint.credential_id), kinds=kinds).values
    except CredentialError as error:
        logger.error("webhook cannot be verified endpoint=%s: %s", endpoint.name, error)  # noqa: TRY400  # it says all
        raise CallRefused(str(error)) from None


class _Unknown(HttpResponse):
    """The answer to whoever is not let in. What is written down about it is written once the answer is on its way."""

    def __init__(self, note: Callable[[], None] | None) -> None:
        plain = refusal("Not found.\n", 404)
        super().__init__(plain.content, status=plain.status_code, headers=dict(plain.items()))
        self._note = note

    def close(self) -> None:
        note, self._note = self._note, None
        try:
            if note is not None:
                note()
        except (DatabaseError, InterfaceError):
            logger.exception("refused webhook not written down")
        finally:
            super().close()


def _unknown(endpoint: Endpoint | None = None, reason: str = "") -> HttpResponse:
    return _Unknown(None if endpoint is None else lambda: _note(endpoint, Call.Outcome.UNVERIFIED, reason))


# -- what they say -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Message:
    """What a call has to say."""

    id: str
    #: Under which it is taken once; None where the sender gives no id.
    key: str | None
    payload: Mapping[str, Any]


def _read(request: HttpRequest) -> bytes:
    """The body, unless it cannot be read: then nobody is let in, known or not."""
    try:
        return body_of(request)
    except BodyRefused as error:
        raise _Answer(refusal(f"{error}\n", error.status)) from None


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _message(endpoint: Endpoint, call: Incoming, request: HttpRequest, message_id: str) -> _Message:
    """Raises ``BodyRefused``."""
    body = normaliser.parsed(endpoint.body, call.headers.get("content-type", ""), call.body)
    if endpoint.style == Endpoint.Style.STRIPE:
        message_id = _id_inside(body)
    query = request.META.get("QUERY_STRING", "")
    if len(query) > _LONGEST_QUERY:
        raise BodyRefused(f"The query has more than {_LONGEST_QUERY:,} characters.", 414)
    payload = {
        "endpoint": endpoint.name,
        "id": message_id,
        "headers": _kept(endpoint, call),
        "query": normaliser.form(query),
        "body": body,
    }
    try:
        encode(payload)
    except StateError:
        raise BodyRefused("It is too large for the state of a run.", 413) from None
    return _Message(message_id, f"{endpoint.pk} {message_id}" if message_id else None, payload)


def _id_inside(body: Any) -> str:
    found = body.get("id") if isinstance(body, dict) else None
    if not isinstance(found, str) or not found or len(found) > 255:
        raise BodyRefused("There is no id in it.")
    return found


def _kept(endpoint: Endpoint, call: Incoming) -> dict[str, str]:
    """The headers that flows may read, under names that expressions can read."""
    found = {name: call.headers[name] for name in endpoint.headers() if name in call.headers}
    if any(len(value) > _LONGEST_HEADER for value in found.values()):
        raise BodyRefused(f"A header has more than {_LONGEST_HEADER:,} characters.")
    kept: dict[str, str] = normaliser.checked(
        {name.replace("-", "_"): value for name, value in found.items()}
    )
    return kept


# -- what comes of it --------------------------------------------------------------------------------------------


def _not_too_many(endpoint: Endpoint) -> None:
    """Counted by rows, so that no call waits for another one: several at once may get a little further."""
    latest = Call.objects.filter(endpoint=endpoint).taken_since(timezone.now() - _MINUTE)
    if latest[: endpoint.calls_per_minute].count() >= endpoint.calls_per_minute:
        _note(endpoint, Call.Outcome.REFUSED, "There were too many calls within a minute.")
        raise _Answer(refusal("Too many calls.\n", 429, **{"Retry-After": "60"}))


def _fire(endpoint: Endpoint, message: _Message) -> Fired:
    """In no transaction of ours: the key is held by the event, and a deadlock is repeated where it was met."""
    fired = fire_trigger(TRIGGER, None, message.payload, key=message.key)
    outcome = Call.Outcome.ACCEPTED if fired.is_new else Call.Outcome.REPEATED
    Call.objects.create(
        endpoint=endpoint,
        received_at=timezone.now(),
        outcome=Call.Outcome.REFUSED if fired.error else outcome,
        reason=fired.error[:300],
        message_id=message.id,
        runs=list(fired.runs),
    )
    return fired


def _note(endpoint: Endpoint, outcome: Call.Outcome, reason: str, message_id: str = "") -> None:
    """Write down what was refused, unless there is much of it."""
    latest = Call.objects.filter(endpoint=endpoint, outcome=outcome, received_at__gt=timezone.now() - _MINUTE)
    if latest[:_NOTED_PER_MINUTE].count() < _NOTED_PER_MINUTE:
        Call.objects.create(
            endpoint=endpoint,
            received_at=timezone.now(),
            outcome=outcome,
            reason=reason[:300],
            message_id=message_id,
        )


def _later() -> HttpResponse:
    return refusal("Not available at present.\n", 503, **{"Retry-After": "60"})
