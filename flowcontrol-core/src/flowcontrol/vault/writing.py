"""From what somebody entered to a row."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import validate_slug
from django.views.decorators.debug import sensitive_variables

from .. import models
from ..credentials import CredentialForm, CredentialKind, is_host_pattern
from ..exceptions import CredentialInvalid
from ..registry import credential_kinds
from .reading import variable_problem
from .seals import seal

__all__ = ["save_credential", "stand_ins", "store"]


@sensitive_variables()
def save_credential(
    name: str,
    kind: str,
    values: Mapping[str, Any],
    *,
    hosts: Collection[str] = (),
    variables: Mapping[str, str] | None = None,
) -> None:
    """See ``flowcontrol.credentials.save_credential``."""
    kind_class = credential_kinds.load(kind)
    row = models.Credential.objects.filter(name=name).first() or models.Credential(name=name)
    row.kind, row.hosts, row.variables = kind, [host.lower() for host in hosts], dict(variables or {})
    form = kind_class.Form({**values, **stand_ins(kind_class, row.variables)})
    wrong = [
        *_wrong(row, kind_class),
        *(f"the field {field}" for field in form.errors if field not in row.variables),
    ]
    if wrong:
        raise CredentialInvalid(f'The credential "{name}" cannot be stored. Mend: {"; ".join(wrong)}.')
    store(row, form)


@sensitive_variables()
def stand_ins(kind: type[CredentialKind], variables: Mapping[str, str]) -> dict[str, str]:
    """What the form of a kind gets for secrets that come from the environment, which this process need not have."""
    return {
        name: os.environ.get(variables[name]) or "•" * 32
        for name in kind.Form.secret_names() & variables.keys()
    }


def _wrong(row: models.Credential, kind: type[CredentialKind]) -> list[str]:
    told = [f"the host {host!r}" for host in row.hosts if not is_host_pattern(host)]
    if kind.has_hosts and not row.hosts:
        told.append('the hosts, of which it needs some ("*" for any)')
    secret = kind.Form.secret_names()
    told += [f"the variable of {field}, which is no secret field" for field in row.variables.keys() - secret]
    told += [problem for one in row.variables.values() if (problem := variable_problem(one))]
    try:
        validate_slug(row.name)
    except ValidationError:
        told.append("the name: letters, digits, - and _")
    return told


@sensitive_variables()
def store(row: models.Credential, form: CredentialForm) -> None:
    """Write a row with what a form of its kind holds, which has to be valid but for what comes from variables.

    Raises ``ConfigurationError`` without keys.
    """
    secret = form.secret_names()
    cleaned = form.cleaned_data
    public = {name: value for name, value in cleaned.items() if name not in secret}
    row.settings = json.loads(json.dumps(public, cls=DjangoJSONEncoder))
    stored = {
        name: cleaned[name] for name in sorted(secret) if cleaned.get(name) and name not in row.variables
    }
    row.sealed = seal(stored, row.facts())
    row.save()
