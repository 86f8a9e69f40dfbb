"""The form of a credential: its name and hosts, the fields of its kind's form, and secrets that are only written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import conf, vault
from ..credentials import CredentialForm, CredentialKind, SecretField, is_host_pattern
from ..exceptions import ConfigurationError, CredentialUndecryptable
from ..masking import Masker
from ..models import Credential
from .generic import ModelForm

__all__ = ["CredentialModelForm", "HostsField", "fieldsets_for", "form_for"]

_VALUE, _VARIABLE, _CLEAR = "value_", "variable_", "clear_"


class HostsField(forms.CharField):
    """Hosts, a line each. Cleans to a list of them."""

    widget = forms.Textarea(attrs={"rows": 3, "class": "fc-code vLargeTextField", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys(str(value or "").lower().split()))

    def validate(self, value: Any) -> None:
        super().validate(value)
        for host in value:
            if not is_host_pattern(host):
                raise ValidationError(
                    _(
                        "“%(host)s” is no host. Write api.example.org, *.example.org or an IP address, without a "
                        "scheme, port or path, and names in other scripts as xn--…; * means any host."
                    ),
                    params={"host": host},
                )

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(list(initial or []) != self.to_python(data))


class CredentialModelForm(ModelForm[Credential]):
    """See ``form_for``, which makes one for each kind."""

    kind: ClassVar[type[CredentialKind]] = CredentialKind

    hosts = HostsField(
        label=_("Hosts"),
        help_text=_(
            "Where it may be sent, a line each: api.example.org, or *.example.org for all hosts below that. It is sent "
            "nowhere else, whatever a flow says. * means any host: whoever may use the credential in a flow can then "
            "send it to themselves."
        ),
    )

    class Meta:
        model = Credential
        fields = ("name", "note", "hosts")
        widgets = {
            "name": forms.TextInput(attrs={"class": "vTextField"}),
            "note": forms.TextInput(attrs={"class": "vTextField"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: The secrets that are stored and can be kept; those that nobody can decrypt have to be entered anew.
        self.before: dict[str, str] = {}
        with suppress(CredentialUndecryptable):
            self.before = vault.stored_secrets(self.instance)
        #: The kind's form with what is to be stored, once this one is valid.
        self.filled: CredentialForm | None = None
        for name, field in self.kind.Form.base_fields.items():
            self._describe(name, field)

    @property
    def _secret_names(self) -> frozenset[str]:
        return self.kind.Form.secret_names()

    def _describe(self, name: str, field: forms.Field) -> None:
        shown = self.fields[_VALUE + name]
        if not isinstance(field, SecretField):
            if isinstance(shown.widget, forms.TextInput):
                shown.widget.attrs.setdefault("class", "vTextField")
            if name in self.instance.settings:
                shown.initial = self.instance.settings[name]
            return
        shown.widget.attrs.setdefault("class", "vTextField")
        # The kind's form says so when it is missing; here it only shows.
        shown.required = field.required and name not in self.before
        if name in self.before:
            kept = _("One is stored, and not shown. Leave this empty to keep it.")
            shown.help_text = " ".join(str(text) for text in (field.help_text, kept) if text)
        self.fields[_VARIABLE + name].initial = self.instance.variables.get(name, "")
        if clear := self.fields.get(_CLEAR + name):
            clear.disabled = name not in self.before

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in self.kind.Form.base_fields:
            # What these say is said by the kind's form, which sees all of its fields.
            self.errors.pop(_VALUE + name, None)
        variables = {name: cleaned.get(_VARIABLE + name, "") for name in sorted(self._secret_names)}
        variables = {name: variable for name, variable in variables.items() if variable}
        for name in [name for name in self.before if cleaned.get(_CLEAR + name)]:
            del self.before[name]
        self._check_variables(variables)
        self._check_kept(cleaned, variables)
        self._fill(variables)
        self.instance.variables = variables
        self.instance.kind = self.instance.kind or self.kind.name
        return cleaned

    def _typed(self, name: str) -> Any:
        key = _VALUE + name
        return self.fields[key].widget.value_from_datadict(self.data, self.files, self.add_prefix(key))

    @sensitive_variables()
    def _check_variables(self, variables: Mapping[str, str]) -> None:
        for name, variable in variables.items():
            if told := vault.variable_problem(variable):
                self.add_error(_VARIABLE + name, told)
            elif self._typed(name):
                self.add_error(_VARIABLE + name, _("Either a secret or a variable, not both."))

    @sensitive_variables()
    def _check_kept(self, cleaned: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        """Who changes where a secret goes has to know it: otherwise they could have it sent to themselves."""
        kept = [name for name in self.before if name not in variables and not self._typed(name)]
        if not kept or not self._goes_elsewhere(cleaned):
            return
        for name in kept:
            self.add_error(
                _VALUE + name,
                _("Enter it anew, because hosts or settings change: it could be sent somewhere else."),
            )

    def _goes_elsewhere(self, cleaned: Mapping[str, Any]) -> bool:
        if set(cleaned.get("hosts") or []) - set(self.initial.get("hosts") or []):
            return True
        public = self.kind.Form.base_fields.keys() - self._secret_names
        return any(_VALUE + name in self.changed_data for name in public)

    @sensitive_variables()
    def _fill(self, variables: Mapping[str, str]) -> None:
        values = {name: self._typed(name) for name in self.kind.Form.base_fields}
        kept = {name: text for name, text in self.before.items() if not values[name]}
        filled = self.kind.Form({**values, **kept, **vault.stand_ins(self.kind, variables)})
        for name, errors in filled.errors.as_data().items():
            if name not in variables:
                self._tell(name, errors)
        if not self.errors and any(
            filled.cleaned_data.get(name) for name in filled.secret_names() - variables.keys()
        ):
            self._require_keys()
        self.filled = filled

    @sensitive_variables()
    def _tell(self, name: str, errors: list[ValidationError]) -> None:
        """What the kind's form says, which may repeat what was entered, without the secrets."""
        masker = Masker()
        masker.add([*self.before.values(), *(str(self._typed(one) or "") for one in self._secret_names)])
        known = f"{_VALUE}{name}" if name in self.kind.Form.base_fields else None
        self.add_error(known, [masker.mask(text) for one in errors for text in one.messages])

    def _require_keys(self) -> None:
        try:
            is_there = bool(conf.credential_keys())
        except ConfigurationError:
            is_there = False
        if not is_there:
            self.add_error(
                None,
                _(
                    "There is no key to encrypt secrets with. Have one made (manage.py flowcontrol credentials "
                    "new-key) and put into FLOWCONTROL[“CREDENTIAL_KEYS”]; or take the secrets from the environment."
                ),
            )


def form_for(kind: type[CredentialKind], *, is_new: bool) -> type[CredentialModelForm]:
    """The form of credentials of a kind: for each of its secrets there is a variable to take it from instead."""
    about = [*(["name"] if is_new else []), "note", *(["hosts"] if kind.has_hosts else [])]
    fields: dict[str, Any] = {}
    for name, declared in kind.Form.base_fields.items():
        field = deepcopy(declared)
        fields[_VALUE + name] = field
        if isinstance(declared, SecretField):
            fields[_VARIABLE + name] = forms.CharField(
                label=_("… or from the variable"),
                required=False,
                max_length=200,
                help_text=_("Name of an environment variable that has it, in place of storing it: %s.")
                % ", ".join(conf.get("CREDENTIAL_VARIABLES")),
                widget=forms.TextInput(attrs={"class": "vTextField fc-code", "autocomplete": "off"}),
            )
            if _can_be_cleared(declared, is_new):
                fields[_CLEAR + name] = forms.BooleanField(
                    label=_("Remove the one that is stored"), required=False
                )
    if not kind.has_hosts:
        # A field that is None takes away the one that is inherited.
        fields["hosts"] = None
    meta = type("Meta", (CredentialModelForm.Meta,), {"fields": about})
    return type(kind.__name__, (CredentialModelForm,), {**fields, "kind": kind, "Meta": meta})


def _can_be_cleared(field: SecretField, is_new: bool) -> bool:
    """Empty means keep, so one that need not be there has to be taken away in another way."""
    return not field.required and not is_new


def fieldsets_for(kind: type[CredentialKind], *, is_new: bool) -> list[tuple[Any, dict[str, Any]]]:
    """In which order and groups ``form_for`` is drawn."""
    about = ["name", "kind_shown", "note", *(["hosts"] if kind.has_hosts else [])]
    values = []
    for name, field in kind.Form.base_fields.items():
        values.append(_VALUE + name)
        if isinstance(field, SecretField):
            values += [*([_CLEAR + name] if _can_be_cleared(field, is_new) else []), _VARIABLE + name]
    return [
        (None, {"fields": about}),
        (kind.label or kind.name, {"fields": values, "description": kind.description}),
    ]
