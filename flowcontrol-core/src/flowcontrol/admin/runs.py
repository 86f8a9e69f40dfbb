"""Runs: a record to read, with the buttons that are legal and allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .. import documents, engine
from ..exceptions import FlowcontrolError
from ..models import FlowRun, RunStatus
from ..sentences import standing
from .flows import STYLE
from .generic import ModelAdmin
from .views import admin_path, change_url, find, has_permission, require

__all__ = ["FlowRunAdmin"]

#: Step records that one page shows; the newest ones.
_SHOWN = 500

#: A sign beside the word, so that colour is never all that tells.
_SIGNS = {
    RunStatus.PENDING: "◌",
    RunStatus.RUNNING: "▶",
    RunStatus.WAITING: "⏲",
    RunStatus.PAUSED: "⏸",
    RunStatus.BLOCKED: "⛔",
    RunStatus.COMPLETED: "✔",
    RunStatus.STOPPED: "■",
    RunStatus.FAILED: "✘",
    RunStatus.CANCELLED: "⊘",
    RunStatus.DISCARDED: "∅",
}


class LiveFilter(admin.SimpleListFilter):
    title = _("live")
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Live")), ("no", _("Ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FlowRun]) -> QuerySet[FlowRun]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


class RestartForm(forms.Form):
    """Where a run is to begin again."""

    step = forms.ChoiceField(label=_("Restart"), required=False)

    def __init__(self, run: FlowRun, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        step = self.fields["step"]
        assert isinstance(step, forms.ChoiceField)
        nodes = documents.compile_document(run.version.document).nodes
        step.choices = [
            ("", _("from the start")),
            *(
                (node.id, _("at step “%(name)s” (%(id)s)") % {"name": node.name, "id": node.id})
                for node in nodes
            ),
        ]
        if run.status == RunStatus.FAILED:
            self.initial["step"] = run.step


@admin.register(FlowRun)
class FlowRunAdmin(ModelAdmin[FlowRun]):
    list_display = ["id", "pill", "flow", "about", "step", "created_at", "due_at", "ended_at"]
    list_display_links = ["id", "pill"]
    list_filter = ["status", LiveFilter, ("flow", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["flow"]
    search_fields = ["=id", "=object_id", "=key", "flow__slug"]
    search_help_text = _("Number or key of a run, key of its object, or slug of its flow.")
    show_full_result_count = False
    ordering = ["-id"]
    actions = ["cancel_runs", "pause_runs", "resume_runs"]

    @property
    def media(self) -> Media:
        return super().media + STYLE

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlowRun]:
        return super().get_queryset(request).defer("state_json", "cursor_json", "traceback")

    @admin.display(description=_("status"), ordering="status")
    def pill(self, run: FlowRun) -> SafeString:
        return pill(run)

    @admin.display(description=_("object"))
    def about(self, run: FlowRun) -> str:
        return f"{run.object_model} {run.object_id}" if run.object_model else "-"

    # -- permissions -----------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: FlowRun | None = None) -> bool:
        # A live run is cancelled first: whoever executes it must not find it gone.
        return super().has_delete_permission(request, obj) and (obj is None or obj.is_ended)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, FlowRun, "operate_flowrun")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        # It would take live runs along with ended ones.
        actions.pop("delete_selected", None)
        return actions

    # -- actions ---------------------------------------------------------------------------------------------

    @admin.action(description=_("Cancel selected runs"), permissions=["operate"])
    def cancel_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.cancel_runs(runs, _by(request)), _("cancelled"))

    @admin.action(description=_("Pause selected runs"), permissions=["operate"])
    def pause_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.pause_runs(runs), _("paused"))

    @admin.action(description=_("Resume selected runs"), permissions=["operate"])
    def resume_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.resume_runs(runs), _("resumed"))

    def _tell(self, request: HttpRequest, changed: engine.Changed, done: Any) -> None:
        if changed.done:
            count = len(changed.done)
            told = ngettext("%(count)d run was %(done)s.", "%(count)d runs were %(done)s.", count)
            self.message_user(request, told % {"count": count, "done": done}, messages.SUCCESS)
        if changed.refused:
            count = len(changed.refused)
            told = ngettext(
                "%(count)d run was left as it is: its status does not allow it.",
                "%(count)d runs were left as they are: their status does not allow it.",
                count,
            )
            self.message_user(request, told % {"count": count}, messages.WARNING)

    # -- pages -----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            (f"<path:object_id>/{name}/", view, name, ("POST",))
            for name, view in (
                ("cancel", self.cancel_view),
                ("pause", self.pause_view),
                ("resume", self.resume_view),
                ("restart", self.restart_view),
            )
        ]
        return [*(admin_path(self, *each) for each in own), *super().get_urls()]

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operate(
            request,
            object_id,
            lambda run: self._tell(request, engine.cancel_runs(run, _by(request)), _("cancelled")),
        )

    def pause_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operate(
            request, object_id, lambda run: self._tell(request, engine.pause_runs(run), _("paused"))
        )

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operate(
            request, object_id, lambda run: self._tell(request, engine.resume_runs(run), _("resumed"))
        )

    def restart_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def restart(run: FlowRun) -> None:
            step = request.POST.get("step") or None
            try:
                engine.restart_run(run, step)
            except FlowcontrolError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, _("The run begins again; a worker executes it."), messages.SUCCESS)

        return self._operate(request, object_id, restart)

    def _operate(
        self, request: HttpRequest, object_id: str, operate: Callable[[FlowRun], None]
    ) -> HttpResponse:
        run = find(self, request, object_id)
        require(self.has_operate_permission(request))
        operate(run)
        return HttpResponseRedirect(change_url(self, run))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The record of a run. There is no form: what can be done has buttons of its own."""
        # Everything that the page tells of it, in one query.
        runs = FlowRun.objects.select_related("flow", "version", "parent", "trigger")
        run = runs.filter(pk=find(self, request, object_id).pk).get()
        may_operate = self.has_operate_permission(request)
        may_see_data = has_permission(request, FlowRun, "view_flowrun_data")
        names = {node.id: node.name for node in documents.compile_document(run.version.document).nodes}
        records = run.history()
        context = {
            **self.admin_site.each_context(request),
            "title": f"{self.opts.verbose_name} {run.pk}",
            "opts": self.opts,
            "original": run,
            "run": run,
            "pill": pill(run),
            "sentence": standing(run, timezone.now(), names.get(run.step, "")),
            "object": _object(self, run),
            "children": run.children.select_related("flow").order_by("id")[:50],
            "records": [
                (names.get(record.step, ""), record, _changes(record)) for record in records[-_SHOWN:]
            ],
            "records_left_out": max(0, len(records) - _SHOWN),
            "may_see_data": may_see_data,
            "state": _state(run) if may_see_data else [],
            "may_cancel": may_operate and not run.is_ended,
            "may_pause": may_operate and not run.is_ended and run.status != RunStatus.PAUSED,
            "may_resume": may_operate and (run.status == RunStatus.PAUSED or run.is_pause_requested),
            "restart": RestartForm(run) if may_operate else None,
            "has_delete_permission": self.has_delete_permission(request, run),
            "media": self.media,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/flowcontrol/flowrun/record.html", context)


def pill(run: FlowRun) -> SafeString:
    """The status as a coloured sign and a word."""
    status = RunStatus(run.status)
    return format_html(
        '<span class="fc-pill fc-{}"><span aria-hidden="true">{}</span> {}</span>',
        status.value,
        _SIGNS[status],
        status.label,
    )


def _by(request: HttpRequest) -> str:
    return f"Cancelled by {request.user.get_username()}."


def _object(model_admin: ModelAdmin[Any], run: FlowRun) -> dict[str, str] | None:
    """Words for the object of a run, and its page in the admin where there is one."""
    if not run.object_model:
        return None
    told = f"{run.object_model} {run.object_id}"
    url = ""
    try:
        model = apps.get_model(run.object_model)
        if model in model_admin.admin_site._registry:
            url = reverse(
                f"admin:{model._meta.app_label}_{model._meta.model_name}_change",
                args=[quote(run.object_id)],
                current_app=model_admin.admin_site.name,
            )
    except (LookupError, NoReverseMatch):
        told += f" ({_('not installed')})"
    return {"told": told, "url": url}


def _state(run: FlowRun) -> list[tuple[str, str]]:
    """Keys and values as they are stored; nothing that they refer to is read."""
    plain = json.loads(run.state_json)
    return [(key, json.dumps(value, indent=2, ensure_ascii=False)) for key, value in plain.items()]


def _changes(record: Any) -> list[tuple[str, str]]:
    return [(key, json.dumps(value, ensure_ascii=False)) for key, value in (record.changes or {}).items()]
