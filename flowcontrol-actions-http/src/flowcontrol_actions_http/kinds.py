"""The kinds of credentials that requests are sent with."""

from __future__ import annotations

import httpx2
from django import forms
from django.core.exceptions import ValidationError
from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField
from flowcontrol.translations import catalogue

from .conf import get

__all__ = ["KINDS", "ApiKey", "Basic", "Bearer", "OAuth2Client"]

_ = catalogue("flowcontrol_actions_http")


class Basic(CredentialKind):
    """User name and password."""

    name = "http.basic"
    label = _("User name and password (basic)")
    description = _("Sent as basic authentication, in the header Authorization.")

    class Form(CredentialForm):
        username = forms.CharField(
            label=_("User name"), help_text=_("As the service knows it; no colon in it.")
        )
        password = SecretField(
            label=_("Password"), help_text=_("Sent with each request, in its header Authorization.")
        )

        def clean_username(self) -> str:
            name: str = self.cleaned_data["username"]
            if ":" in name:
                raise ValidationError(_("A user name has no colon in it."), code="colon")
            return name


class Bearer(CredentialKind):
    """A token that lets its bearer in."""

    name = "http.bearer"
    label = _("Bearer token")
    description = _("A token that lets in whoever has it, in the header Authorization.")

    class Form(CredentialForm):
        token = SecretField(
            strip=True, label=_("Token"), help_text=_("Without the word “Bearer”, which is put before it.")
        )


class ApiKey(CredentialKind):
    """A key in a header, or in the query of the URL."""

    name = "http.api_key"
    label = _("API key")
    description = _("A key in a header of its own, or in the query of the URL.")

    class Form(CredentialForm):
        key = SecretField(strip=True, label=_("Key"), help_text=_("As the service shows it."))
        place = forms.ChoiceField(
            label=_("Place"),
            choices=[("header", _("Header")), ("query", _("Query of the URL"))],
            initial="header",
            required=False,
            help_text=_("A header, if the service takes one: URLs are written into logs on the way."),
        )
        name = forms.RegexField(
            r"\A[A-Za-z0-9_.-]+\Z",
            label=_("Name"),
            initial="X-Api-Key",
            required=False,
            help_text=_("Of the header or of the parameter, such as “X-Api-Key” or “key”."),
        )

        def clean_place(self) -> str:
            return self.cleaned_data["place"] or "header"

        def clean_name(self) -> str:
            return self.cleaned_data["name"] or "X-Api-Key"


class OAuth2Client(CredentialKind):
    """An application that gets tokens for itself (client credentials, RFC 6749, 4.4)."""

    name = "http.oauth2_client"
    label = _("OAuth 2 client credentials")
    description = _("Client ID and secret, for which the service gives tokens that are valid for a while.")

    class Form(CredentialForm):
        token_url = forms.CharField(
            label=_("Token URL"),
            max_length=2_000,
            help_text=_("Where tokens are given out. Client ID and secret are sent there, and nowhere else."),
        )
        client_id = forms.CharField(label=_("Client ID"), help_text=_("As the service shows it."))
        client_secret = SecretField(label=_("Client secret"), help_text=_("As the service shows it."))
        scope = forms.CharField(
            label=_("Scope"),
            required=False,
            help_text=_("Separated by spaces. Empty: what the service gives."),
        )
        audience = forms.CharField(
            label=_("Audience"), required=False, help_text=_("Where a service asks for it. Mostly empty.")
        )
        send_as = forms.ChoiceField(
            label=_("Send as"),
            choices=[("header", _("Header (basic)")), ("body", _("Fields of the body"))],
            initial="header",
            required=False,
            help_text=_(
                "How client ID and secret are sent. Services take a header, unless they say otherwise."
            ),
        )

        def clean_send_as(self) -> str:
            return self.cleaned_data["send_as"] or "header"

        def clean_token_url(self) -> str:
            text: str = self.cleaned_data["token_url"]
            try:
                url = httpx2.URL(text)
            except httpx2.InvalidURL as error:
                raise ValidationError(_("This is no URL."), code="url") from error
            is_closed = url.scheme == "https" or (url.scheme == "http" and not get("GUARD"))
            if not is_closed or not url.host or url.userinfo:
                raise ValidationError(
                    _("Enter a URL that begins with https:// and has no user in it."), code="url"
                )
            return text


#: The names of all of them.
KINDS = tuple(kind.name for kind in (Basic, Bearer, ApiKey, OAuth2Client))
