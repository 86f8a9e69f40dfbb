"""Encrypts secrets under ``FLOWCONTROL["CREDENTIAL_KEYS"]``, together with what they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import ConfigurationError

__all__ = ["BrokenSeal", "is_under_first_key", "new_key", "open_seal", "seal"]


class BrokenSeal(Exception):
    """It cannot be opened; the text says why, and what to do."""


def new_key() -> str:
    """A key for ``FLOWCONTROL["CREDENTIAL_KEYS"]``."""
    return Fernet.generate_key().decode()


@sensitive_variables()
def seal(secrets: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    """Text from which only the keys, and only for the same facts, give the secrets back; empty for no secrets."""
    if not secrets:
        return ""
    keys = conf.credential_keys()
    if not keys:
        raise ConfigurationError(
            "There is no key to encrypt secrets with. Make one (manage.py flowcontrol credentials new-key) and put it "
            'into FLOWCONTROL["CREDENTIAL_KEYS"] or the environment variable FLOWCONTROL_CREDENTIAL_KEYS.'
        )
    plain = json.dumps({"facts": facts, "secrets": secrets}, sort_keys=True)
    return _fernets(keys).encrypt(plain.encode()).decode()


@sensitive_variables()
def open_seal(sealed: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """The secrets. Raises ``BrokenSeal``."""
    if not sealed:
        return {}
    keys = conf.credential_keys()
    if not keys:
        raise BrokenSeal(
            'There are no keys: put those it was encrypted with into FLOWCONTROL["CREDENTIAL_KEYS"] or the '
            "environment variable FLOWCONTROL_CREDENTIAL_KEYS."
        )
    try:
        found = json.loads(_fernets(keys).decrypt(sealed.encode()))
    except InvalidToken:
        raise BrokenSeal(
            f'None of the {len(keys)} keys in FLOWCONTROL["CREDENTIAL_KEYS"] opens it: add the key that it was '
            "encrypted with, or enter its secrets anew."
        ) from None
    if found["facts"] != json.loads(json.dumps(facts)):
        raise BrokenSeal(
            "Its row was changed past flowcontrol since its secrets were encrypted: its name, kind, hosts or settings "
            "are not those that they were entered for. Enter its secrets anew."
        )
    secrets: dict[str, str] = found["secrets"]
    return secrets


def is_under_first_key(sealed: str) -> bool:
    """Whether the first key opens it, so that the others are not needed for it."""
    try:
        Fernet(conf.credential_keys()[0]).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def _fernets(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
