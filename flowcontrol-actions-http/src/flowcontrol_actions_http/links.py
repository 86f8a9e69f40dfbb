"""The absolute URLs of this pack's pages."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from flowcontrol.exceptions import ConfigurationError

from . import conf

__all__ = ["callback_url", "webhook_url"]


def callback_url(token: str) -> str:
    """The link to hand out. Raises ``ConfigurationError`` when nobody said under which URL this site is reached."""
    base = conf.get("BASE_URL")
    if base is None:
        raise ConfigurationError(
            'Links need to know under which URL this site is reached: set FLOWCONTROL_HTTP["BASE_URL"] to such as '
            '"https://example.org".'
        )
    return f"{base}{_path('callback', token)}"


def webhook_url(token: str, request: HttpRequest) -> str:
    """The URL of an endpoint, for whoever looks at it."""
    path, base = _path("webhook", token), conf.get("BASE_URL")
    return request.build_absolute_uri(path) if base is None else f"{base}{path}"


def _path(name: str, token: str) -> str:
    try:
        return reverse(f"flowcontrol:http:{name}", args=[token])
    except NoReverseMatch as error:
        raise ConfigurationError(
            'The project\'s URLs have no pages of plugins: add path("flowcontrol/", include("flowcontrol.urls")).'
        ) from error
