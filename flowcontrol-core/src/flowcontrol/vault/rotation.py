"""Bring secrets under the first key, so that the others can be thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ..models import Credential
from .seals import BrokenSeal, is_under_first_key, open_seal, seal

__all__ = ["Rotated", "rotate"]


@dataclass(frozen=True)
class Rotated:
    """What became of one credential: ``problem`` says why its secrets stay as they are; empty when all is well."""

    name: str
    is_changed: bool = False
    problem: str = ""


def rotate() -> Iterator[Rotated]:
    """Encrypt all that is not under the first key with it. Each by itself: one that fails keeps none from it."""
    for pk in Credential.objects.sealed().order_by("name").values_list("pk", flat=True):
        with transaction.atomic():
            # Somebody may be saving it at this moment.
            row = Credential.objects.select_for_update().filter(pk=pk).first()
            if row is not None:
                yield _rotated(row)


@sensitive_variables()
def _rotated(row: Credential) -> Rotated:
    try:
        secrets = open_seal(row.sealed, row.facts())
    except BrokenSeal as broken:
        return Rotated(row.name, problem=str(broken))
    if is_under_first_key(row.sealed):
        return Rotated(row.name)
    Credential.objects.filter(pk=row.pk).update(sealed=seal(secrets, row.facts()))
    return Rotated(row.name, is_changed=True)
