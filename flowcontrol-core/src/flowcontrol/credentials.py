"""Credentials: what a flow needs to be let in somewhere, under a name; and the kinds that packs bring.

    # flowcontrol_actions_acme/credentials.py
    class Bearer(CredentialKind):
        name = "acme.bearer"
        label = _("Bearer token")

        class Form(CredentialForm):
            token = SecretField(label=_("Token"), help_text=_("As the service shows it once."))

An action's form asks for one with ``flowcontrol.forms.CredentialField``; the action gets it with
``context.credential(name)``, and what runs outside of a run with ``get_credential``. Documents hold the name only.

Of this module nothing needs a database: it can be imported before Django is set up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, NoReturn

from django import forms

from .exceptions import CredentialError
from .masking import MASK, SHORTEST

__all__ = [
    "ANY_HOST",
    "Credential",
    "CredentialError",
    "CredentialForm",
    "CredentialKind",
    "SecretField",
    "get_credential",
    "is_host_pattern",
    "save_credential",
]

#: Written among the hosts of a credential that may be sent anywhere.
ANY_HOST = "*"

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*|[0-9a-f:.]+", re.ASCII)
#: Where they are kept needs models, which this module must not import.
_VAULT = "flowcontrol.vault"


class SecretField(forms.CharField):
    """Text that is kept encrypted, and never shown again: no widget draws it, not even after an error.

    A text shorter than four characters is refused: it could not be told apart in what is written.
    """

    #: What it takes, in words, for the reference.
    takes = "secret text"
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("strip", False)
        kwargs["min_length"] = max(SHORTEST, kwargs.get("min_length") or 0)
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> None:
        return None

    def get_bound_field(self, form: Any, field_name: str) -> Any:
        # An initial value would be on the page as well.
        self.initial = None
        return super().get_bound_field(form, field_name)


class CredentialForm(forms.Form):
    """What a credential of a kind holds. Each ``SecretField`` is secret; all other fields are shown to whoever may
    see the credential.

    Their values are stored as JSON and cleaned again when the credential is used.
    """

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        """Names of the secret fields."""
        return frozenset(name for name, field in cls.base_fields.items() if isinstance(field, SecretField))


class CredentialKind:
    """A kind of credential. Declare it in the hook ``flowcontrol_register_credential_kinds``."""

    #: Full name, ``<plugin>.<kind>``; of a kind of the project's own app ``<app label>.<kind>``.
    name: ClassVar[str] = ""
    #: What staff read; the name's last part, spelled out, when empty.
    label: ClassVar[str] = ""
    description: ClassVar[str] = ""
    #: Whether its credentials are sent to hosts, and so have to be tied to some. One that only checks what comes in, as
    #: the secret of a webhook does, has none.
    has_hosts: ClassVar[bool] = True

    #: A nested class of this name.
    Form: ClassVar[type[CredentialForm]] = CredentialForm


class Values(Mapping[str, Any]):
    """The values of a credential, which shows none that is secret unless it is asked for by name."""

    __slots__ = ("_secret", "_values")

    def __init__(self, values: Mapping[str, Any], secret: Collection[str]) -> None:
        self._values = dict(values)
        self._secret = frozenset(secret)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = {
            name: MASK if value and name in self._secret else value for name, value in self._values.items()
        }
        return repr(shown)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(_NO_PICKLE)

    def secrets(self) -> list[str]:
        return [str(self._values[name]) for name in self._secret if self._values.get(name)]


_NO_PICKLE = (
    "A credential is not pickled, so that its secrets go nowhere. Pass on its name, and get it anew there."
)


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class Credential:
    """A credential to use now: it is not kept, and nothing that is written shows its secrets.

    ``values`` is the cleaned data of its kind's form. As ``Credential(name, kind, hosts, {…})``, in tests, it takes
    every value for a secret.
    """

    name: str
    kind: str
    #: Where it may be sent; empty: nowhere. See ``allows_host``.
    hosts: tuple[str, ...]
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.values, Values):
            object.__setattr__(self, "values", Values(self.values, self.values))

    def allows_host(self, host: str) -> bool:
        """Whether the credential may be sent to this host: ask for each, that of a redirect included.

        A credential without hosts may be sent nowhere. ``api.example.org`` is that host alone, ``*.example.org`` every
        host below example.org and not itself, ``*`` any host. No port; letters of other scripts only as ``xn--…``.
        """
        host = host.removeprefix("[").removesuffix("]").removesuffix(".")
        if not host or not host.isascii():
            return False
        return any(_fits(host.lower(), pattern) for pattern in self.hosts)

    def secrets(self) -> list[str]:
        """The secret texts, for whoever masks them."""
        values = self.values
        assert isinstance(values, Values)
        return values.secrets()

    def __repr__(self) -> str:
        return f'<Credential "{self.name}" ({self.kind})>'

    def __copy__(self) -> Credential:
        return self

    def __deepcopy__(self, memo: Any) -> Credential:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(_NO_PICKLE)


def _fits(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return pattern in (host, ANY_HOST)


def is_host_pattern(text: str) -> bool:
    """Whether this can stand among the hosts of a credential: small letters, ASCII, without a port."""
    return text == ANY_HOST or _HOST.fullmatch(text) is not None


def get_credential(name: str, *, kinds: Collection[str] | None = None) -> Credential:
    """The credential of this name, its secrets decrypted. For code outside of a run, such as a webhook's view.

    Its secrets are masked from now on in all that this process logs. ``kinds``: the kinds that will do; None: any.
    Raises a ``CredentialError`` that says which, why and the way out: ``CredentialNotFound``,
    ``CredentialOfAnotherKind``, ``CredentialKindMissing``, ``CredentialUndecryptable``,
    ``CredentialVariableMissing``, ``CredentialInvalid``. Two queries at most.
    """
    found: Credential = import_module(_VAULT).get_credential(name, kinds=kinds)
    return found


def save_credential(
    name: str,
    kind: str,
    values: Mapping[str, Any],
    *,
    hosts: Collection[str] = (),
    variables: Mapping[str, str] | None = None,
) -> None:
    """Store a credential under a name, in place of the one that has it, if there is one. For code and tests.

    ``values`` is what the form of the kind takes; ``variables`` are names of environment variables by secret field,
    for secrets that are not stored. Raises ``CredentialInvalid``, naming fields and no values, or
    ``CredentialKindMissing``, and ``ConfigurationError`` without keys to encrypt with.
    """
    import_module(_VAULT).save_credential(name, kind, values, hosts=hosts, variables=variables or {})
