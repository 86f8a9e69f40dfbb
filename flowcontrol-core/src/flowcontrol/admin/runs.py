"""Runs: a record to read, with the buttons that are legal and allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import Model, Q, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy

from .. import documents, engine
from ..documents.paths import shorten
from ..exceptions import DocumentError, FlowcontrolError
from ..models import Flow, FlowRun, RunStatus, StepRecord
from ..sentences import duration, standing, when
from .generic import ModelAdmin, OneAtATime
from .objects import object_models, spellings
from .views import STYLE, admin_path, as_json, change_url, find, has_permission, log_changes, require

if TYPE_CHECKING:
    from ..documents.program import Node

__all__ = ["FlowRunAdmin"]

#: Step records that one page shows; the newest ones.
_SHOWN = 500
#: Runs started by it that a record lists.
_CHILDREN = 50

#: Characters of a changed value that a line shows of it.
_CHANGE_LENGTH = 200

_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")

#: What no list needs.
_HEAVY = ("state_json", "cursor_json", "traceback")

#: A sign beside the word, so that colour is never all that tells.
_SIGNS = {
    RunStatus.PENDING: "○",
    RunStatus.RUNNING: "▶",
    RunStatus.WAITING: "◔",
    RunStatus.PAUSED: "‖",
    RunStatus.BLOCKED: "⊗",
    RunStatus.COMPLETED: "✔",
    RunStatus.STOPPED: "■",
    RunStatus.FAILED: "✘",
    RunStatus.CANCELLED: "⊘",
    RunStatus.DISCARDED: "∅",
}


class _Done(NamedTuple):
    """What is said of runs that were operated: in the history of each, and to who did it."""

    log: str
    #: Lazy, with a number to fill in.
    told: Any


_CANCELLED = _Done("Cancelled.", ngettext_lazy("%d run was cancelled.", "%d runs were cancelled."))
_PAUSED = _Done("Paused.", ngettext_lazy("%d run was paused.", "%d runs were paused."))
_RESUMED = _Done("Resumed.", ngettext_lazy("%d run was resumed.", "%d runs were resumed."))


class _Row(NamedTuple):
    """A step record as the page tells it."""

    record: StepRecord
    name: str
    decision: str
    #: With its date, unless that is the date of the row before.
    started: str
    #: With its date, always.
    started_in_full: str
    took: str
    changes: list[tuple[str, str]]


class LiveFilter(admin.SimpleListFilter):
    title = _("live")
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Live")), ("no", _("Ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FlowRun]) -> QuerySet[FlowRun]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


class FlowFilter(admin.SimpleListFilter):
    """By name. Django's own would read whole flows, drafts and all, to show their names."""

    title = _("flow")
    parameter_name = "flow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [(str(pk), name or slug) for pk, name, slug in Flow.objects.values_list("pk", "name", "slug")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FlowRun]) -> QuerySet[FlowRun]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(flow=int(value)) if value.isdecimal() else queryset.none()


class RestartForm(forms.Form):
    """Where a run is to begin again."""

    step = forms.ChoiceField(label=_("Restart"), required=False)

    def __init__(self, run: FlowRun, nodes: Iterable[Node], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        step = self.fields["step"]
        assert isinstance(step, forms.ChoiceField)
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
class FlowRunAdmin(OneAtATime, ModelAdmin[FlowRun]):
    list_display = ["id", "pill", "flow", "about", "step", "next", "created"]
    list_display_links = ["id", "pill"]
    list_filter = ["status", LiveFilter, FlowFilter]
    # Only for Django to draw the field; see ``get_search_results``.
    search_fields = ["id"]
    search_help_text = _("Number or key of a run, key of its object, or name or slug of its flow.")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ["-id"]
    actions = ["cancel_runs", "pause_runs", "resume_runs"]

    @property
    def media(self) -> Media:
        return super().media + STYLE

    def get_queryset(self, request: HttpRequest) -> QuerySet[FlowRun]:
        return super().get_queryset(request).select_related("flow").defer("flow__draft", *_HEAVY)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FlowRun], search_term: str
    ) -> tuple[QuerySet[FlowRun], bool]:
        """What is typed, taken as a whole, by the indexes: the runs are too many to look into each."""
        term = search_term.strip()
        return queryset.filter(_search(term)) if term else queryset, False

    @admin.display(description=_("status"), ordering="status")
    def pill(self, run: FlowRun) -> SafeString:
        return pill(run)

    @admin.display(description=_("object"))
    def about(self, run: FlowRun) -> str:
        return f"{run.object_model} {run.object_id}" if run.object_model else "-"

    @admin.display(description=_("created"), ordering="id")
    def created(self, run: FlowRun) -> SafeString:
        return _when(run.created_at)

    @admin.display(description=_("ended or due"))
    def next(self, run: FlowRun) -> SafeString | str:
        time = run.ended_at or run.due_at
        return _when(time) if time else "-"

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

    # -- actions ---------------------------------------------------------------------------------------------

    @admin.action(description=_("Cancel selected runs"), permissions=["operate"])
    def cancel_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.cancel_runs(runs, _by(request)), _CANCELLED)

    @admin.action(description=_("Pause selected runs"), permissions=["operate"])
    def pause_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.pause_runs(runs), _PAUSED)

    @admin.action(description=_("Resume selected runs"), permissions=["operate"])
    def resume_runs(self, request: HttpRequest, runs: QuerySet[FlowRun]) -> None:
        self._tell(request, engine.resume_runs(runs), _RESUMED)

    def _tell(self, request: HttpRequest, changed: engine.Changed, done: _Done) -> None:
        if changed.done:
            count = len(changed.done)
            self._log(request, changed.done, done.log)
            self.message_user(request, done.told % count, messages.SUCCESS)
        if changed.refused:
            count = len(changed.refused)
            told = ngettext(
                "%d run was left as it is: its status does not allow it.",
                "%d runs were left as they are: their status does not allow it.",
                count,
            )
            self.message_user(request, told % count, messages.WARNING)

    def _log(self, request: HttpRequest, ids: Iterable[int], told: str) -> None:
        """Into the history of each: who did it."""
        log_changes(request, (FlowRun(pk=pk) for pk in ids), told)

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
            lambda run: self._tell(request, engine.cancel_runs(run, _by(request)), _CANCELLED),
        )

    def pause_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operate(
            request, object_id, lambda run: self._tell(request, engine.pause_runs(run), _PAUSED)
        )

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._operate(
            request, object_id, lambda run: self._tell(request, engine.resume_runs(run), _RESUMED)
        )

    def restart_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def restart(run: FlowRun) -> None:
            step = request.POST.get("step") or None
            try:
                engine.restart_run(run, step)
            except FlowcontrolError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, run, f"Restarted at step “{step}”." if step else "Restarted.")
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
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        run = self._in_full(find(self, request, object_id))
        may_operate = self.has_operate_permission(request)
        may_see_data = has_permission(request, FlowRun, "view_flowrun_data")
        nodes = _nodes(run)
        names = {node.id: node.name for node in nodes}
        records, is_cut = _newest_records(run)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{str(self.opts.verbose_name).capitalize()} {run.pk}",
            "opts": self.opts,
            "original": run,
            "run": run,
            "pill": pill(run),
            "sentence": standing(run, timezone.now(), names.get(run.step, "")),
            "object": _object(self, run),
            "children": run.children.select_related("flow")
            .only("flow__name", "flow__slug", "parent")
            .order_by("id")[:_CHILDREN],
            "children_left_out": max(0, run.child_count - _CHILDREN),
            "records": list(_rows(records, names)),
            "is_cut": is_cut,
            "may_see_data": may_see_data,
            "may_see_flow": request.user.has_perm("flowcontrol.view_flow"),
            "state": _state(run) if may_see_data else [],
            "may_cancel": may_operate and not run.is_ended,
            "may_pause": may_operate
            and not run.is_ended
            and run.status != RunStatus.PAUSED
            and not run.is_pause_requested,
            "may_resume": may_operate and (run.status == RunStatus.PAUSED or run.is_pause_requested),
            "restart": RestartForm(run, nodes) if may_operate else None,
            "has_delete_permission": self.has_delete_permission(request, run),
            "media": self.media,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name  # what {% url %} reads
        return TemplateResponse(request, "admin/flowcontrol/flowrun/record.html", context)

    def _in_full(self, run: FlowRun) -> FlowRun:
        """With everything that the record tells of it, in one query."""
        related = FlowRun.objects.select_related("flow", "version", "parent", "trigger")
        return related.defer("flow__draft", *(f"parent__{name}" for name in _HEAVY)).get(pk=run.pk)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The runs, without a line for each stretch of their history."""
        runs = list(objs)
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return list(map(str, runs)), {str(self.opts.verbose_name_plural): len(runs)}, lacking, []


def _search(term: str) -> Q:
    flows = {
        pk: f"{name}\n{slug}".casefold() for pk, name, slug in Flow.objects.values_list("pk", "name", "slug")
    }
    named = [pk for pk, words in flows.items() if term.casefold() in words]
    # Flows and models are there for the indexes, whose first columns they are.
    found = Q(flow__in=list(flows), key=term)
    found |= Q(object_model__in=object_models(), object_id__in=spellings(term))
    if named:
        found |= Q(flow__in=named)
    if term.isascii() and term.isdecimal() and int(term) < 2**63:
        found |= Q(pk=int(term))
    return found


def pill(run: FlowRun) -> SafeString:
    """The status as a coloured sign and a word."""
    status = RunStatus(run.status)
    return format_html(
        '<span class="fc-pill fc-{}"><span aria-hidden="true">{}</span> {}</span>',
        status.value,
        _SIGNS[status],
        status.label,
    )


def _when(time: datetime) -> SafeString:
    """In a narrow column: in two lines, and not broken at each hyphen."""
    date, _space, clock = when(time).partition(" ")
    return format_html('<span class="fc-whole">{}</span> <span class="fc-whole">{}</span>', date, clock)


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


def _nodes(run: FlowRun) -> Sequence[Node]:
    """The steps of its version; none when that cannot be read any more."""
    try:
        return documents.compile_document(run.version.document).nodes
    except DocumentError:
        return ()


def _newest_records(run: FlowRun) -> tuple[list[StepRecord], bool]:
    """The newest step records in order, and whether there are earlier ones. Reads no more than it shows."""
    records: list[StepRecord] = []
    for chunk in run.chunks.order_by("-id").iterator(chunk_size=50):
        records[:0] = chunk.records()
        if len(records) > _SHOWN:
            return records[-_SHOWN:], True
    return records, False


def _rows(records: Iterable[StepRecord], names: Mapping[str, str]) -> Iterator[_Row]:
    day = ""
    for record in records:
        in_full = when(record.started_at)
        date, _space, time = in_full.partition(" ")
        yield _Row(
            record,
            names.get(record.step, ""),
            _decision(record),
            time if date == day else in_full,
            in_full,
            duration(record.duration),
            _changes(record),
        )
        day = date


def _state(run: FlowRun) -> list[tuple[str, str]]:
    """Keys and values as they are stored; nothing that they refer to is read."""
    return [(_told(key), as_json(value, indent=2)) for key, value in json.loads(run.state_json).items()]


def _told(key: str) -> str:
    """A key as a page can show it: half of a surrogate pair cannot be sent to a browser."""
    return key.encode(errors="backslashreplace").decode()


def _decision(record: StepRecord) -> str:
    """As it is recorded, with its times as people here tell them."""
    return _TIME.sub(lambda found: when(datetime.fromisoformat(found[0])), record.decision)


def _changes(record: StepRecord) -> list[tuple[str, str]]:
    changes = record.changes or {}
    return [(_told(key), shorten(as_json(value), _CHANGE_LENGTH)) for key, value in changes.items()]
