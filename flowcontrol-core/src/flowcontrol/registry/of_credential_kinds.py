"""The registry of kinds of credentials."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from ..exceptions import CredentialKindMissing, RegistrationError
from ..suggestions import did_you_mean
from .of_actions import actions
from .specs import CredentialKindSpec, import_path, path_of
from .table import Registry, declared_class

if TYPE_CHECKING:
    from ..credentials import CredentialKind

__all__ = [
    "CredentialKindRegistry",
    "credential_kinds",
    "register_credential_kind",
    "require_credential_kind",
]

logger = logging.getLogger("flowcontrol.registry")

#: As text, for the reason that ``of_actions`` gives.
_BASE_KIND = "flowcontrol.credentials:CredentialKind"


class CredentialKindRegistry(Registry[CredentialKindSpec]):
    """Kinds of credentials: declared at start-up, imported on first use."""

    def __init__(self) -> None:
        super().__init__("kind of credential")

    def load(self, name: str) -> type[CredentialKind]:
        """The class of a kind. Raises ``CredentialKindMissing`` with the reason and the way out."""
        spec = self.get_spec(name)
        if spec is None:
            raise CredentialKindMissing(f'The kind of credential "{name}" is missing. {self._way_out(name)}')
        try:
            kind: type[CredentialKind] = declared_class(spec, require_credential_kind)
            return kind
        except Exception as error:
            logger.exception("kind of credential cannot be imported kind=%s path=%s", name, spec.path_text)
            raise CredentialKindMissing(
                f'The kind of credential "{name}" of {self.provider(name)} cannot be imported from {spec.path_text}: '
                f"{type(error).__name__}: {error}. Mend or update what provides it and restart."
            ) from error

    def is_same(self, taken: CredentialKindSpec, spec: CredentialKindSpec) -> bool:
        return taken.path_text == spec.path_text

    def _way_out(self, name: str) -> str:
        prefix = str(name).partition(".")[0]
        known = [one for one in self.names() if one.startswith(f"{prefix}.")]
        if suggestion := did_you_mean(name, self.names()):
            return suggestion
        if known:
            return f"{self.provider(known[0])} has: {', '.join(known)}."
        reason, hint = actions.why_unavailable(prefix)
        return f"{reason} {hint}".strip() or f'Install, or switch on, the plugin "{prefix}", and restart.'


def require_credential_kind(found: object, where: str) -> None:
    """Raises ``RegistrationError`` unless ``found`` is a class that inherits ``CredentialKind``."""
    base: type = import_path(_BASE_KIND)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise RegistrationError(
            f"{where} is {found!r}; a kind of credential is a class that inherits "
            "flowcontrol.credentials.CredentialKind."
        )


credential_kinds = CredentialKindRegistry()

Kind = TypeVar("Kind", bound="type[CredentialKind]")


def register_credential_kind(kind: Kind) -> Kind:
    """Register a kind of credential under its ``name``; a class decorator or a plain call, in ``flow_actions``.

    Raises ``RegistrationError`` for a name of the wrong form, or one that is taken by another class.
    """
    require_credential_kind(kind, getattr(kind, "__qualname__", repr(kind)))
    credential_kinds.register(CredentialKindSpec(kind.name, kind), provider=path_of(kind))
    return kind
