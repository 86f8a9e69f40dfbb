"""Endpoints in the admin: their URL to copy, a line to try it with, what was called, and why calls were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_value
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Max, Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.credentials import get_credential
from flowcontrol.exceptions import ConfigurationError, CredentialError

from .links import webhook_url
from .models import Call, Endpoint
from .verification import KINDS

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Endpoint]
    _Form = forms.ModelForm[Endpoint]
else:
    _Admin, _Form = admin.ModelAdmin, forms.ModelForm

__all__ = ["EndpointAdmin"]

_LATEST_CALLS = 20
_LONGEST_ID = 40
_USE_CREDENTIAL = "flowcontrol.use_credential"
_TEMPLATES = "flowcontrol_actions_http/admin"
#: What a body of each kind is tried with: its type, and the body.
_TRIED = {
    "json": ("application/json", '{"id": "test-1", "amount": 5}'),
    "form": ("application/x-www-form-urlencoded", "id=test-1&amount=5"),
    "raw": ("text/plain", "Hello"),
}


class EndpointForm(_Form):
    """Of an endpoint; ``may_use_credentials`` says whether whoever fills it in may choose one."""

    may_use_credentials = True

    class Meta:
        model = Endpoint
        fields = [
            "name",
            "note",
            "is_active",
            "style",
            "credential",
            "body",
            "kept_headers",
            "calls_per_minute",
            "wait_seconds",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields.get("credential")
        if field is None:
            return
        present = self.initial.get("credential")
        kinds = {kind for kinds in KINDS.values() for kind in kinds}
        if self.may_use_credentials:
            field.queryset = field.queryset.filter(Q(kind__in=kinds) | Q(name=present))
        else:
            field.queryset = field.queryset.filter(name=present)
            field.disabled = True
            field.help_text = _("To choose one asks for the permission %(permission)s.") % {
                "permission": _USE_CREDENTIAL
            }

    def clean_credential(self) -> Any:
        """That it is of a kind that fits: a mistake here would look like a wrong signature later."""
        chosen = self.cleaned_data["credential"]
        kinds = KINDS.get(self.cleaned_data.get("style", ""))
        if chosen is None or kinds is None or not {"style", "credential"} & set(self.changed_data):
            return chosen
        try:
            get_credential(chosen.name, kinds=kinds)
        except CredentialError as error:
            raise ValidationError(str(error), code="credential") from error
        return chosen


@admin.register(Endpoint)
class EndpointAdmin(_Admin):
    form = EndpointForm
    list_display = ["name", "note", "style", "is_active", "last_called_at"]
    list_filter = ["is_active", "style"]
    search_fields = ["name", "note"]
    change_form_template = f"{_TEMPLATES}/endpoint.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).annotate(last_called=Max("calls__received_at"))

    @admin.display(description=_("last called"), ordering="last_called")
    def last_called_at(self, endpoint: Endpoint) -> Any:
        return endpoint.last_called  # type: ignore[attr-defined]  # annotated

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Endpoint | None:
        """With its URL, which may begin as that of the request does."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            try:
                found.shown_url = webhook_url(found.token, request)  # type: ignore[attr-defined]
            except ConfigurationError as error:
                found.shown_url = str(error)  # type: ignore[attr-defined]
        return found

    # -- the page of one -----------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        shown = [] if obj is None or not self.has_change_permission(request, obj) else ["url", "try_it"]
        sets = [
            (None, {"fields": ["name", "note", "is_active", *shown]}),
            (_("Who may call"), {"fields": ["style", "credential", "calls_per_minute"]}),
            (
                _("What flows get, and what callers are told"),
                {"fields": ["body", "kept_headers", "wait_seconds"]},
            ),
        ]
        return sets if obj is None else [*sets, (_("Latest calls"), {"fields": ["latest_calls"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> list[str]:
        return [] if obj is None else ["url", "try_it", "latest_calls"]

    def get_form(
        self, request: HttpRequest, obj: Endpoint | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        found = super().get_form(request, obj, change, **kwargs)
        return type("EndpointForm", (found,), {"may_use_credentials": request.user.has_perm(_USE_CREDENTIAL)})

    @admin.display(description=_("URL"))
    def url(self, endpoint: Endpoint) -> SafeString:
        return format_html('<pre class="http-code">{}</pre>', _shown_url(endpoint))

    @admin.display(description=_("Try it"))
    def try_it(self, endpoint: Endpoint) -> SafeString:
        type_, body = _TRIED[endpoint.body]
        line = f"curl -i -H 'Content-Type: {type_}' --data '{body}' '{_shown_url(endpoint)}'"
        return format_html(
            '<pre class="http-code">{}</pre><p class="http-hint">{}</p>', line, _hint(endpoint)
        )

    @admin.display(description=_("calls"))
    def latest_calls(self, endpoint: Endpoint) -> SafeString | str:
        calls = list(endpoint.calls.order_by("-id")[:_LATEST_CALLS])
        if not calls:
            return gettext("It was not called yet.")
        head = format_html_join("", "<th scope=col>{}</th>", [[text] for text in _HEADS])
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((_time(call), _what(call), _runs(self.admin_site.name, call), _id(call)) for call in calls),
        )
        return format_html(
            '<div class="http-scroll"><table class="http-calls"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
            head,
            rows,
        )

    # -- another URL ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        rotate = path(
            "<path:object_id>/rotate/",
            self.admin_site.admin_view(self.rotate),
            name="flowcontrol_actions_http_endpoint_rotate",
        )
        return [rotate, *super().get_urls()]

    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks first; the URL before is unknown from then on."""
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        back = reverse(f"{self.admin_site.name}:flowcontrol_actions_http_endpoint_change", args=[endpoint.pk])
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": gettext("Another URL"),
                "subtitle": str(endpoint),
                "endpoint": endpoint,
                "opts": self.opts,
                "back": back,
            }
            return TemplateResponse(request, f"{_TEMPLATES}/rotate.html", context)
        endpoint.rotate()
        self.log_change(request, endpoint, gettext("Another URL."))
        self.message_user(
            request, gettext("The endpoint has another URL. Tell it to whoever calls."), messages.SUCCESS
        )
        return HttpResponseRedirect(back)

    def has_rotate_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)  # type: ignore[arg-type]

    class Media:
        css = {"all": ["flowcontrol_actions_http/admin.css"]}


_HEADS = (_("received at"), _("what came of it"), _("runs"), _("id of the message"))


def _shown_url(endpoint: Endpoint) -> str:
    return str(getattr(endpoint, "shown_url", "-"))


def _hint(endpoint: Endpoint) -> str:
    if endpoint.style == Endpoint.Style.NONE:
        return gettext("Whoever knows the URL may call: keep it secret.")
    if endpoint.style == Endpoint.Style.BASIC:
        return gettext(
            "Add -u name:password. Without it the answer is 404, as for a URL that does not exist."
        )
    return gettext(
        "As it is, the answer is 404, as for a URL that does not exist: it is not signed. That it was refused is seen "
        "below. Let the sender send a test."
    )


def _time(call: Call) -> str:
    return str(display_for_value(call.received_at, "-"))


def _id(call: Call) -> str:
    return Truncator(call.message_id).chars(_LONGEST_ID) or "-"


def _what(call: Call) -> str:
    told = call.get_outcome_display()
    return f"{told}: {call.reason}" if call.reason else told


def _runs(site: str, call: Call) -> SafeString | str:
    """Links to the runs, where the project has their pages."""
    if not call.runs:
        return gettext("no flow listens") if call.outcome == Call.Outcome.ACCEPTED else "-"
    try:
        links = [(reverse(f"{site}:flowcontrol_flowrun_change", args=[run]), run) for run in call.runs]
    except NoReverseMatch:
        return ", ".join(map(str, call.runs))
    return format_html_join(", ", '<a href="{}">{}</a>', links)
