"""Credentials at work: what they put into a request, and where they may be sent."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from flowcontrol.credentials import Credential

from . import tokens
from .errors import CredentialNotAllowed, InvalidRequest
from .exchange import Bounds

__all__ = ["KINDS", "Authenticated", "authentication"]


@dataclass(frozen=True)
class Authenticated:
    """A credential, and how its kind is applied. See ``exchange.Authentication``."""

    credential: Credential
    bounds: Bounds
    #: Told of every text that nobody may read: ``ActionContext.keep_secret``.
    keep_secret: Callable[[str], None]

    def applied(self, request: httpx2.Request) -> httpx2.Request:
        """Raises ``CredentialNotAllowed`` where the credential may not be sent."""
        host = request.url.raw_host.decode("ascii")
        if not self.credential.allows_host(host):
            raise CredentialNotAllowed(
                f'The credential "{self.credential.name}" may not be sent to {host}. Its hosts are '
                f"{', '.join(self.credential.hosts) or 'none'}; whoever may change credentials adds one."
            )
        return KINDS[self.credential.kind](self, request)

    def secrets(self) -> list[str]:
        """The texts that nobody may read in an answer."""
        told = [*self.credential.secrets(), *tokens.known(self.credential)]
        if self.credential.kind == "http.basic":
            told.append(_pair(self.credential))
        return told

    def is_renewed(self) -> bool:
        """Whether another try can have another secret: the server refused a token that was kept from before."""
        return tokens.forgotten(self.credential)


def authentication(
    credential: Credential, bounds: Bounds, keep_secret: Callable[[str], None]
) -> Authenticated:
    if credential.kind not in KINDS:
        raise InvalidRequest(
            f'The credential "{credential.name}" is of the kind {credential.kind}, with which no request is sent. '
            f"Use one of these: {', '.join(KINDS)}."
        )
    return Authenticated(credential, bounds, keep_secret)


def _with_header(request: httpx2.Request, name: str, value: str) -> httpx2.Request:
    request.headers[name] = value
    return request


def _basic(authenticated: Authenticated, request: httpx2.Request) -> httpx2.Request:
    return _with_header(request, "Authorization", f"Basic {_pair(authenticated.credential)}")


def _pair(credential: Credential) -> str:
    values = credential.values
    return base64.b64encode(f"{values['username']}:{values['password']}".encode()).decode()


def _bearer(authenticated: Authenticated, request: httpx2.Request) -> httpx2.Request:
    return _with_header(request, "Authorization", f"Bearer {authenticated.credential.values['token']}")


def _api_key(authenticated: Authenticated, request: httpx2.Request) -> httpx2.Request:
    values = authenticated.credential.values
    if values.get("place") != "query":
        return _with_header(request, values.get("name") or "X-Api-Key", values["key"])
    url = request.url.copy_set_param(values.get("name") or "key", values["key"])
    return httpx2.Request(request.method, url, headers=request.headers, content=request.content)


def _oauth2(authenticated: Authenticated, request: httpx2.Request) -> httpx2.Request:
    token = tokens.token(authenticated.credential, authenticated.bounds)
    authenticated.keep_secret(token)
    return _with_header(request, "Authorization", f"Bearer {token}")


#: How a credential of each kind is put into a request.
KINDS: dict[str, Callable[[Authenticated, httpx2.Request], httpx2.Request]] = {
    "http.basic": _basic,
    "http.bearer": _bearer,
    "http.api_key": _api_key,
    "http.oauth2_client": _oauth2,
}
