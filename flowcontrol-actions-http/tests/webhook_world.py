"""Senders of webhooks in every style, endpoints, and flows that listen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client, override_settings
from flowcontrol.credentials import save_credential
from flowcontrol.documents import import_flow
from flowcontrol.models import Flow

from flowcontrol_actions_http.models import Endpoint

__all__ = [
    "OLD",
    "SECRET",
    "SENDERS",
    "Message",
    "endpoint",
    "listening",
    "message",
    "post",
    "project",
    "url_of",
]

#: Of the page of the Standard Webhooks, and the one before it was changed.
SECRET, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2VuZGVy"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project that includes the pages of plugins, and can encrypt."""
    monkeypatch.setenv("FLOWCONTROL_CREDENTIAL_KEYS", KEY)
    with override_settings(
        ROOT_URLCONF="webhook_urls", FLOWCONTROL_HTTP={"BASE_URL": "https://shop.example.org"}
    ):
        yield


@dataclass(frozen=True)
class Message:
    """What a sender sends."""

    body: bytes
    headers: dict[str, str]


def _standard(body: bytes, id_: str, at: float, secret: str) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{id_}.{int(at)}.".encode() + body, "sha256")).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(int(at)), "webhook-signature": f"v1,{signature}"}


def _github(body: bytes, id_: str, at: float, secret: str) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Delivery": id_, "X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}


def _stripe(body: bytes, id_: str, at: float, secret: str) -> dict[str, str]:
    signature = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={int(at)},v1={signature},v0=aaaa"}


def _basic(body: bytes, id_: str, at: float, secret: str) -> dict[str, str]:
    word = base64.b64encode(f"ada:{secret}".encode()).decode()
    return {"Authorization": f"Basic {word}", "Idempotency-Key": id_}


def _none(body: bytes, id_: str, at: float, secret: str) -> dict[str, str]:
    return {"Idempotency-Key": id_}


_HEADERS: dict[str, Callable[[bytes, str, float, str], dict[str, str]]] = {
    "standard": _standard,
    "github": _github,
    "stripe": _stripe,
    "basic": _basic,
    "none": _none,
}
SENDERS = tuple(_HEADERS)


def message(
    style: str,
    data: Any = None,
    *,
    id_: str = "msg_1",
    at: float | None = None,
    secret: str = SECRET,
    body: bytes | None = None,
) -> Message:
    """A message as a sender of this style signs it."""
    if body is None:
        body = json.dumps({"id": id_, **(data or {})}).encode()
    headers = _HEADERS[style](body, id_, time.time() if at is None else at, secret)
    return Message(body, {"Content-Type": "application/json", **headers})


def endpoint(style: str = "standard", **fields: Any) -> Endpoint:
    """An endpoint ``payments`` whose sender knows ``SECRET``."""
    credential: str | None = None
    if style == "basic":
        credential = "payments"
        save_credential(credential, "http.basic", {"username": "ada", "password": SECRET}, hosts=["*"])
    elif style != "none":
        credential = "payments"
        save_credential(credential, "http.webhook_secret", {"secret": SECRET, "previous_secret": OLD})
    values = {"name": "payments", "style": style, "credential_id": credential, **fields}
    made = Endpoint(**values)
    made.full_clean()
    made.save()
    return made


def listening(
    *steps: dict[str, Any], slug: str = "listens", condition: str = "endpoint == 'payments'"
) -> Flow:
    """A flow that every call of the endpoint starts."""
    return import_flow(
        {
            "flowcontrol": 1,
            "slug": slug,
            "name": slug,
            "triggers": [{"on": "http.webhook", "condition": condition}],
            "steps": list(steps),
        }
    )


def url_of(one: Endpoint | str) -> str:
    token = one if isinstance(one, str) else one.token
    return f"/flowcontrol/packs/http/webhooks/{token}"


def post(one: Endpoint | str, sent: Message, client: Client | None = None, query: str = "") -> Any:
    """The answer to a message."""
    content_type = sent.headers.get("Content-Type", "application/octet-stream")
    headers = {name: value for name, value in sent.headers.items() if name != "Content-Type"}
    return (client or Client()).post(
        f"{url_of(one)}{query}", sent.body, content_type=content_type, headers=headers
    )
