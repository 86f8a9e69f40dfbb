"""Flows: the published tree, the draft as YAML, versions, and the buttons that publish, switch and start."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .. import documents, engine
from ..exceptions import DocumentError, FlowcontrolError
from ..models import Flow
from .forms import DraftForm, ImportForm, StartForm
from .generic import ModelAdmin
from .trees import rows_of
from .views import View, admin_path, change_url, find, has_permission, require

__all__ = ["FlowAdmin"]

STYLE = Media(css={"all": ["flowcontrol/admin.css"]})


@admin.register(Flow)
class FlowAdmin(ModelAdmin[Flow]):
    form = DraftForm
    list_display = ["name", "slug", "is_active", "version", "waiting_runs", "live_runs", "failed_runs"]
    list_filter = ["is_active"]
    search_fields = ["name", "slug"]
    actions = ["activate_flows", "deactivate_flows"]
    change_form_template = "admin/flowcontrol/flow/change_form.html"
    change_list_template = "admin/flowcontrol/flow/change_list.html"
    readonly_fields = [
        "slug",
        "name",
        "description",
        "object_model",
        "is_active",
        "version",
        "draft_revision",
    ]
    fieldsets = [
        (None, {"fields": ["slug", "name", "description", "object_model", "is_active", "version"]}),
        (_("Draft"), {"fields": ["document", "revision", "draft_revision"]}),
    ]

    @property
    def media(self) -> Media:
        return super().media + STYLE

    # -- list ------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flow]:
        flows = super().get_queryset(request).select_related("published")
        if request.resolver_match and request.resolver_match.url_name == "flowcontrol_flow_changelist":
            flows = flows.defer("draft", "published__document").annotate(
                waiting_count=Count("runs", filter=Q(runs__status="waiting")),
                live_count=Count("runs", filter=Q(runs__ended_at__isnull=True)),
                failed_count=Count("runs", filter=Q(runs__status="failed")),
            )
        return flows

    @admin.display(description=_("published"))
    def version(self, flow: Flow) -> str:
        return f"v{flow.published.number}" if flow.published else "-"

    @admin.display(description=_("waiting"))
    def waiting_runs(self, flow: Flow) -> str:
        return _runs_link(flow, "status__exact=waiting", getattr(flow, "waiting_count", 0))

    @admin.display(description=_("live"))
    def live_runs(self, flow: Flow) -> str:
        return _runs_link(flow, "live=yes", getattr(flow, "live_count", 0))

    @admin.display(description=_("failed"))
    def failed_runs(self, flow: Flow) -> str:
        return _runs_link(flow, "status__exact=failed", getattr(flow, "failed_count", 0))

    # -- permissions -----------------------------------------------------------------------------------------

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, Flow, "publish_flow")

    def has_start_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, Flow, "start_flow")

    # -- actions ---------------------------------------------------------------------------------------------

    @admin.action(description=_("Activate selected flows"), permissions=["publish"])
    def activate_flows(self, request: HttpRequest, flows: QuerySet[Flow]) -> None:
        self._switch(request, flows, is_active=True)

    @admin.action(description=_("Deactivate selected flows"), permissions=["publish"])
    def deactivate_flows(self, request: HttpRequest, flows: QuerySet[Flow]) -> None:
        self._switch(request, flows, is_active=False)

    def _switch(self, request: HttpRequest, flows: QuerySet[Flow], *, is_active: bool) -> None:
        # The list's query counts runs, and an UPDATE takes no such annotations.
        changing = Flow.objects.filter(pk__in=[flow.pk for flow in flows]).exclude(is_active=is_active)
        for flow in changing:
            self.log_change(request, flow, "Activated." if is_active else "Deactivated.")
        count = changing.update(is_active=is_active)
        if is_active:
            told = ngettext("%d flow was activated.", "%d flows were activated.", count)
        else:
            told = ngettext(
                "%d flow was deactivated; its runs go on.",
                "%d flows were deactivated; their runs go on.",
                count,
            )
        self.message_user(request, told % count, messages.SUCCESS)

    # -- pages -----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own: list[tuple[str, View, str, tuple[str, ...]]] = [
            ("import/", self.import_view, "import", ("GET", "POST")),
            ("<path:object_id>/export/", self.export_view, "export", ("GET",)),
            ("<path:object_id>/publish/", self.publish_view, "publish", ("POST",)),
            ("<path:object_id>/activate/", self.activate_view, "activate", ("POST",)),
            ("<path:object_id>/deactivate/", self.deactivate_view, "deactivate", ("POST",)),
            ("<path:object_id>/start/", self.start_view, "start", ("GET", "POST")),
        ]
        return [*(admin_path(self, *each) for each in own), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A new flow is an imported one."""
        require(self.has_add_permission(request))
        return HttpResponseRedirect(
            reverse("admin:flowcontrol_flow_import", current_app=self.admin_site.name)
        )

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Flow | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= self._about(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _about(self, request: HttpRequest, flow: Flow) -> dict[str, Any]:
        standing = dict(
            flow.runs.live()  # type: ignore[attr-defined]  # the manager of a queryset with words of its own
            .order_by()
            .values_list("step")
            .annotate(count=Count("pk"))
        )
        about: dict[str, Any] = {
            "versions": flow.versions.defer("document").order_by("-number")[:10],
            "may_publish": self.has_publish_permission(request),
            "may_start": self.has_start_permission(request)
            and flow.is_active
            and flow.published_id is not None,
            "has_unpublished_changes": _differs(flow),
            "show_save_and_add_another": False,
            "problems": [],
        }
        if flow.published is not None:
            try:
                program = documents.compile_document(flow.published.document)
                about["rows"] = rows_of(flow.published.document, program, standing)
            except DocumentError as error:
                about["problems"] = error.problems
        return about

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        """Nothing is left to do: the form has stored the draft, to be able to tell what is wrong with it."""

    def import_view(self, request: HttpRequest) -> HttpResponse:
        require(self.has_add_permission(request) and self.has_change_permission(request))
        form = ImportForm(request.POST or None, request.FILES or None)
        may_publish = self.has_publish_permission(request)
        if not may_publish:
            del form.fields["publish"]
        if request.method == "POST" and form.is_valid():
            try:
                results = documents.import_flows(
                    form.cleaned_data["documents"], publish=form.cleaned_data.get("publish", False)
                )
            except DocumentError as error:
                form.add_error(None, [str(problem) for problem in error.problems])
            else:
                for result in results:
                    log = self.log_addition if result.is_new else self.log_change
                    log(request, result.flow, "Imported.")
                told = ngettext("%d flow was imported.", "%d flows were imported.", len(results)) % len(
                    results
                )
                self.message_user(request, told, messages.SUCCESS)
                if len(results) == 1:
                    return HttpResponseRedirect(change_url(self, results[0].flow))
                return HttpResponseRedirect(
                    reverse("admin:flowcontrol_flow_changelist", current_app=self.admin_site.name)
                )
        return self._form_page(request, form, _("Import flows"), _("Import"))

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        text = documents.to_yaml(documents.export_flow(flow, draft=flow.published_id is None))
        return HttpResponse(
            text,
            content_type="application/yaml; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{flow.slug}.yaml"'},
        )

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        require(self.has_publish_permission(request))
        try:
            version = documents.publish(flow, note=request.POST.get("note", "")[:200])
        except DocumentError as error:
            for problem in error.problems:
                self.message_user(request, str(problem), messages.ERROR)
        else:
            self.log_change(request, flow, f"Published as v{version.number}.")
            self.message_user(
                request, _("Published as v%d. Runs in flight stay on their version.") % version.number
            )
        return HttpResponseRedirect(change_url(self, flow))

    def activate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch_one(request, object_id, is_active=True)

    def deactivate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch_one(request, object_id, is_active=False)

    def _switch_one(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        flow = find(self, request, object_id)
        require(self.has_publish_permission(request))
        self._switch(request, Flow.objects.filter(pk=flow.pk), is_active=is_active)
        return HttpResponseRedirect(change_url(self, flow))

    def start_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        require(self.has_start_permission(request))
        form = StartForm(flow, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                answer = engine.start_flow(
                    flow, form.cleaned_data.get("object_key"), form.cleaned_data["state"]
                )
            except FlowcontrolError as error:
                form.add_error(None, str(error))
            else:
                self.log_change(request, flow, f"Started: {answer}.")
                self._tell_start(request, answer)
                return HttpResponseRedirect(change_url(self, flow))
        return self._form_page(request, form, _("Start “%s”") % flow, _("Start"), flow)

    def _tell_start(self, request: HttpRequest, answer: engine.Started | engine.Refused) -> None:
        if isinstance(answer, engine.Refused):
            self.message_user(request, answer.detail, messages.WARNING)
            return
        link = format_html('<a href="{}">{}</a>', change_url(self, answer.run), answer.run)
        self.message_user(
            request, format_html(str(_("Started {}; a worker executes it.")), link), messages.SUCCESS
        )

    def _form_page(
        self, request: HttpRequest, form: Any, title: Any, button: Any, flow: Flow | None = None
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "button": button,
            "form": form,
            "opts": self.opts,
            "original": flow,
            "original_url": change_url(self, flow) if flow else "",
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/flowcontrol/form_page.html", context)


def _runs_link(flow: Flow, query: str, count: int) -> str:
    if not count:
        return "-"
    url = reverse("admin:flowcontrol_flowrun_changelist")
    return format_html('<a href="{}?flow__id__exact={}&{}">{}</a>', url, flow.pk, query, count)


def _differs(flow: Flow) -> bool:
    return flow.published is None or documents.diff(flow.published.document, flow.draft) != []
