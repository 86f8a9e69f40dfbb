"""Credentials: added by kind, shown without their secrets, and deleted with a look at who uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from .. import documents, vault
from ..credentials import ANY_HOST, CredentialKind
from ..exceptions import CredentialKindMissing
from ..masking import MASK
from ..models import Credential, Flow
from ..registry import credential_kinds
from .credential_forms import CredentialModelForm, fieldsets_for, form_for
from .generic import ModelAdmin, OneAtATime
from .views import STYLE, change_url, has_permission, require

__all__ = ["CredentialAdmin"]

#: No page of an error, nor a report of it, repeats what was posted.
_unseen = method_decorator(sensitive_post_parameters())


class _Use(NamedTuple):
    """Who uses a credential."""

    flows: Sequence[Flow]
    #: Of whatever apps, such as endpoints of webhooks.
    rows: Sequence[vault.CountedRows]


def _uses(names: Sequence[str]) -> dict[str, _Use]:
    flows, rows = documents.flows_by_credential(names), vault.rows_by_credential(names)
    return {name: _Use(flows.get(name, []), rows.get(name, [])) for name in names}


class _CredentialList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Looks once for a whole page who uses them: documents are large."""
        super().get_results(request)
        found = _uses([credential.name for credential in self.result_list])
        for credential in self.result_list:
            credential.use = found[credential.name]


class _KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = Credential.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, _label(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credential]) -> QuerySet[Credential]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Credential)
class CredentialAdmin(OneAtATime, ModelAdmin[Credential]):
    form = CredentialModelForm
    list_display = ["name", "kind_shown", "hosts_shown", "source_shown", "updated_at", "use_count"]
    list_filter = [_KindFilter]
    search_fields = ["name", "kind", "note"]
    delete_confirmation_template = "admin/flowcontrol/credential/delete_confirmation.html"
    readonly_fields = [
        "kind_shown",
        "hosts_shown",
        "settings_shown",
        "secrets_shown",
        "used_by",
        "use_count",
        "updated_at",
    ]

    @property
    def media(self) -> Media:
        return super().media + STYLE

    # -- list and facts --------------------------------------------------------------------------------------

    @admin.display(description=_("kind"), ordering="kind")
    def kind_shown(self, credential: Credential) -> str:
        return _label(credential.kind)

    @admin.display(description=_("hosts"))
    def hosts_shown(self, credential: Credential) -> str:
        shown = [gettext("any host") if host == ANY_HOST else host for host in credential.hosts]
        return ", ".join(shown) or "-"

    @admin.display(description=_("secrets"))
    def source_shown(self, credential: Credential) -> str:
        words = {"stored": gettext("stored"), "environment": gettext("environment")}
        return ", ".join(words[one] for one in credential.source.split(" and ") if one in words) or "-"

    @admin.display(description=_("used by"))
    def used_by(self, credential: Credential) -> str | SafeString:
        use = self._use(credential)
        links = [format_html('<a href="{}">{}</a>', change_url(self, flow), flow.slug) for flow in use.flows]
        return format_html_join(", ", "{}", ((one,) for one in [*links, *map(str, use.rows)])) or "-"

    @admin.display(description=_("settings"))
    def settings_shown(self, credential: Credential) -> str | SafeString:
        return _listed(credential.settings.items())

    @admin.display(description=_("secrets"))
    def secrets_shown(self, credential: Credential) -> str | SafeString:
        stored = [(gettext("stored"), MASK)] if credential.sealed else []
        return _listed([*stored, *credential.variables.items()])

    @admin.display(description=_("used by"))
    def use_count(self, credential: Credential) -> str:
        use = self._use(credential)
        count = len(use.flows)
        flows = [ngettext("%d flow", "%d flows", count) % count] if count or not use.rows else []
        return ", ".join([*flows, *map(str, use.rows)])

    def _use(self, credential: Credential) -> _Use:
        # The list has looked for all that it shows.
        found: _Use | None = getattr(credential, "use", None)
        return _uses([credential.name])[credential.name] if found is None else found

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _CredentialList

    # -- add and change --------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Credential | None = None) -> bool:
        # Without its kind nobody knows its form: then it can be looked at, and deleted.
        is_known = obj is None or _kind_of(obj.kind) is not None
        return is_known and super().has_change_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Credential | None = None, change: bool = False, **kwargs: Any
    ) -> type[CredentialModelForm]:
        kind = _kind_of(obj.kind if obj else request.GET.get("kind", ""))
        if kind is None:
            return super().get_form(request, obj, change=change, **{**kwargs, "fields": ["name", "note"]})  # type: ignore[return-value]
        return form_for(kind, is_new=obj is None)

    def get_fieldsets(self, request: HttpRequest, obj: Credential | None = None) -> Any:
        kind = _kind_of(obj.kind if obj else request.GET.get("kind", ""))
        use = "used_by" if has_permission(request, Flow, "view_flow") else "use_count"
        if kind is None or (obj and not self.has_change_permission(request, obj)):
            shown = [
                "name",
                "kind_shown",
                "note",
                "hosts_shown",
                "settings_shown",
                "secrets_shown",
                "updated_at",
            ]
            return [(None, {"fields": [*shown, use]})]
        (none, about), *others = fieldsets_for(kind, is_new=obj is None)
        facts = [] if obj is None else [(_("Use"), {"fields": [use, "updated_at"]})]
        if obj is None:
            about = {"fields": [name for name in about["fields"] if name != "kind_shown"]}
        return [(none, about), *others, *facts]

    def get_readonly_fields(self, request: HttpRequest, obj: Credential | None = None) -> Any:
        # Steps refer to it by its name.
        return [*self.readonly_fields, *(["name"] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        vault.store(obj, form.filled)

    @_unseen
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        require(self.has_add_permission(request))
        kind = _kind_of(request.GET.get("kind", ""))
        if kind is None:
            return self._choose_kind(request)
        title = gettext("Add credential: %s") % _label(kind.name)
        return super().add_view(request, form_url, {**(extra_context or {}), "title": title})

    @_unseen
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        problem = vault.problem_of(found) if found and self.has_view_permission(request, found) else ""
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "problem": problem}
        )

    def _choose_kind(self, request: HttpRequest) -> HttpResponse:
        kinds = [(spec, _kind_of(spec.name)) for spec in credential_kinds.specs()]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Add credential: choose a kind"),
            "is_popup": IS_POPUP_VAR in request.GET,
            "kinds": [(spec, str(kind.description)) for spec, kind in kinds if kind is not None],
            "broken": [spec for spec, kind in kinds if kind is None],
        }
        return TemplateResponse(request, "admin/flowcontrol/credential/kinds.html", context)

    # -- delete ----------------------------------------------------------------------------------------------

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        may = found is not None and self.has_delete_permission(request, found)
        # Of others, Django tells by itself.
        flows = self._use(found).flows if found and may else []
        context = {"use_count": len(flows), "used_by": []}
        if has_permission(request, Flow, "view_flow"):
            context["used_by"] = [(change_url(self, flow), flow) for flow in flows]
        return super().delete_view(request, object_id, {**(extra_context or {}), **context})


def _kind_of(name: str) -> type[CredentialKind] | None:
    if name not in credential_kinds:
        return None
    try:
        return credential_kinds.load(name)
    except CredentialKindMissing:
        return None


def _label(kind: str) -> str:
    spec = credential_kinds.get_spec(kind)
    return f"{spec.label} ({kind})" if spec else gettext("%s (not installed)") % kind


def _listed(pairs: Any) -> str | SafeString:
    return format_html_join("", "<div>{}: {}</div>", pairs) or "-"
