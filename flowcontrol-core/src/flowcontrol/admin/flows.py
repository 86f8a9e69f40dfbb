"""Flows: the published tree, the draft as YAML, versions, and the buttons that publish, switch and start."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.views.main import ChangeList
from django.db import router, transaction
from django.db.models import ProtectedError, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .. import documents, engine, permissions
from ..exceptions import DocumentError, FlowcontrolError, FlowNotFound
from ..models import Flow, FlowRun, FlowVersion, Trigger
from .counts import live_counts
from .forms import DraftForm, ImportForm, PublishForm, StartForm, TriggerForm, present_documents
from .generic import ModelAdmin, StackedInline
from .notices import notices
from .trees import rows_of
from .views import STYLE, View, admin_path, change_url, find, has_permission, log_changes, require

__all__ = ["FlowAdmin"]

#: Runs that stand in the way of a deletion: so many are listed.
_SHOWN = 20
#: Versions that the page of a flow lists; the newest ones.
_VERSIONS = 10
#: Pages that read whole documents; all others do without.
_WITH_DOCUMENTS = {"flowcontrol_flow_change", "flowcontrol_flow_export"}


class TriggerInline(StackedInline[Trigger, Flow]):
    """What starts the flow, at the flow itself; to whom triggers are shown, and who may change them."""

    model = Trigger
    form = TriggerForm
    fields = (("on", "is_active"), "condition", ("does", "step"), "active_since")
    #: More are added with JavaScript; without, on a page of their own, which that of the flow links.
    extra = 0


@admin.register(Flow)
class FlowAdmin(ModelAdmin[Flow]):
    form = DraftForm
    list_display = ["name", "slug", "is_active", "version", "live_runs", "failed_runs"]
    list_filter = ["is_active"]
    search_fields = ["name", "slug"]
    inlines = [TriggerInline]
    actions = ["activate_flows", "deactivate_flows", "delete_selected"]
    change_form_template = "admin/flowcontrol/flow/change_form.html"
    change_list_template = "admin/flowcontrol/flow/change_list.html"
    readonly_fields = ["slug", "about", "object_type", "is_active", "version", "draft_revision", "draft_text"]

    @property
    def media(self) -> Media:
        return super().media + STYLE

    # -- list ------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Flow | None = None) -> Any:
        # Who may only look gets the draft as text: the form's fields would be drawn as empty ones.
        draft = ["document", "revision"] if self.has_change_permission(request, obj) else ["draft_text"]
        return [
            (None, {"fields": ["slug", "about", "object_type", "is_active", "version"]}),
            (_("Draft"), {"fields": [*draft, "draft_revision"]}),
        ]

    def get_form(
        self, request: HttpRequest, obj: Flow | None = None, change: bool = False, **kwargs: Any
    ) -> type[DraftForm]:
        form = cast("type[DraftForm]", super().get_form(request, obj, change=change, **kwargs))
        # Django made this class for this request; which actions may be placed depends on who asks.
        form.may = staticmethod(request.user.has_perm)
        return form

    @admin.display(description=_("description"))
    def about(self, flow: Flow) -> str:
        return flow.description or "-"

    @admin.display(description=_("runs are about"))
    def object_type(self, flow: Flow) -> str:
        return flow.object_model or str(_("no object"))

    @admin.display(description=_("draft"))
    def draft_text(self, flow: Flow) -> SafeString:
        return format_html('<pre class="fc-code">{}</pre>', documents.to_yaml(documents.draft_of(flow)))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _FlowList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flow]:
        flows = super().get_queryset(request).select_related("published")
        if request.resolver_match and request.resolver_match.url_name in _WITH_DOCUMENTS:
            return flows
        return flows.defer("draft", "published__document")

    @admin.display(description=_("published"))
    def version(self, flow: Flow) -> str:
        return f"v{flow.published.number}" if flow.published else "-"

    @admin.display(description=_("live runs"))
    def live_runs(self, flow: Flow) -> str:
        count = getattr(flow, "live_count", 0)
        return _runs_link(flow, "live=yes", count) if count else "-"

    @admin.display(description=_("failed runs"))
    def failed_runs(self, flow: Flow) -> str:
        # Not counted: ended runs are history, of which there may be millions.
        return _runs_link(flow, "status__exact=failed", _("show"))

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
        log_changes(request, changing.only("name", "slug"), "Activated." if is_active else "Deactivated.")
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

    @admin.action(description=delete_selected.short_description, permissions=["delete"])  # type: ignore[attr-defined]
    def delete_selected(self, request: HttpRequest, flows: QuerySet[Flow]) -> HttpResponse | None:
        """Django's own, all or nothing: a run that was started after the look keeps every flow."""
        try:
            with transaction.atomic(using=router.db_for_write(Flow)):
                return delete_selected(self, request, flows)
        except ProtectedError:
            told = _("A flow was started meanwhile, and its runs keep it; nothing was deleted.")
            self.message_user(request, told, messages.ERROR)
            return None

    # -- pages -----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        # Before Django's own, whose "<path:object_id>/" would take them for keys.
        own: list[tuple[str, View, str, tuple[str, ...]]] = [
            ("import/", self.import_view, "import", ("GET", "POST")),
            ("<path:object_id>/export/", self.export_view, "export", ("GET",)),
            ("<path:object_id>/versions/", self.versions_view, "versions", ("GET",)),
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
        standing = live_counts([flow.pk], "step")
        draft = documents.draft_of(flow)
        versions = flow.versions.defer("document").order_by("-number")
        about: dict[str, Any] = {
            "versions": versions[:_VERSIONS],
            "older_versions": max(0, versions.count() - _VERSIONS),
            "publish": PublishForm(
                # The draft as the person knows it: a form that is drawn again does not show a newer one.
                initial={"revision": request.POST.get("revision", flow.draft_revision)},
                auto_id="fc-publish-%s",
            ),
            "may_publish": self.has_publish_permission(request),
            "may_start": self.has_start_permission(request)
            and flow.is_active
            and flow.published_id is not None,
            "may_see_runs": request.user.has_perm("flowcontrol.view_flowrun"),
            "may_add_trigger": request.user.has_perm("flowcontrol.add_trigger"),
            "changes": documents.diff(flow.published.document, draft) if flow.published else [],
            "show_save_and_add_another": False,
            "problems": [],
        }
        document = flow.published.document if flow.published else draft
        try:
            about["rows"] = rows_of(document, documents.compile_document(document), standing)
        except DocumentError as error:
            about["problems"] = error.problems
        return about

    # -- deleting --------------------------------------------------------------------------------------------

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with flows, in numbers, and the runs that keep them: Django's own would list each of these,
        and takes a flow's published version for something that protects the flow.
        """
        flows = list(objs)
        runs = FlowRun.objects.filter(flow__in=flows)
        protected: list[Any] = [
            format_html('<a href="{}">{}</a>: {}', self._run_url(run), run, run.flow)
            for run in runs.select_related("flow").only("pk", "flow__name", "flow__slug")[:_SHOWN]
        ]
        if len(protected) == _SHOWN and (more := runs.count() - _SHOWN) > 0:
            protected.append(ngettext("and %d more run", "and %d more runs", more) % more)
        triggers = Trigger.objects.filter(flow__in=flows)
        gone = [str(each) for each in triggers.select_related("flow").only("on", "flow__name", "flow__slug")]
        counts = {
            str(Flow._meta.verbose_name_plural): len(flows),
            str(FlowVersion._meta.verbose_name_plural): FlowVersion.objects.filter(flow__in=flows).count(),
            str(Trigger._meta.verbose_name_plural): len(gone),
        }
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        if gone and not request.user.has_perm("flowcontrol.delete_trigger"):
            lacking.add(str(Trigger._meta.verbose_name))
        return [*map(str, flows), *([gone] if gone else [])], counts, lacking, protected

    def _list_url(self) -> str:
        return reverse("admin:flowcontrol_flow_changelist", current_app=self.admin_site.name)

    def _run_url(self, run: FlowRun) -> str:
        return reverse("admin:flowcontrol_flowrun_change", args=[run.pk], current_app=self.admin_site.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Flow]) -> None:
        # One by one: a flow's own ``delete`` knows how to part from its published version.
        for flow in queryset:
            flow.delete()

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ProtectedError:
            # A run was started between the look and the deletion.
            self.message_user(request, _("The flow has runs by now; it was not deleted."), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    # -- pages, continued ------------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (documents.DraftConflict, FlowNotFound):
            # Saved or deleted by somebody else since the form looked. Nothing was stored, and a second look finds
            # it out: the form tells it, and keeps what was typed.
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        form.store()

    def has_import_permission(self, request: HttpRequest) -> bool:
        """An import adds flows, and changes those that are there."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_import": self.has_import_permission(request),
            "notices": notices(),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        require(self.has_import_permission(request))
        is_post = request.method == "POST"
        form = ImportForm(request.POST, request.FILES) if is_post else ImportForm()
        if not self.has_publish_permission(request):
            del form.fields["publish"]
        if is_post and form.is_valid() and self._may_import(request, form):
            try:
                results = documents.import_flows(
                    form.cleaned_data["documents"], publish=form.cleaned_data.get("publish", False)
                )
            except DocumentError as error:
                form.add_error(None, [str(problem) for problem in error.problems])
            else:
                return self._imported(request, results)
        return self._form_page(request, form, _("Import flows"), _("Import"))

    def _imported(self, request: HttpRequest, results: list[documents.ImportResult]) -> HttpResponse:
        for result in results:
            log = self.log_addition if result.is_new else self.log_change
            log(request, result.flow, "Imported.")
        count = len(results)
        told = ngettext("%d flow was imported.", "%d flows were imported.", count) % count
        self.message_user(request, told, messages.SUCCESS)
        if count == 1:
            return HttpResponseRedirect(change_url(self, results[0].flow))
        return HttpResponseRedirect(self._list_url())

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        text = documents.to_yaml(documents.export_flow(flow, draft=flow.published_id is None))
        return HttpResponse(
            text,
            content_type="application/yaml; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{flow.slug}.yaml"'},
        )

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        context = {
            "title": _("Versions of “%s”") % flow,
            "versions": flow.versions.defer("document").order_by("-number"),
        }
        return self._page(request, "versions.html", context, flow)

    def _may_import(self, request: HttpRequest, form: ImportForm) -> bool:
        """Whether the user may do all that the documents say; what is missing stands at the form."""
        keys = {key for document in form.cleaned_data["documents"] for key in document}
        if "triggers" in keys and not all(
            has_permission(request, Flow, f"{verb}_trigger") for verb in ("add", "delete")
        ):
            form.add_error(
                None, _("The documents replace triggers, which you may not add and delete; leave them out.")
            )
        if "active" in keys and not self.has_publish_permission(request):
            form.add_error(
                None, _("The documents switch flows on or off, which you may not; leave “active” out.")
            )
        for told in self._refused_steps(request, form.cleaned_data["documents"]):
            form.add_error(None, told)
        return form.is_valid()

    def _refused_steps(self, request: HttpRequest, found: list[dict[str, Any]]) -> list[str]:
        try:
            normal = [documents.normalise(document) for document in found]
        except DocumentError:
            # No documents at all, which the import itself tells with every problem.
            return []
        flows = Flow.objects.select_related("published").in_bulk(
            [document["slug"] for document in normal], field_name="slug"
        )
        told: list[str] = []
        for document in normal:
            present = present_documents(flows.get(document["slug"]))
            told += permissions.refusals(document, present, request.user.has_perm)
        return told

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flow = find(self, request, object_id)
        require(self.has_publish_permission(request))
        form = PublishForm(request.POST)
        if not form.is_valid():
            told = _("The form did not say which draft is to be published; try again from this page.")
            self.message_user(request, told, messages.ERROR)
            return HttpResponseRedirect(change_url(self, flow))
        before = flow.published_id
        try:
            version = documents.publish(flow, **form.cleaned_data)
        except DocumentError as error:
            for problem in error.problems:
                self.message_user(request, str(problem), messages.ERROR)
        except FlowcontrolError as error:
            self.message_user(request, str(error), messages.ERROR)
            if isinstance(error, FlowNotFound):
                return HttpResponseRedirect(self._list_url())
        else:
            self._tell_published(request, flow, version, is_new=version.pk != before)
        return HttpResponseRedirect(change_url(self, flow))

    def _tell_published(
        self, request: HttpRequest, flow: Flow, version: FlowVersion, *, is_new: bool
    ) -> None:
        if not is_new:
            told = _("v%d has everything that the draft has; nothing was published.") % version.number
            self.message_user(request, told, messages.WARNING)
            return
        self.log_change(request, flow, f"Published as v{version.number}.")
        told = _("Published as v%d. Runs in flight stay on their version.") % version.number
        self.message_user(request, told, messages.SUCCESS)

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
        form = StartForm(flow, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                answer = engine.start_flow(
                    flow,
                    form.cleaned_data.get("object_key"),
                    form.cleaned_data["state"],
                    # Not to be mistaken for a key of the project's own.
                    key=f"admin:{form.cleaned_data['key']}",
                )
            except FlowcontrolError as error:
                form.add_error(None, str(error))
            else:
                return self._started(request, flow, answer)
        return self._form_page(request, form, _("Start “%s”") % flow, _("Start"), flow)

    def _started(
        self, request: HttpRequest, flow: Flow, answer: engine.Started | engine.Refused
    ) -> HttpResponse:
        if isinstance(answer, engine.Refused):
            self.message_user(request, answer.detail, messages.WARNING)
            return HttpResponseRedirect(change_url(self, flow))
        run = answer.run
        may_see = has_permission(request, FlowRun, "view_flowrun")
        shown = format_html('<a href="{}">{}</a>', self._run_url(run), run) if may_see else run
        if answer.is_new:
            self.log_change(request, flow, f"Started {run}.")
            told, level = _("Started {}; a worker executes it."), messages.SUCCESS
        else:
            told, level = (
                _("This form has started {} already; open it anew to start another."),
                messages.WARNING,
            )
        self.message_user(request, format_html(str(told), shown), level)
        return HttpResponseRedirect(self._run_url(run) if may_see else change_url(self, flow))

    def _form_page(
        self, request: HttpRequest, form: Any, title: Any, button: Any, flow: Flow | None = None
    ) -> TemplateResponse:
        context = {"title": title, "button": button, "form": form, "media": self.media + form.media}
        return self._page(request, "form_page.html", context, flow)

    def _page(
        self, request: HttpRequest, template: str, context: dict[str, Any], flow: Flow | None
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name  # what {% url %} reads
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": flow,
            "original_url": change_url(self, flow) if flow else "",
            "media": self.media,
            **context,
        }
        return TemplateResponse(request, f"admin/flowcontrol/{template}", context)


class _FlowList(ChangeList):
    """Flows with the number of their live runs, counted for those of the page only."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        counts = live_counts([flow.pk for flow in self.result_list], "flow")
        for flow in self.result_list:
            flow.live_count = counts.get(flow.pk, 0)


def _runs_link(flow: Flow, query: str, told: Any) -> str:
    url = reverse("admin:flowcontrol_flowrun_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, f"flow={flow.pk}&{query}", told)
