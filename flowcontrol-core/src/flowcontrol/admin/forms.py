"""Forms of the admin: documents as YAML, and what is needed to start a flow."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from .. import documents, permissions
from ..exceptions import DocumentError
from ..models import Flow, Trigger
from ..registry import triggers
from .generic import ModelForm

__all__ = [
    "DocumentField",
    "DraftForm",
    "ImportForm",
    "PublishForm",
    "StartForm",
    "TriggerForm",
    "present_documents",
]


def present_documents(flow: Flow | None) -> list[Mapping[str, Any]]:
    """What the flow has now: its draft, and its published version; nothing, when there is none yet."""
    if flow is None:
        return []
    return [flow.draft, *([flow.published.document] if flow.published else [])]


class DocumentField(forms.CharField):
    """YAML of one or more flow documents. Cleans to the list of them."""

    widget = forms.Textarea(
        attrs={"rows": 24, "cols": 90, "class": "fc-code vLargeTextField", "spellcheck": "false"}
    )

    def clean(self, value: Any) -> list[dict[str, Any]]:
        text = super().clean(value)
        if not text:
            return []
        try:
            return documents.parse_yaml(text)
        except DocumentError as error:
            raise ValidationError([str(problem) for problem in error.problems]) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        # Browsers end lines in a way of their own.
        before, after = (str(text or "").strip().splitlines() for text in (initial, data))
        return before != after


class DraftForm(ModelForm[Flow]):
    """The draft of a flow. It may be unfinished: only publishing asks for a document without problems."""

    #: Whether whoever edits has a permission. The admin, which knows, says it; until then there is none.
    may: Callable[[str], bool] = staticmethod(lambda permission: False)

    document = DocumentField(
        label=_("Draft"),
        help_text=_("The flow as YAML. Saving changes the draft only; publish it to have new runs use it."),
    )
    revision = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = Flow
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["document"] = documents.to_yaml(documents.draft_of(self.instance))
            self.initial["revision"] = self.instance.draft_revision
        if usable := permissions.usable_credentials(self.may):
            named = ", ".join(f"{name} ({kind})" for name, kind in usable)
            told = _("Credentials that you may use: %s.") % named
            self.fields["document"].help_text = f"{self.fields['document'].help_text} {told}"

    def clean_document(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.cleaned_data["document"]
        if len(found) != 1:
            raise ValidationError(_("A draft is one document; this text has %d.") % len(found))
        return found[0]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "document" in cleaned:
            try:
                cleaned["document"] = documents.check_draft(self.instance, cleaned["document"])
            except DocumentError as error:
                self.add_error("document", [str(problem) for problem in error.problems])
            else:
                self._refuse(cleaned["document"])
        revision, present = cleaned.get("revision"), self.instance.draft_revision
        if revision is not None and revision != present:
            self.add_error(None, str(documents.DraftConflict(self.instance, revision, present)))
        return cleaned

    def _refuse(self, document: Mapping[str, Any]) -> None:
        refused = permissions.refusals(document, present_documents(self.instance), self.may)
        if refused:
            self.add_error("document", refused)

    def store(self) -> None:
        """Store the draft, if it is another one. Raises as ``save_draft``: somebody may have been faster."""
        document = self.cleaned_data["document"]
        if not documents.is_same(document, documents.draft_of(self.instance)):
            documents.save_draft(self.instance, document, self.cleaned_data["revision"])


class ImportForm(forms.Form):
    """Documents to import, from a file or as text."""

    file = forms.FileField(label=_("YAML file"), required=False)
    text = DocumentField(label=_("or YAML"), required=False)
    publish = forms.BooleanField(
        label=_("Publish"),
        required=False,
        initial=True,
        help_text=_("Otherwise only the drafts are written."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        file = cleaned.get("file")
        found = list(cleaned.get("text") or [])
        if file:
            try:
                found += documents.parse_yaml(file.read())
            except DocumentError as error:
                self.add_error("file", [str(problem) for problem in error.problems])
        if not found and not self.errors:
            raise ValidationError(_("Choose a file, or write a document."))
        cleaned["documents"] = found
        return cleaned


class PublishForm(forms.Form):
    """Which draft is published: the one that the person saw, and no later one."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    # Without a bound of its own: a note that is too long is shortened, and keeps nobody from publishing.
    note = forms.CharField(
        label=_("Note"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "maxlength": 200}),
    )


class StartForm(forms.Form):
    """What a run starts with."""

    #: Once for each form that is drawn: a form that is sent twice starts one run.
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    object_key = forms.CharField(label=_("Object"), max_length=255)
    state = forms.CharField(
        label=_("State"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "fc-code vLargeTextField", "spellcheck": "false"}),
        help_text=_('A JSON object, such as {"amount": 3}; empty for an empty state.'),
    )

    def __init__(self, flow: Flow, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flow = flow
        if flow.object_model:
            self.fields["object_key"].help_text = (
                _("Primary key of the %s that the run is about.") % flow.object_model
            )
        else:
            del self.fields["object_key"]

    def clean_object_key(self) -> Model:
        try:
            model = apps.get_model(self.flow.object_model)
        except LookupError as error:
            raise ValidationError(_("The model %s is not installed.") % self.flow.object_model) from error
        key = self.cleaned_data["object_key"]
        try:
            found: Model | None = model._base_manager.filter(pk=key).first()
        except (ValueError, ValidationError):
            found = None
        if found is None:
            raise ValidationError(
                _("There is no %(model)s %(key)s.") % {"model": model._meta.verbose_name, "key": key}
            )
        return found

    def clean_state(self) -> dict[str, Any]:
        text = self.cleaned_data["state"]
        if not text.strip():
            return {}
        try:
            state = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValidationError(_("This is no JSON: %s") % error) from error
        if not isinstance(state, dict):
            raise ValidationError(_('Write a JSON object, such as {"amount": 3}.'))
        return state


class TriggerForm(ModelForm[Trigger]):
    """A trigger; its type is one of those that are registered, or stays what it is."""

    on = forms.ChoiceField(label=_("On"))

    class Meta:
        model = Trigger
        fields = ("flow", "on", "condition", "does", "step", "is_active", "active_since")
        widgets = {"condition": forms.TextInput(attrs={"class": "vTextField fc-code"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(spec.name, f"{spec.label} ({spec.name})") for spec in triggers.specs()]
        stored = self.instance.on
        if stored and stored not in dict(choices):
            choices.append((stored, _("%s (not installed)") % stored))
        on = self.fields["on"]
        assert isinstance(on, forms.ChoiceField)
        on.choices = [("", "---------"), *choices]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        flow: Flow | None = cleaned.get("flow") or getattr(self.instance, "flow", None)
        spec = triggers.get(cleaned.get("on", ""))
        if flow and spec and spec.model and flow.object_model and spec.model.lower() != flow.object_model:
            self.add_error(
                "on",
                _("This is fired with a %(model)s, and the flow is about a %(object)s.")
                % {"model": spec.model, "object": flow.object_model},
            )
        step = cleaned.get("step")
        if flow and step and flow.published and step not in _step_ids(flow.published.document):
            self.add_error("step", _("The published version of the flow has no step “%s”.") % step)
        return cleaned


def _step_ids(document: Mapping[str, Any]) -> set[str]:
    return {step["id"] for step in documents.walk(document["steps"])}
