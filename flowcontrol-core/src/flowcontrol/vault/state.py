"""Whether credentials could be used now, and if not, why and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from ..exceptions import ConfigurationError, CredentialError
from ..models import Credential
from .reading import open_credential
from .seals import BrokenSeal, open_seal

__all__ = ["problem_of", "seal_problems"]


def problem_of(row: Credential) -> str:
    """Why this process cannot use the credential; empty when it can."""
    try:
        open_credential(row)
    except (CredentialError, ConfigurationError) as error:
        return str(error)
    return ""


def seal_problems(using: str | None = None) -> Iterator[tuple[str, str]]:
    """Name and problem of each credential whose secrets cannot be decrypted. Imports no kind, reads no environment."""
    for row in Credential.objects.using(using).sealed():
        try:
            open_seal(row.sealed, row.facts())
        except (BrokenSeal, ConfigurationError) as error:
            yield row.name, str(error)
