"""From a row to a credential that can be used, or to an error that says why it cannot."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from django.views.decorators.debug import sensitive_variables

from .. import conf, logs, masking, models
from ..credentials import Credential, CredentialKind, Values
from ..exceptions import (
    CredentialInvalid,
    CredentialKindMissing,
    CredentialNotFound,
    CredentialOfAnotherKind,
    CredentialUndecryptable,
    CredentialVariableMissing,
)
from ..registry import credential_kinds
from ..suggestions import did_you_mean
from .seals import BrokenSeal, open_seal

__all__ = ["get_credential", "open_credential", "stored_secrets", "variable_problem"]


@sensitive_variables()
def get_credential(name: str, *, kinds: Collection[str] | None = None) -> Credential:
    """See ``flowcontrol.credentials.get_credential``."""
    row = models.Credential.objects.filter(name=name).first()
    if row is None:
        names = models.Credential.objects.values_list("name", flat=True)
        way_out = did_you_mean(name, names) or "Add it in the admin, or write the name of one that is there."
        raise CredentialNotFound(f'There is no credential "{name}". {way_out}')
    if kinds is not None and row.kind not in kinds:
        raise CredentialOfAnotherKind(
            f'The credential "{name}" is of the kind {row.kind}, and here is needed one of: '
            f"{', '.join(sorted(kinds))}. Use another credential."
        )
    return open_credential(row)


@sensitive_variables()
def open_credential(row: models.Credential) -> Credential:
    """The credential of a row. Its secrets are masked in this process's logs from now on. Raises as above."""
    try:
        kind = credential_kinds.load(row.kind)
    except CredentialKindMissing as error:
        raise CredentialKindMissing(f'The credential "{row.name}" cannot be used. {error}') from error
    secrets = stored_secrets(row)
    secrets |= {field: _from_environment(row, field, variable) for field, variable in row.variables.items()}
    _mask(secrets.values())
    values = _cleaned(row, kind, {**row.settings, **secrets})
    credential = Credential(row.name, row.kind, tuple(row.hosts), Values(values, kind.Form.secret_names()))
    # Cleaning may have changed them.
    _mask(credential.secrets())
    return credential


@sensitive_variables()
def stored_secrets(row: models.Credential) -> dict[str, str]:
    """Those that are in the database, decrypted, by field. Raises ``CredentialUndecryptable``."""
    try:
        return open_seal(row.sealed, row.facts())
    except BrokenSeal as broken:
        raise CredentialUndecryptable(f'The credential "{row.name}" cannot be decrypted. {broken}') from None


@sensitive_variables()
def _mask(secrets: Iterable[str]) -> None:
    masking.known.add(secrets)
    logs.mask_secrets()


def _may_read(variable: str) -> bool:
    """Whether credentials may take secrets from this environment variable."""
    return any(fnmatchcase(variable, pattern) for pattern in conf.get("CREDENTIAL_VARIABLES"))


def variable_problem(variable: str) -> str:
    """Why credentials cannot take secrets from this environment variable; empty when they can."""
    if _may_read(variable):
        return ""
    allowed = ", ".join(conf.get("CREDENTIAL_VARIABLES")) or "none"
    return f'Credentials may not read {variable}. FLOWCONTROL["CREDENTIAL_VARIABLES"] allows: {allowed}.'


@sensitive_variables()
def _from_environment(row: models.Credential, field: str, variable: str) -> str:
    if problem := variable_problem(variable):
        raise CredentialVariableMissing(
            f'The credential "{row.name}" takes "{field}" from an environment variable. {problem}'
        )
    value = os.environ.get(variable, "")
    if not value:
        raise CredentialVariableMissing(
            f'The credential "{row.name}" takes "{field}" from the environment variable {variable}, which is not set '
            "in this process. Set it where the process is started."
        )
    return value


@sensitive_variables()
def _cleaned(
    row: models.Credential, kind: type[CredentialKind], values: Mapping[str, Any]
) -> Mapping[str, Any]:
    form = kind.Form(values)
    if not form.is_valid():
        # Without what the fields say of it: that may repeat a secret.
        fields = ", ".join(sorted(form.errors))
        raise CredentialInvalid(
            f'The credential "{row.name}" does not fit the form of {row.kind}: see {fields}. Open it in the admin and '
            "save it anew."
        )
    return form.cleaned_data
