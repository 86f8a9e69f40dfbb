"""Declarations by name, whatever they declare."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from ..exceptions import RegistrationError
from .specs import ActionSpec, CredentialKindSpec, import_path, is_name

__all__ = ["Registry", "declared_class"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=_Named)


class Registry(Generic[Spec]):
    """Declarations by name, each with its provider (words for messages). Safe to use from several threads."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._lock = threading.RLock()
        self._specs: dict[str, Spec] = {}
        self._providers: dict[str, str] = {}

    def register(self, spec: Spec, provider: str) -> None:
        """Add a declaration; the very same one again changes nothing.

        Raises ``RegistrationError`` naming both providers when the name is taken: nothing is ever overridden.
        """
        self.check_name(spec.name, provider)
        with self._lock:
            taken = self._specs.get(spec.name)
            if taken is None:
                self._specs[spec.name] = spec
                self._providers[spec.name] = provider
            elif not self.is_same(taken, spec):
                raise RegistrationError(
                    f'The {self.kind} "{spec.name}" of {provider} cannot be registered: '
                    f"{self._providers[spec.name]} has this name. Give one of them another name."
                )

    def check_name(self, name: str, provider: str) -> None:
        """Raises ``RegistrationError`` for a name of the wrong form."""
        if not is_name(name):
            raise RegistrationError(
                f"{provider} registers a {self.kind} with the name {name!r}. It is the name of a plugin "
                f"or the label of the app, a dot, and small letters, digits or underscores: shop.send_invoice."
            )

    def is_same(self, taken: Spec, spec: Spec) -> bool:
        """Whether ``spec`` repeats ``taken`` (a module imported twice) rather than overrides it."""
        return taken == spec

    def unregister(self, name: str) -> None:
        """Forget a name, known or not. For tests and for plugins that fail half way."""
        with self._lock:
            self._specs.pop(name, None)
            self._providers.pop(name, None)

    def unregister_provider(self, provider: str) -> None:
        """Forget all that came from one provider."""
        with self._lock:
            for name in [name for name, one in self._providers.items() if one == provider]:
                self.unregister(name)

    def specs(self) -> list[Spec]:
        """All declarations, by name."""
        with self._lock:
            return sorted(self._specs.values(), key=lambda spec: spec.name)

    def names(self) -> list[str]:
        with self._lock:
            return sorted(self._specs)

    def get_spec(self, name: str) -> Spec | None:
        return self._specs.get(name)

    def provider(self, name: str) -> str:
        """Who provides a name, in words; empty for nobody."""
        return self._providers.get(name, "")

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Inside, register at will; afterwards everything is as before. For tests."""
        kept = self.copies()
        try:
            yield
        finally:
            self.restore(kept)

    def copies(self) -> list[dict[str, Any]]:
        """Everything that is registered, for ``restore``."""
        with self._lock:
            return [dict(table) for table in self._tables()]

    def restore(self, kept: list[dict[str, Any]]) -> None:
        """Be as at the time of these ``copies``."""
        with self._lock:
            for table, copy in zip(self._tables(), kept, strict=True):
                table.clear()
                table.update(copy)

    def _tables(self) -> list[dict[str, Any]]:
        return [self._specs, self._providers]


def declared_class(spec: ActionSpec | CredentialKindSpec, require: Callable[[object, str], None]) -> Any:
    """The class that a declaration names, under the name that it declares. ``require`` raises for one of another kind.

    Raises ``RegistrationError`` for one that says another name, and whatever importing it raises.
    """
    found: Any = import_path(spec.path) if isinstance(spec.path, str) else spec.path
    require(found, spec.path_text)
    if not found.name:
        found.name = spec.name
    elif found.name != spec.name:
        raise RegistrationError(
            f'{spec.path_text} is declared as "{spec.name}", but its class says "{found.name}". '
            "Write the same name in both places."
        )
    return found
