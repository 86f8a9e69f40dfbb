"""What a step says about its request: the fields that all actions that send one have."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from flowcontrol.base import ActionForm
from flowcontrol.expressions import Template
from flowcontrol.forms import CredentialField, TemplateField
from flowcontrol.translations import catalogue

from . import conf
from .addresses import Policy
from .answers import READ_AS
from .errors import RequestFailed
from .fields import FileField, HeadersField, JSONBodyField, StatusesField, TextsField
from .kinds import KINDS
from .targets import target

__all__ = ["SAFE", "BodyForm", "RequestForm"]

_ = catalogue("flowcontrol_actions_http")

#: Methods that change nothing on the server.
SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")


class RequestForm(ActionForm):
    url = TemplateField(
        label=_("URL"),
        max_length=8_000,
        widget=forms.TextInput,
        help_text=_(
            "Where the request goes: http or https, and no user in it. Values of the run stand in double braces, with "
            "a filter where they are part of a path: https://api.example.org/orders/{{ order|urlencode }}."
        ),
    )
    query = TextsField(
        label=_("Query"),
        required=False,
        help_text=_("Parameters behind the “?”: a mapping of names to texts, or to lists of texts."),
    )
    headers = HeadersField(
        label=_("Headers"), required=False, help_text=_("A mapping of names to texts. None for secrets.")
    )
    credential = CredentialField(
        label=_("Credential"),
        kinds=KINDS,
        required=False,
        help_text=_(
            "By whose right: the name of a credential. It is sent to the hosts that it allows, and no other."
        ),
    )
    expect = StatusesField(
        label=_("Expected statuses"),
        required=False,
        initial="200-299",
        help_text=_("With which the step goes on: “200-299, 404”. Every other status is a failure."),
    )
    read_as = forms.ChoiceField(
        label=_("Read body as"),
        required=False,
        initial="auto",
        choices=[(one, one) for one in READ_AS],
        help_text=_(
            "“auto” goes by the type that the server says: JSON is parsed, text is text, all else base64."
        ),
    )
    max_bytes = forms.IntegerField(
        label=_("Largest response"),
        required=False,
        min_value=1,
        help_text=_("In bytes, unpacked. A larger one is a failure. Empty: what the deployer set."),
    )
    redirects = forms.IntegerField(
        label=_("Redirects"),
        required=False,
        initial=5,
        min_value=0,
        max_value=20,
        help_text=_("How many are followed, one after the other. 0: none, and its status is the answer."),
    )
    timeout_seconds = forms.FloatField(
        label=_("Time limit"),
        required=False,
        min_value=0.1,
        help_text=_("Seconds for all of it, redirects included. Empty: what the deployer set."),
    )
    connect_seconds = forms.FloatField(
        label=_("Time limit to connect"),
        required=False,
        min_value=0.1,
        help_text=_("Seconds until the connection is there. Empty: what the deployer set."),
    )
    read_seconds = forms.FloatField(
        label=_("Time limit to read"),
        required=False,
        min_value=0.1,
        help_text=_("Seconds that the server may be silent. Empty: what the deployer set."),
    )
    verify = forms.BooleanField(
        label=_("Verify certificate"),
        required=False,
        initial=True,
        help_text=_("Can be switched off for the hosts only for which the deployer lets it."),
    )

    def clean_url(self) -> Template:
        url: Template = self.cleaned_data["url"]
        if not url.expressions:
            # What it is in any project. Where flows may call is looked at when they do.
            try:
                target(url.source.strip(), Policy(is_on=False))
            except RequestFailed as error:
                raise ValidationError(str(error), code="url") from error
        return url

    def clean_read_as(self) -> str:
        return self.cleaned_data["read_as"] or "auto"

    def clean_redirects(self) -> int:
        given: int | None = self.cleaned_data["redirects"]
        return 5 if given is None else given

    def clean_max_bytes(self) -> int:
        most: int = conf.get("MAX_RESPONSE_BYTES")
        given: int = self.cleaned_data["max_bytes"] or most
        if given > most:
            raise ValidationError(
                _("A response may have %(most)d bytes at most (FLOWCONTROL_HTTP[“MAX_RESPONSE_BYTES”])."),
                code="max_bytes",
                params={"most": most},
            )
        return given

    def clean_timeout_seconds(self) -> float:
        most: float = conf.get("MAX_TOTAL_SECONDS")
        given: float = self.cleaned_data["timeout_seconds"] or min(most, conf.get("TOTAL_SECONDS"))
        if given > most:
            raise ValidationError(
                _("A request may take %(most)g seconds at most (FLOWCONTROL_HTTP[“MAX_TOTAL_SECONDS”])."),
                code="timeout_seconds",
                params={"most": most},
            )
        return given

    def clean_connect_seconds(self) -> float:
        return float(self.cleaned_data["connect_seconds"] or conf.get("CONNECT_SECONDS"))

    def clean_read_seconds(self) -> float:
        return float(self.cleaned_data["read_seconds"] or conf.get("READ_SECONDS"))

    def clean_verify(self) -> bool:
        is_verified: bool = self.cleaned_data["verify"]
        if not is_verified and not conf.get("UNVERIFIED_HOSTS"):
            raise ValidationError(
                _("The deployer lets no flow do without (FLOWCONTROL_HTTP[“UNVERIFIED_HOSTS”])."),
                code="verify",
            )
        return is_verified


class BodyForm(RequestForm):
    method = forms.ChoiceField(
        label=_("Method"),
        initial="GET",
        required=False,
        choices=[(one, one) for one in METHODS],
        help_text=_("What is asked of the server."),
    )
    json = JSONBodyField(
        label=_("Body: JSON"),
        required=False,
        help_text=_("Every text in it is an expression: “order.id” gives the number, “'paid'” the text."),
    )
    form = TextsField(
        label=_("Body: form"),
        required=False,
        help_text=_("Fields as a browser sends them; together with a file as multipart/form-data."),
    )
    text = TemplateField(
        label=_("Body: text"),
        required=False,
        help_text=_("With values of the run in double braces. Say its type in the header Content-Type."),
    )
    file = FileField(
        label=_("Body: file"),
        required=False,
        help_text=_(
            "A file of the object, such as “object.invoice”: the body itself, or a field of the form."
        ),
    )
    file_field = forms.CharField(
        label=_("Field of the file"),
        required=False,
        initial="file",
        max_length=200,
        help_text=_("Its name in the form, where there are form fields, too."),
    )
    idempotency_key = forms.BooleanField(
        label=_("Idempotency key"),
        required=False,
        initial=True,
        help_text=_(
            "Sends the header Idempotency-Key with methods that change something: it is the same when a try is "
            "repeated, so that a server that heeds it does the work once."
        ),
    )

    field_order = (
        "method",
        "url",
        "query",
        "headers",
        "json",
        "form",
        "text",
        "file",
        "file_field",
        "credential",
    )

    def clean_method(self) -> str:
        return self.cleaned_data["method"] or "GET"

    def clean_file_field(self) -> str:
        return self.cleaned_data["file_field"] or "file"

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        given = [name for name in ("json", "form", "text", "file") if cleaned.get(name)]
        if len(given) > 1 and given != ["form", "file"]:
            self.add_error(
                given[-1],
                ValidationError(_("A request has one body: JSON, a form, a text or a file."), code="bodies"),
            )
        if given and cleaned.get("method") in SAFE:
            self.add_error(
                given[0],
                ValidationError(
                    _("A request with the method %(method)s has no body: choose another method."),
                    code="body",
                    params={"method": cleaned["method"]},
                ),
            )
        return cleaned
