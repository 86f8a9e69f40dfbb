"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from importlib import import_module

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, TriggerSpec


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="HTTP",
        description="HTTP requests, webhooks and callbacks for flowcontrol.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "http.request",
            "flowcontrol_actions_http.actions:Request",
            "Request",
        ),
        ActionSpec(
            "http.respond",
            "flowcontrol_actions_http.respond:Respond",
            "Respond",
            "Answers whoever called the webhook that started this run.",
        ),
        ActionSpec(
            "http.wait_for_callback",
            "flowcontrol_actions_http.wait_for_callback:WaitForCallback",
            "Wait for callback",
            "Hands out a link that can be used once, and waits until it is.",
        ),
    ]


@hookimpl
def flowcontrol_register_triggers() -> list[TriggerSpec]:
    return [
        TriggerSpec(
            "http.webhook",
            "A webhook was called",
            description="Of which endpoint is said by the condition: endpoint == 'payments'.",
        )
    ]


@hookimpl
def flowcontrol_register_credential_kinds() -> list[CredentialKindSpec]:
    return [
        CredentialKindSpec("http.basic", "flowcontrol_actions_http.kinds:Basic", "User name and password"),
        CredentialKindSpec(
            "http.webhook_secret",
            "flowcontrol_actions_http.webhook_secret:WebhookSecret",
            "Secret of a webhook",
        ),
    ]


@hookimpl
def flowcontrol_register_urls() -> str:
    return "flowcontrol_actions_http.urls"


@hookimpl
def flowcontrol_prune() -> None:
    import_module("flowcontrol_actions_http.pruning").prune()
