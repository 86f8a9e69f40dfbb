"""Tokens of OAuth 2 clients: fetched through the same guard as every request, and kept by this process for a while."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from flowcontrol.credentials import Credential
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from .deadline import DeadlinePassed, remaining
from .errors import InvalidResponse, TemporaryStatus, UnexpectedStatus
from .exchange import Bounds, Reply, Sending, exchange

__all__ = ["forgotten", "known", "token"]

#: A token is not used in the last part of its life: it has to arrive, too.
_EARLY_SECONDS = 30.0
#: How long one is kept of which nobody says how long it lives, and the most of any.
_UNKNOWN_SECONDS, _LONGEST_SECONDS = 300.0, 86_400.0
_LARGEST_ANSWER = 100_000


@dataclass
class _Kept:
    """The token of one credential, as it is now: with other secrets it is another one."""

    #: One request for a token at a time; the others wait for what it brings.
    lock: threading.Lock = field(default_factory=threading.Lock)
    token: str = ""
    until: float = 0.0
    #: Whether the token was there before the request at hand.
    is_used: bool = False


_kept: dict[str, _Kept] = {}


def token(credential: Credential, bounds: Bounds) -> str:
    """A token that lives for a while yet. Raises a ``RequestFailed`` when none is given."""
    kept = _of(credential)
    if not kept.lock.acquire(timeout=remaining(bounds.total) or -1):
        raise DeadlinePassed
    try:
        if time.monotonic() < kept.until:
            kept.is_used = True
            return kept.token
        kept.token, seconds = _fetched(credential, bounds)
        kept.until, kept.is_used = time.monotonic() + seconds, False
        return kept.token
    finally:
        kept.lock.release()


def known(credential: Credential) -> list[str]:
    """The token that is kept for it, if there is one."""
    kept = _kept.get(_key(credential))
    return [kept.token] if kept is not None and kept.token else []


def forgotten(credential: Credential) -> bool:
    """Whether a token was kept that had been used before; it is not used again."""
    kept = _kept.get(_key(credential))
    if kept is None or not kept.is_used:
        return False
    kept.until, kept.is_used = 0.0, False
    return True


def _of(credential: Credential) -> _Kept:
    return _kept.setdefault(_key(credential), _Kept())


def _key(credential: Credential) -> str:
    # Not the secrets themselves, which would stay in memory for as long as the process lives.
    values = sorted((name, str(value)) for name, value in credential.values.items())
    told = repr([credential.name, credential.kind, values])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _fetched(credential: Credential, bounds: Bounds) -> tuple[str, float]:
    values = credential.values
    client = BackendApplicationClient(values["client_id"])
    further = {"audience": values["audience"]} if values.get("audience") else {}
    is_in_body = values.get("send_as") == "body"
    if is_in_body:
        further |= {"client_secret": values["client_secret"]}
    body = client.prepare_request_body(
        scope=values["scope"].split() if values.get("scope") else None,
        include_client_id=is_in_body,
        **further,
    )
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
    if not is_in_body:
        headers.append(("Authorization", _basic(values["client_id"], values["client_secret"])))
    sending = Sending("POST", values["token_url"], tuple(headers), body.encode())
    # Redirects are not followed: they would carry the secret elsewhere.
    reply = exchange(sending, Bounds(bounds.connect, bounds.read, bounds.total, _LARGEST_ANSWER, redirects=0))
    return _read(client, credential, reply)


def _basic(name: str, secret: str) -> str:
    # Form-encoded before they are joined: RFC 6749, 2.3.1.
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _read(client: BackendApplicationClient, credential: Credential, reply: Reply) -> tuple[str, float]:
    whose = f'No token was given for the credential "{credential.name}"'
    if reply.status >= 500 or reply.status == 429:
        raise TemporaryStatus(f"{whose}: its server answered with the status {reply.status}.")
    try:
        found = client.parse_request_body_response(reply.content.decode("utf-8", "replace"))
    except OAuth2Error as error:
        # Not its description: that may repeat what was sent.
        raise UnexpectedStatus(
            f"{whose}: {error.error or 'its server refused'} (status {reply.status})."
        ) from None
    except (ValueError, TypeError, AttributeError):
        raise InvalidResponse(
            f"{whose}: the answer of its server cannot be read (status {reply.status})."
        ) from None
    given = found.get("access_token")
    if not isinstance(given, str) or reply.status != 200:
        raise InvalidResponse(f"{whose}: its server answered with the status {reply.status} and no token.")
    return given, _lifetime(found.get("expires_in"))


def _lifetime(told: object) -> float:
    try:
        seconds = float(str(told)) if told is not None else _UNKNOWN_SECONDS + _EARLY_SECONDS
    except ValueError:
        seconds = 0.0
    return max(0.0, min(seconds - _EARLY_SECONDS, _LONGEST_SECONDS))


def _forked() -> None:
    """The locks of the parent may be held by threads that are not here."""
    global _kept  # noqa: PLW0603
    _kept = {
        key: _Kept(token=kept.token, until=kept.until, is_used=kept.is_used) for key, kept in _kept.items()
    }


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
