"""What can go wrong with a request. The classes are names for a step's ``retry: {on: [...]}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "CredentialNotAllowed",
    "InvalidRequest",
    "InvalidResponse",
    "RequestFailed",
    "RequestRefused",
    "RequestTimedOut",
    "ResponseTooLarge",
    "TemporaryFailure",
    "TemporaryStatus",
    "TooManyPages",
    "UnexpectedStatus",
    "Unreachable",
]


class RequestFailed(Exception):
    """A request did not lead to the answer that the step expects. ``response`` is the answer, if there was one."""

    def __init__(
        self,
        message: str,
        *,
        response: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.response = response
        #: Seconds that the server asks to be left alone; the engine waits at least so long.
        self.retry_after = retry_after


class InvalidRequest(RequestFailed):
    """What the step's fields give in this run makes no request."""


class RequestRefused(RequestFailed):
    """The request would go where no flow may send one. Nothing was sent."""


class CredentialNotAllowed(RequestRefused):
    """The credential may not be sent to this host. Nothing was sent."""


class UnexpectedStatus(RequestFailed):
    """The status of the response is not one that the step expects."""


class InvalidResponse(RequestFailed):
    """The response cannot be read: it breaks the protocol, or is not of the kind that the step expects."""


class ResponseTooLarge(InvalidResponse):
    """The response, unpacked, is larger than the step takes."""


class TooManyPages(RequestFailed):
    """There are more pages than the step may read."""


class TemporaryFailure(RequestFailed):
    """May be gone by the next try: what the actions of this pack try again by themselves."""


class Unreachable(TemporaryFailure):
    """There was no connection to the server, or it broke."""


class RequestTimedOut(TemporaryFailure):
    """The answer was not complete when the time was up."""


class TemporaryStatus(UnexpectedStatus, TemporaryFailure):
    """The server says that it cannot answer now: 408, 425, 429, or from 500 on."""
