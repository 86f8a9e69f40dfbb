"""Kinds of credentials for the tests of the core, whose own come from packs; and an action that uses one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.test import override_settings
from flowcontrol import masking, registry
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect
from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField, save_credential
from flowcontrol.forms import CredentialField
from flowcontrol.vault import new_key

__all__ = ["KEYS", "Basic", "Hook", "Use", "in_use", "saved"]

KEYS = [new_key(), new_key()]


class Basic(CredentialKind):
    name = "test.basic"
    label = "User and password"
    description = "What a server asks for."

    class Form(CredentialForm):
        user = forms.CharField(label="User", help_text="Who.")
        password = SecretField(label="Password", help_text="Secret.")
        pin = SecretField(label="PIN", help_text="A second one.", required=False)
        days = forms.DecimalField(label="Days", help_text="A number.", required=False)

        def clean(self) -> dict[str, Any]:
            cleaned = super().clean() or {}
            if cleaned.get("user") and cleaned.get("user") == cleaned.get("password"):
                raise ValidationError(f"“{cleaned['password']}” is the user as well.")
            return cleaned


class Hook(CredentialKind):
    """It is sent nowhere."""

    name = "test.hook"
    label = "Secret of a webhook"
    has_hosts = False

    class Form(CredentialForm):
        secret = SecretField(label="Secret", help_text="Secret.")


class Use(BaseAction):
    """Does with the credential what the test says."""

    name = "test.use"
    effect = Effect.EXTERNAL
    #: What it does, by the step's id.
    does: dict[str, Any] = {}

    class Config(ActionForm):
        credential = CredentialField(kinds=["test.basic"], label="Credential", help_text="Which.")
        url = forms.CharField(label="URL", help_text="Where.", required=False)

    def run(self, context: ActionContext) -> Decision | None:
        credential = context.credential(context.config["credential"], kinds=["test.basic"])
        does = self.does.get(context.step_id)
        decision: Decision | None = does(context, credential) if does else None
        return decision


@contextmanager
def in_use() -> Iterator[None]:
    """The kinds and the action are registered, and there are keys."""
    # What is handed out here is no secret to the tests that come after.
    before, masking.known = masking.known, masking.Masker()
    with registry.preserved(), override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS}):
        for kind in (Basic, Hook):
            registry.register_credential_kind(kind)
        registry.register_action(Use)
        Use.does.clear()
        try:
            yield
        finally:
            masking.known = before


def saved(name: str = "shop", **values: Any) -> None:
    """A credential of the kind ``test.basic``."""
    hosts = values.pop("hosts", ["api.example.org"])
    save_credential(name, "test.basic", {"user": "ada", "password": "correct horse", **values}, hosts=hosts)
