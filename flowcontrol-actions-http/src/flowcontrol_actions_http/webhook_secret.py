"""The kind of credential that webhooks are verified with."""

from __future__ import annotations

from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField
from flowcontrol.translations import catalogue

__all__ = ["WebhookSecret"]

_ = catalogue("flowcontrol_actions_http")


class WebhookSecret(CredentialKind):
    """The secret that a sender of webhooks signs with, and while it changes the one before."""

    name = "http.webhook_secret"
    label = _("Secret of a webhook")
    description = _("What a sender signs its calls with. It is sent to nobody.")
    has_hosts = False

    class Form(CredentialForm):
        secret = SecretField(
            label=_("Secret"),
            strip=True,
            help_text=_(
                "As the sender shows it, or as both of you agreed on. Of Standard Webhooks it begins with whsec_."
            ),
        )
        previous_secret = SecretField(
            label=_("Previous secret"),
            strip=True,
            required=False,
            help_text=_("Still accepted. Empty it once the sender signs with the new one."),
        )
