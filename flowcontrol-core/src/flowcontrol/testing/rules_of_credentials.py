"""Rules about the kinds of credentials that a pack brings; and what samples need of credentials to be run."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import conf, registry
from ..credentials import ANY_HOST, CredentialKind, SecretField, save_credential
from ..exceptions import CredentialKindMissing
from ..vault import new_key
from .rules import SECRET_NAMES, NotApplicable, Subject, rule

__all__ = ["keys_at_hand", "save_samples"]


@rule(
    "C1",
    "The forms of its kinds of credentials explain themselves",
    why="Whoever adds a credential has another system's page beside them, with other words for the same things.",
    fix="Give the kind a description, and every field a label (in gettext_lazy) and a help_text.",
    is_must=False,
)
def explained(subject: Subject) -> Iterator[str]:
    for name, kind in _kinds(subject).items():
        if not (kind.description or kind.__doc__):
            yield f"{name} has neither a description nor a docstring."
        for key, form_field in kind.Form.base_fields.items():
            if not form_field.label:
                yield f"{name}: the field {key} has no label."
            if not form_field.help_text:
                yield f"{name}: the field {key} has no help text."


@rule(
    "C2",
    "Each kind has a sample, and takes it",
    why="A form that refuses what its author thinks is right has a mistake; and actions are run with the samples.",
    fix='Give credentials = {"acme.token": {"token": "a sample"}} for every kind, and correct the form.',
)
def accepted(subject: Subject) -> Iterator[str]:
    kinds = _kinds(subject)
    for name in sorted(set(subject.credentials) - set(kinds)):
        yield f"There is a sample of {name}, which the pack does not have."
    for name, kind in kinds.items():
        if name not in subject.credentials:
            yield f"{name} has no sample."
            continue
        for key, texts in kind.Form(copy.deepcopy(dict(subject.credentials[name]))).errors.items():
            yield f"{name}: {key}: {' '.join(map(str, texts))}"


@rule(
    "C3",
    "What is secret in a credential is a SecretField",
    why="All other fields are stored as they are, and shown to whoever may see the credential.",
    fix="Write token = SecretField(…). A name such as token_url is fine for what is none.",
)
def sealed(subject: Subject) -> Iterator[str]:
    for name, kind in _kinds(subject).items():
        fields = kind.Form.base_fields
        for key, form_field in fields.items():
            if key.lower().endswith(SECRET_NAMES) and not isinstance(form_field, SecretField):
                yield f"{name}: the field {key} is a {type(form_field).__name__}, no SecretField."
        if not kind.Form.secret_names():
            yield f"{name} has no secret at all."


def _kinds(subject: Subject) -> dict[str, type[CredentialKind]]:
    """Those that can be imported; about the others there is another rule."""
    found: dict[str, type[CredentialKind]] = {}
    for name in subject.report.credential_kinds if subject.report else ():
        try:
            found[name] = registry.credential_kinds.load(name)
        except CredentialKindMissing:
            continue
    if not found and not subject.credentials:
        raise NotApplicable("the pack has no kinds of credentials")
    return found


def save_samples(subject: Subject) -> None:
    """Store a credential for each sample, named as its kind with ``-`` for dots, that may be sent anywhere."""
    kinds = _kinds(subject) if subject.credentials else {}
    for name, values in subject.credentials.items():
        if name in kinds:
            hosts = [ANY_HOST] if kinds[name].has_hosts else []
            save_credential(name.replace(".", "-"), name, values, hosts=hosts)


@contextmanager
def keys_at_hand(subject: Subject) -> Iterator[None]:
    """Inside, there is a key to encrypt samples with, whatever the project has."""
    if not subject.credentials or conf.credential_keys():
        yield
        return
    before: Any = os.environ.get(conf.CREDENTIAL_KEYS_VARIABLE)
    os.environ[conf.CREDENTIAL_KEYS_VARIABLE] = new_key()
    try:
        yield
    finally:
        del os.environ[conf.CREDENTIAL_KEYS_VARIABLE]
        if before is not None:
            os.environ[conf.CREDENTIAL_KEYS_VARIABLE] = before
