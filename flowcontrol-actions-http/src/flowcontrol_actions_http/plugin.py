"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from importlib import import_module

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, TriggerSpec

_HERE = "flowcontrol_actions_http"


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
            f"{_HERE}.request:Request",
            "Send request",
            "Sends an HTTP request and keeps what its answer says.",
        ),
        ActionSpec(
            "http.for_each_page",
            f"{_HERE}.for_each_page:ForEachPage",
            "For each page",
            "Reads an answer that comes in pages, and runs its steps for each of them.",
        ),
        ActionSpec(
            "http.respond",
            f"{_HERE}.respond:Respond",
            "Respond",
            "Answers whoever called the webhook that started this run.",
        ),
        ActionSpec(
            "http.wait_for_callback",
            f"{_HERE}.wait_for_callback:WaitForCallback",
            "Wait for callback",
            "Hands out a link that can be used once, and waits until it is.",
        ),
    ]


@hookimpl
def flowcontrol_register_credential_kinds() -> list[CredentialKindSpec]:
    return [
        CredentialKindSpec("http.basic", f"{_HERE}.kinds:Basic", "User name and password"),
        CredentialKindSpec("http.bearer", f"{_HERE}.kinds:Bearer", "Bearer token"),
        CredentialKindSpec("http.api_key", f"{_HERE}.kinds:ApiKey", "API key"),
        CredentialKindSpec("http.oauth2_client", f"{_HERE}.kinds:OAuth2Client", "OAuth 2 client credentials"),
        CredentialKindSpec(
            "http.webhook_secret", f"{_HERE}.webhook_secret:WebhookSecret", "Secret of a webhook"
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
def flowcontrol_register_urls() -> str:
    return f"{_HERE}.urls"


@hookimpl
def flowcontrol_prune() -> None:
    import_module(f"{_HERE}.pruning").prune()
