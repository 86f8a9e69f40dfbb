"""Whether a call comes from whom it says: Standard Webhooks, the ways of GitHub and Stripe, and a password. Pure.

Signatures are over the bytes that came, so that nothing is parsed before it is known who sent it. The library
``standardwebhooks`` would check one of the five ways, and bring an HTTP client along for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "TOLERANCE_SECONDS", "CallRefused", "Incoming", "is_in_time", "is_one_of", "verified"]

#: How old a signed time may be, and how far ahead.
TOLERANCE_SECONDS = 300
#: Signatures that are looked at, of one call.
_MOST_SIGNATURES = 20
_LONGEST_ID = 255
#: What a sender of no style of its own may call a message by.
_ID_HEADERS = ("idempotency-key", "webhook-id")


#: Which kinds of credentials each style is verified with; "none" takes none.
KINDS: Mapping[str, tuple[str, ...]] = {
    "standard": ("http.webhook_secret",),
    "github": ("http.webhook_secret",),
    "stripe": ("http.webhook_secret",),
    "basic": ("http.basic",),
}


class CallRefused(Exception):
    """The call is not from whom it should be. The text is for staff: the caller is told nothing."""


@dataclass(frozen=True)
class Incoming:
    """A call as it came: names of headers in small letters."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Raises ``CallRefused`` without it."""
        value = self.headers.get(name, "")
        if not value:
            raise CallRefused(f"There is no header {name}.")
        return value


def verified(style: str, call: Incoming, values: Mapping[str, Any], now: float) -> str:
    """The id of the message, empty where the sender gives none. Raises ``CallRefused``.

    ``values`` are those of the credential: ``secret`` and ``previous_secret``, or ``username`` and ``password``.
    """
    return _STYLES[style](call, values, now)


def _standard(call: Incoming, values: Mapping[str, Any], now: float) -> str:
    """https://www.standardwebhooks.com, version 1, with shared secrets."""
    id_, time_ = call.header("webhook-id"), call.header("webhook-timestamp")
    given = [
        part[3:]
        for part in call.header("webhook-signature").split(" ", _MOST_SIGNATURES)
        if part[:3] == "v1,"
    ]
    signed = b".".join((_bytes(id_), _bytes(time_), call.body))
    is_one_of(given, [_base64(secret, signed) for secret in _secrets(values)])
    is_in_time(time_, now)
    return _short(id_)


def _github(call: Incoming, values: Mapping[str, Any], now: float) -> str:
    given = call.header("x-hub-signature-256").removeprefix("sha256=")
    is_one_of([given], [_hex(secret, call.body) for secret in _secrets(values)])
    # Neither the id nor a time is signed.
    return _short(call.headers.get("x-github-delivery", "")) or hashlib.sha256(call.body).hexdigest()


def _stripe(call: Incoming, values: Mapping[str, Any], now: float) -> str:
    parts = [
        part.strip().partition("=") for part in call.header("stripe-signature").split(",", _MOST_SIGNATURES)
    ]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1:
        raise CallRefused("The header stripe-signature has no time, or several.")
    signed = _bytes(times[0]) + b"." + call.body
    is_one_of(
        [value for name, _, value in parts if name == "v1"],
        [_hex(secret, signed) for secret in _secrets(values)],
    )
    is_in_time(times[0], now)
    # The id is in the body, which may be parsed now.
    return ""


def _basic(call: Incoming, values: Mapping[str, Any], now: float) -> str:
    scheme, _, encoded = call.header("authorization").partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        given = b""
    wanted = f"{values['username']}:{values['password']}".encode()
    if scheme.lower() != "basic" or not hmac.compare_digest(given, wanted):
        raise CallRefused("The user name or the password is wrong.")
    return _named(call)


def _none(call: Incoming, values: Mapping[str, Any], now: float) -> str:
    return _named(call)


_STYLES: Mapping[str, Callable[[Incoming, Mapping[str, Any], float], str]] = {
    "standard": _standard,
    "github": _github,
    "stripe": _stripe,
    "basic": _basic,
    "none": _none,
}


def is_one_of(given: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises ``CallRefused`` unless a signature is right. All are compared, each in the same time."""
    found = [hmac.compare_digest(_bytes(one), _bytes(right)) for one in given for right in wanted]
    if not any(found):
        raise CallRefused("No signature is right.")


def is_in_time(time_: str, now: float) -> None:
    """Raises ``CallRefused`` for a signed time too long ago, or too far ahead."""
    if not re.fullmatch(r"[0-9]{1,15}", time_) or abs(now - int(time_)) > TOLERANCE_SECONDS:
        raise CallRefused("It was signed too long ago, or in the future.")


def _base64(secret: str, signed: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise CallRefused("The secret is no base64, as those of Standard Webhooks are (whsec_…).") from None
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _secrets(values: Mapping[str, Any]) -> list[str]:
    """While secrets change, the old one counts as well. Nobody signs with an empty one."""
    return [secret for secret in (values["secret"], values["previous_secret"]) if secret]


def _hex(secret: str, signed: bytes) -> str:
    return hmac.digest(secret.encode(), signed, "sha256").hex()


def _bytes(text: str) -> bytes:
    # Servers hand over the bytes of headers as latin-1.
    return text.encode("latin-1", "replace")


def _named(call: Incoming) -> str:
    return _short(next((call.headers[name] for name in _ID_HEADERS if call.headers.get(name)), ""))


def _short(id_: str) -> str:
    if len(id_) > _LONGEST_ID or not (id_.isascii() and id_.isprintable()):
        raise CallRefused(f"The id is no text of at most {_LONGEST_ID} characters.")
    return id_
